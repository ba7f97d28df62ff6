//! The notes of a stem, as MIDI has them.

use super::{
    Product, Source, TaskEvent, TaskOutcome,
    task::{self, Content, Dialect, Found, Json, RECORD, Word, Words, field},
};
use crate::event::{Key, Level, Scanned, TaskId};

/// The callbacks of `POST /api/v1/midi/generate`.
///
/// Documented: success, failure, and the record
/// (<https://docs.kie.ai/suno-api/generate-midi-callbacks>,
/// <https://docs.kie.ai/suno-api/get-midi-details>); the pages disagree on where the id stands, and
/// it is found in each place. There is one event a task. A success without a note is one too: that
/// is what a stem without notes gives. Nobody has published a recorded delivery.
///
/// A body is at most 4 MiB: a note takes about 90 bytes, more when it is set in lines of its own, and
/// a song has thousands.
///
/// # Example
///
/// ```
/// use suno_callback::product::{Midi, MidiOutcome, Product};
///
/// let event = Midi.parse(
///     r#"{"code":200,"data":{"taskId":"t","state":"complete","instruments":[
///         {"name":"Drums","notes":[{"pitch":73,"start":"0.5","end":0.75,"velocity":1}]}]}}"#,
/// )?;
/// let MidiOutcome::Ready(instruments) = event.outcome() else { panic!("{event:?}") };
/// assert_eq!(instruments[0].notes()[0].start, 0.5);
/// # Ok::<(), suno_callback::InvalidEvent>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Midi;

/// One event in the life of a transcription.
pub type MidiEvent = TaskEvent<Midi>;

/// What such an event means; [`Ready`](TaskOutcome::Ready) has the instruments, and none where the
/// stem has no notes.
pub type MidiOutcome<'a> = TaskOutcome<'a, Vec<MidiInstrument>>;

/// An instrument and what it plays.
#[derive(Clone, PartialEq)]
pub struct MidiInstrument {
    name: String,
    notes: Vec<MidiNote>,
}

/// A note: what the provider wrote as numbers, or as texts of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct MidiNote {
    /// The number of the key, by the provider 0 to 127; not checked.
    pub pitch: f64,
    /// When it begins, in seconds.
    pub start: f64,
    /// When it ends, in seconds.
    pub end: f64,
    /// How hard it is struck, by the provider 0 to 1, where it says so; not checked.
    pub velocity: Option<f64>,
}

const STATES: Words = &[("complete", Word::Success)];

const FLAGS: Words = &[
    ("0", Word::Progress("pending", 0)),
    ("1", Word::Success),
    ("2", Word::Failure),
    ("3", Word::Failure),
];

impl TaskEvent<Midi> {
    /// What the event means.
    pub fn outcome(&self) -> MidiOutcome<'_> {
        self.outcome_of(|| Some(self.instruments()))
    }

    /// The instruments, whatever the stage: for acting on them, match on
    /// [`outcome`](Self::outcome). Read anew by each call.
    ///
    /// An instrument without a name has an empty one; a note without pitch, start and end is left
    /// out.
    pub fn instruments(&self) -> Vec<MidiInstrument> {
        self.reading().content(|content| {
            let mut instruments = Vec::new();
            if let Some(list) = instruments_of(content) {
                list.each(|entry| instruments.extend(instrument(entry)));
            }
            instruments
        })
    }
}

impl MidiInstrument {
    /// Its name, such as `Drums`. Hostile until confirmed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it plays.
    pub fn notes(&self) -> &[MidiNote] {
        &self.notes
    }
}

/// Without the notes.
impl std::fmt::Debug for MidiInstrument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MidiInstrument")
            .field("name", &crate::util::Escaped(&self.name))
            .field("notes", &self.notes.len())
            .finish()
    }
}

impl Product for Midi {
    type Event = MidiEvent;

    fn name(&self) -> &'static str {
        "midi"
    }

    fn key(level: Level, key: &str) -> Key {
        match (level, key) {
            (Level::Data, "instruments") => Key::raw(field::RESULT),
            (Level::Data, "midiData") => Key::raw(field::RESPONSE),
            (Level::Data, "successFlag") => Key::field(field::FLAG),
            (Level::Data, "response") => Key::IGNORED,
            _ => field::shared(level, key),
        }
    }

    fn read(
        &self,
        task_id: TaskId,
        source: Source,
        scanned: &Scanned<'_>,
        body: &str,
    ) -> MidiEvent {
        task::read(self, task_id, source, scanned, body)
    }

    fn body_limit(&self) -> usize {
        4 * 1024 * 1024
    }

    fn record_path(&self) -> Option<&'static str> {
        Some("/api/v1/midi/record-info")
    }
}

impl Dialect for Midi {
    const IS_MARKED: bool = true;
    const STATES: &'static [Words] = &[STATES, super::task::JOB];
    const FLAGS: &'static [Words] = &[FLAGS, RECORD];

    /// A list is a result, also an empty one, and so is a record's object that has none. Two
    /// transcriptions need not agree.
    fn found(content: Content<'_>) -> Found {
        let is_result = match (instruments_of(content), content) {
            (Some(list), _) => list.is_list(),
            (None, Content::Record(midi_data)) => midi_data.is_object(),
            (None, _) => false,
        };
        match is_result {
            true => Found::Usable(None),
            false => Found::Nothing,
        }
    }

    /// Neither links nor ids.
    fn results(_: Content<'_>) -> Vec<String> {
        Vec::new()
    }
}

fn instruments_of(content: Content<'_>) -> Option<Json<'_>> {
    const INSTRUMENTS: &[&[&str]; 1] = &[&["instruments"]];
    match content {
        Content::Callback(list) => Some(list),
        Content::Record(midi_data) => {
            let [list] = midi_data.pick(INSTRUMENTS);
            list
        }
        Content::Job(result) => {
            let [inner] = result.pick(&[&["resultObject", "data"]]);
            let [list] = inner.unwrap_or(result).pick(INSTRUMENTS);
            list
        }
        Content::Body(_) => None,
    }
}

fn instrument(entry: Json<'_>) -> Option<MidiInstrument> {
    let [name, list] = entry.pick(&[&["name"], &["notes"]]);
    if name.is_none() && list.is_none() {
        return None;
    }
    let mut notes = Vec::new();
    if let Some(list) = list {
        list.each(|entry| notes.extend(note(entry)));
    }
    let name = name.and_then(Json::text).unwrap_or_default();
    Some(MidiInstrument { name, notes })
}

fn note(entry: Json<'_>) -> Option<MidiNote> {
    let [pitch, start, end, velocity] =
        entry.pick(&[&["pitch"], &["start"], &["end"], &["velocity"]]);
    Some(MidiNote {
        pitch: pitch?.number()?,
        start: start?.number()?,
        end: end?.number()?,
        velocity: velocity.and_then(Json::number),
    })
}
