//! What the callbacks of each product mean: [`Product`], and those of the provider.
//!
//! The layer knows no product. It verifies, claims and hands over whatever a [`Product`] reads;
//! [`SunoCallbackLayer::new`](crate::SunoCallbackLayer::new) is for voices, and
//! [`receives`](crate::SunoCallbackLayer::receives) changes that.
//!
//! # The products
//!
//! | product | submitted to | is told | success is | confirmed by |
//! |---|---|---|---|---|
//! | [`Voice`] | `/voice/generate`, `/voice/validate` | [`VoiceEvent`] | code 200, `status: success`, a voice id | `/voice/record-info`, `/voice/validate-info` |
//! | [`Music`] | `/generate` and what works like it | [`MusicEvent`] | code 200, `callbackType: complete`, a track with a link | `/generate/record-info`, also `text` and `first` |
//! | [`Lyrics`] | `/lyrics` | [`LyricsEvent`] | code 200, `callbackType: complete`, a text | `/lyrics/record-info` |
//! | [`Wav`] | `/wav/generate` | [`WavEvent`] | code 200, a link | `/wav/record-info` |
//! | [`Stems`] | `/vocal-removal/generate` | [`StemsEvent`] | code 200, a link of a stem | `/vocal-removal/record-info` |
//! | [`Midi`] | `/midi/generate` | [`MidiEvent`] | code 200, `state: complete`, a list, be it empty | `/midi/record-info` |
//! | [`Video`] | `/mp4/generate` | [`VideoEvent`] | code 200, a link | `/mp4/record-info` |
//! | [`CoverImage`] | `/suno/cover/generate` | [`CoverImageEvent`] | code 200, a link | `/suno/cover/record-info` |
//! | [`Job`] | `/jobs/createTask` | [`JobEvent`] | code 200, `state: success`, a result in `resultJson` | `/jobs/recordInfo` |
//! | [`AnyProduct`] | anything | [`AnyEvent`] | guessed from code and words | nothing |
//!
//! Paths stand below `/api/v1`. Of all but voices **two witnesses** decide an end:
//!
//! - The code or the word says failure: it failed, unless something usable stands beside that.
//! - Code 200, the word (where the product has one) is the last, and the result is usable: it
//!   succeeded. kie documents `complete` for lyrics that failed, and one project has met `error`
//!   beside code 200, so neither alone would do.
//! - Anything else that claims a result is [`Inconsistent`](Stage::Inconsistent); words that nobody
//!   listed, and the content of another product, are [`Unknown`](Stage::Unknown).
//!
//! In a record the API's `code` says nothing, and its status is believed beside what was left of a
//! result, where the error code says failure too. `CALLBACK_EXCEPTION` speaks of the delivery: the
//! task has succeeded if its result is there, and otherwise nobody knows.
//!
//! # How sure that is
//!
//! *Documented* is what the provider's pages show, *seen* what public code or recordings have, and
//! *inferred* what follows from either.
//!
//! | product | success | failure | stages | record | seen on the wire |
//! |---|---|---|---|---|---|
//! | music | documented | documented, three shapes | documented | documented | callbacks in dozens of public projects; the record of an unknown id |
//! | added vocals, added instrumental | documented | documented | documented | documented | no |
//! | replaced section | documented | documented | documented, two pages differ | inferred (music's) | no |
//! | mashup | documented, on its submit page | inferred | documented | inferred (music's) | no |
//! | sounds | inferred | inferred | inferred | inferred | no |
//! | lyrics | documented, kie and sunoapi differ | documented, they differ | none | documented | no |
//! | WAV | documented, two spellings | documented | none | documented | no |
//! | stems | documented, two keys | documented | none | documented | in public code |
//! | MIDI | documented, the place of the id is disputed | documented | none | documented | no |
//! | video | documented, one page has another code | documented | none | documented | no |
//! | cover image | documented | documented | none | documented, two lists on one page | no |
//! | jobs | documented, two shapes | documented | none | documented | recorded records, no callback |
//! | Suno products as jobs | inferred | inferred | unknown | seen | records read with a real key |
//! | 4o image, Veo, Flux, Runway, Aleph | documented | documented | none | documented | no |
//!
//! Nobody knows: what stands beside `CALLBACK_EXCEPTION`, and whether a Suno task that was submitted
//! as a job calls back in its old shape or in a job's; both are read. The pages are named at each
//! product.

mod any;
mod cover_image;
mod event;
mod job;
mod lyrics;
mod midi;
mod music;
mod stems;
mod task;
mod video;
mod voice;
mod wav;

pub use self::{
    any::{AnyEvent, AnyOutcome, AnyProduct},
    cover_image::{CoverImage, CoverImageEvent, CoverImageOutcome},
    event::Event,
    job::{Job, JobEvent, JobOutcome, JobResult},
    lyrics::{Lyrics, LyricsEvent, LyricsOutcome, LyricsText},
    midi::{Midi, MidiEvent, MidiInstrument, MidiNote, MidiOutcome},
    music::{Music, MusicEvent, MusicOutcome, Track},
    stems::{Stem, StemKind, StemOrigin, Stems, StemsEvent, StemsOutcome},
    task::{TaskEvent, TaskFailure, TaskOutcome},
    video::{Video, VideoEvent, VideoOutcome},
    voice::{
        CallbackKind, Failure, Inconsistency, Voice, VoiceEvent, VoiceId, VoiceOutcome, VoiceStatus,
    },
    wav::{Wav, WavEvent, WavOutcome},
};
pub use crate::event::{Key, Level, Scanned, Stage, Value};

use crate::event::{InvalidEvent, Keys, TaskId, scan};

/// What a layer receives that was told nothing else.
pub type DefaultProduct = Voice;

/// What a handler gets from a layer that was told nothing else.
pub type DefaultEvent = VoiceEvent;

/// Says what the callbacks of one product mean: a table of keys, and a pure reading.
///
/// No field of a callback names its product, so the route does: a layer is told with
/// [`receives`](crate::SunoCallbackLayer::receives).
///
/// # What an implementation promises
///
/// - Reading is pure, never panics, and depends on nothing but its arguments. It cannot fail: what
///   is odd is an event too, [`Stage::Inconsistent`] or [`Stage::Unknown`].
/// - It runs **after** the signature was verified, which covers the id and the time and not the
///   content: every text is hostile.
/// - The name never changes: it is part of the keys under which a store remembers.
///
/// # What the layer promises
///
/// - The id is found in four places by the layer itself, for every product: all that are there must
///   be the same string, and no key on the way to one may be repeated.
/// - A body is at most [`body_limit`](Self::body_limit) bytes, and walked once, however deep it is.
/// - What [`Event::stage`] says decides: see [`Stage`].
/// - [`read`](Self::read) runs once for a callback whose signature is good, on the task of its
///   request, and once for a record that was fetched. Clones are made as often as the layer likes.
///
/// # Example
///
/// `examples/own_product.rs` is a product of one's own, whole. With a product in hand:
///
/// ```
/// use suno_callback::product::{Lyrics, Product, Stage};
/// use suno_callback::{InvalidEvent, MemoryStore, SigningKey, SunoCallbackLayer};
///
/// # fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = SunoCallbackLayer::new(SigningKey::new("the key of the account")?, MemoryStore::default())
///     .receives(Lyrics);
///
/// // In a test or a tool, without a layer: nothing is verified here.
/// let event = Lyrics.parse(r#"{"code":500,"msg":"busy","data":{"callbackType":"error","taskId":"t"}}"#)?;
/// assert_eq!(event.stage(), Stage::Failure);
/// assert_eq!(Lyrics.parse(r#"{"code":200}"#).unwrap_err(), InvalidEvent::NoTaskId);
/// # let _ = layer;
/// # Ok(()) }
/// # demo().unwrap();
/// ```
pub trait Product: Clone + Send + Sync + Sized + 'static {
    /// What the handler gets.
    type Event: Event<Product = Self>;

    /// A short constant name, such as `music`: for slot keys, logs and metrics. Two products that
    /// share a store need two names, or one swallows the other's events; and a name that changes
    /// forgets what was handled under the old one.
    fn name(&self) -> &'static str;

    /// Which keys mean something, in a callback and in a record. Asked for every key of the levels
    /// that are walked but the ids and `data`, so it is a `match`; what it answers must depend on
    /// nothing else. All else is [`Key::IGNORED`].
    fn key(level: Level, key: &str) -> Key;

    /// What was found, as an event. `body` is the JSON text that was scanned.
    fn read(
        &self,
        task_id: TaskId,
        source: Source,
        scanned: &Scanned<'_>,
        body: &str,
    ) -> Self::Event;

    /// The largest body that a callback may have, in bytes. Default 16 KiB. A larger one is answered
    /// with 413, also a genuine one; [`Limits::body`](crate::Limits::body) overrides it.
    fn body_limit(&self) -> usize {
        16 * 1024
    }

    /// Where the provider's API has the record of a task: a path, such as
    /// `/api/v1/wav/record-info`, to which `?taskId=` is added. By default nowhere: then the
    /// `SunoClient` of the feature `client` confirms nothing.
    fn record_path(&self) -> Option<&'static str> {
        None
    }

    /// Whether the provider is asked before `event` is handed over, where a
    /// [`Confirm`](crate::Confirm) is set. By default always, but for progress that says nothing
    /// that a handler could act on ([`step`](Stage::Progress) 0).
    fn confirms(&self, event: &Self::Event) -> bool {
        !matches!(event.stage(), Stage::Progress { step: 0, .. })
    }

    /// Reads the body of a callback, without any check of its origin: for tests and tools.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`] when it is not JSON or its task id is missing, ambiguous or malformed.
    fn parse(&self, body: impl AsRef<[u8]>) -> Result<Self::Event, InvalidEvent> {
        let check = |scanned: &Scanned<'_>| scanned.check_ids();
        scan::<KeysOf<Self>, _, _, _>(body.as_ref(), check, |(), scanned, text| {
            callback(self, scanned, text)
        })
    }

    /// Reads a record that the provider's API returned about `task`: the whole answer, in which
    /// `code` is the API's own.
    ///
    /// # Errors
    ///
    /// As for [`parse`](Self::parse), but a record without a task id is one of the task that was
    /// asked about; [`InvalidEvent::TaskIdsDiffer`] when it names another.
    fn parse_record(
        &self,
        task: &TaskId,
        record: impl AsRef<[u8]>,
    ) -> Result<Self::Event, InvalidEvent> {
        let is_of_task = |scanned: &Scanned<'_>| match scanned.check_ids() {
            Err(InvalidEvent::NoTaskId) => Ok(()),
            Ok(()) if task == scanned.task_id() => Ok(()),
            Ok(()) => Err(InvalidEvent::TaskIdsDiffer),
            Err(why) => Err(why),
        };
        scan::<KeysOf<Self>, _, _, _>(record.as_ref(), is_of_task, |(), scanned, text| {
            self.read(task.clone(), Source::Record, scanned, text)
        })
    }
}

/// The event of what [`Scanned::check_ids`] has seen.
pub(crate) fn callback<P: Product>(product: &P, scanned: &Scanned<'_>, text: &str) -> P::Event {
    let task_id = TaskId::from_valid(scanned.task_id());
    product.read(task_id, Source::Callback, scanned, text)
}

/// The keys of a product, for the scanner, which knows none.
pub(crate) struct KeysOf<P>(std::marker::PhantomData<P>);

impl<P: Product> Keys for KeysOf<P> {
    fn key(level: Level, key: &str) -> Key {
        P::key(level, key)
    }
}

/// Where a body came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The provider's callback.
    Callback,
    /// The answer of the provider's API. There `code` speaks of the question and says nothing about
    /// the task.
    Record,
}
