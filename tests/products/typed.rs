//! What a handler gets.

use suno_callback::{
    TaskId,
    product::{
        CoverImage, CoverImageOutcome, Event, Job, JobOutcome, Lyrics, LyricsOutcome, Midi,
        MidiOutcome, Music, MusicOutcome, Product, StemKind, Stems, StemsOutcome, TaskOutcome,
        Video, Wav,
    },
};

use crate::{fixtures::task_of, said::fixture};

fn record<P: Product>(product: P, name: &str) -> P::Event {
    let body = fixture(name);
    let task = TaskId::new(task_of(&body)).expect("an id");
    product.parse_record(&task, body).expect("a record")
}

#[test]
fn a_track_has_everything_in_both_spellings() {
    let told = Music.parse(fixture("music-complete")).expect("an event");
    let asked = record(Music, "music-record-success");
    assert_eq!(told.tracks(), asked.tracks());
    let MusicOutcome::Complete(tracks) = told.outcome() else {
        panic!("{told:?}")
    };
    assert_eq!(tracks.len(), 2);
    let track = &tracks[0];
    assert_eq!(track.id(), Some("track-1"));
    assert_eq!(track.title(), Some("Harbour"));
    assert_eq!(track.tags(), Some("folk, calm"));
    assert_eq!(track.prompt(), Some("[Verse] The lamps go out"));
    assert_eq!(track.model_name(), Some("chirp-v3-5"));
    assert_eq!(track.create_time(), Some("2025-01-01 00:00:00"));
    assert_eq!(track.duration(), Some(151.2));
    assert_eq!(track.audio_url(), Some("https://files.example/track-1.mp3"));
    assert_eq!(
        track.stream_audio_url(),
        Some("https://files.example/track-1")
    );
    assert_eq!(
        track.image_url(),
        Some("https://files.example/track-1.jpeg")
    );
    assert_eq!(track.source_audio_url(), None);
}

#[test]
fn a_track_names_its_source_where_it_has_one() {
    let event = Music
        .parse(fixture("music-complete-source-urls"))
        .expect("an event");
    let tracks = event.tracks();
    let origin = |name: &str| format!("https://origin.example/{name}");
    assert_eq!(tracks[0].source_audio_url(), Some(&*origin("track-3.mp3")));
    assert_eq!(
        tracks[0].source_stream_audio_url(),
        Some(&*origin("track-3"))
    );
    assert_eq!(tracks[0].source_image_url(), Some(&*origin("track-3.jpeg")));
}

#[test]
fn what_is_odd_in_a_track_is_absent_and_hides_nothing_else() {
    let event = Music
        .parse(
            r#"{"code":200,"data":{"task_id":"t","callbackType":"text","data":[
                7, null, [], {}, {"id":7,"title":["x"],"tags":null,"prompt":"","duration":"3.5","createTime":1735689600000}
            ]}}"#,
        )
        .expect("an event");
    let MusicOutcome::Text(tracks) = event.outcome() else {
        panic!("{event:?}")
    };
    assert_eq!(tracks.len(), 1);
    let track = &tracks[0];
    assert_eq!(
        (track.id(), track.title(), track.tags()),
        (Some("7"), None, None)
    );
    assert_eq!((track.prompt(), track.duration()), (None, Some(3.5)));
    assert_eq!(track.create_time(), Some("1735689600000"));
}

#[test]
fn music_is_told_stage_by_stage() {
    let outcome = |name| {
        let event = Music.parse(fixture(name)).expect("an event");
        event.outcome().as_str()
    };
    assert_eq!(outcome("music-text"), "text");
    assert_eq!(outcome("music-first"), "first");
    assert_eq!(outcome("music-complete"), "complete");
    assert_eq!(outcome("music-error"), "failed");
    assert_eq!(outcome("job-signing-page-sample"), "unknown");
    assert_eq!(
        record(Music, "music-record-pending").outcome(),
        MusicOutcome::Pending
    );
}

#[test]
fn a_refund_is_told() {
    for (name, code, refunded) in [
        ("music-error-refunded", 531, true),
        ("music-error", 501, false),
        ("music-error-sunoapi", 400, false),
    ] {
        let event = Music.parse(fixture(name)).expect("an event");
        let failure = event.failure().expect("a failure");
        assert_eq!(
            (failure.code(), failure.is_refunded()),
            (Some(code), refunded),
            "{name}"
        );
    }
}

#[test]
fn a_failure_says_why() {
    let told = Music
        .parse(fixture("replace-section-error"))
        .expect("an event");
    assert_eq!(
        told.failure().expect("a failure").message(),
        Some("Audio generation failed.")
    );
    assert_eq!(told.section_error(), Some("The section could not be made"));

    let asked = record(Music, "music-record-failed");
    let failure = asked.failure().expect("a failure");
    assert_eq!((failure.code(), failure.error_code()), (None, Some(413)));
    assert_eq!(
        failure.message(),
        Some("Uploaded audio matches an existing work")
    );

    let midi = record(Midi, "midi-record-failed");
    assert_eq!(midi.failure().expect("a failure").error_code(), Some(500));

    let job = Job.parse(fixture("job-failed")).expect("an event");
    let JobOutcome::Failed(failure) = job.outcome() else {
        panic!("{job:?}")
    };
    assert_eq!(
        (failure.code(), failure.error_code()),
        (Some(501), Some(400))
    );
    assert_eq!(failure.message(), Some("The prompt was refused"));
    assert_eq!(
        Job.parse(fixture("job-success"))
            .expect("an event")
            .failure(),
        None
    );
}

#[test]
fn lyrics_that_failed_within_a_success_are_left_out() {
    let LyricsOutcome::Ready(texts) = record(Lyrics, "lyrics-record-success").outcome().clone()
    else {
        panic!("no texts")
    };
    let texts: Vec<_> = texts
        .iter()
        .map(|text| (text.title(), text.text()))
        .collect();
    assert_eq!(texts, [(Some("Harbour"), "[Verse]\nThe lamps go out")]);
    let both = Lyrics
        .parse(fixture("lyrics-complete-sunoapi"))
        .expect("an event");
    assert_eq!(both.texts().len(), 2);
}

#[test]
fn a_link_is_the_result_of_a_file() {
    let wav = Wav.parse(fixture("wav-success-snake")).expect("an event");
    assert_eq!(
        wav.outcome(),
        TaskOutcome::Ready("https://files.example/track-1.wav".into())
    );
    let video = record(Video, "mp4-record-success");
    assert_eq!(
        video.video_url().as_deref(),
        Some("https://files.example/track-1.mp4")
    );
    let covers = CoverImage
        .parse(fixture("cover-image-success"))
        .expect("an event");
    assert!(matches!(covers.outcome(), CoverImageOutcome::Ready(images) if images.len() == 2));
}

#[test]
fn stems_are_told_by_what_is_heard_in_them() {
    let told = Stems.parse(fixture("stems-many-kie")).expect("an event");
    let asked = record(Stems, "stems-record-many");
    let StemsOutcome::Ready(stems) = told.outcome() else {
        panic!("{told:?}")
    };
    assert_eq!(stems, asked.stems());
    assert_eq!(stems.len(), 12);
    let of = |kind| {
        stems
            .iter()
            .find(|stem| stem.kind() == kind)
            .map(|stem| stem.url())
    };
    assert_eq!(
        of(StemKind::BackingVocals),
        Some("https://files.example/backing.mp3")
    );
    assert_eq!(of(StemKind::Instrumental), None);
    assert_eq!(StemKind::BackingVocals.as_str(), "backing_vocals");
    assert_eq!(StemKind::Woodwinds.as_str(), "woodwinds");
}

#[test]
fn the_ids_that_midi_wants_are_in_the_record_of_stems() {
    let origins = record(Stems, "stems-record-two").origins();
    assert_eq!(origins.len(), 2);
    assert_eq!(
        (origins[0].id(), origins[0].group()),
        ("stem-v", Some("Vocals"))
    );
    assert_eq!(origins[0].duration(), Some(151.2));
    assert_eq!(
        origins[0].audio_url(),
        Some("https://files.example/vocals.mp3")
    );
    let told = Stems.parse(fixture("stems-two-kie")).expect("an event");
    assert!(told.origins().is_empty());
}

#[test]
fn notes_are_read_from_numbers_and_from_texts() {
    let event = Midi.parse(fixture("midi-success")).expect("an event");
    let MidiOutcome::Ready(instruments) = event.outcome() else {
        panic!("{event:?}")
    };
    let names: Vec<_> = instruments
        .iter()
        .map(|it| (it.name(), it.notes().len()))
        .collect();
    assert_eq!(names, [("Drums", 2), ("Electric Bass (finger)", 1)]);
    let note = instruments[1].notes()[0];
    assert_eq!(
        (note.pitch, note.start, note.end, note.velocity),
        (44.0, 7.6875, 7.9114, Some(1.0))
    );
    assert_eq!(
        record(Midi, "midi-record-success").instruments()[0]
            .notes()
            .len(),
        1
    );
}

#[test]
fn a_note_that_is_none_is_left_out() {
    let notes = |note: &str| {
        let body = format!(
            r#"{{"code":200,"data":{{"taskId":"t","state":"complete","instruments":[{{"notes":[{note}]}}]}}}}"#
        );
        let instruments = Midi.parse(body).expect("an event").instruments();
        instruments[0].notes().len()
    };
    assert_eq!(notes(r#"{"pitch":1,"start":0,"end":1}"#), 1);
    for odd in [
        r#"{"pitch":null,"start":0,"end":1}"#,
        r#"{"pitch":1,"start":"NaN","end":1}"#,
        r#"{"pitch":1,"start":0,"end":1e999}"#,
        r#"{"pitch":1,"start":true,"end":1}"#,
        "7",
        "[]",
    ] {
        assert_eq!(notes(odd), 0, "{odd}");
    }
}

#[test]
fn a_job_says_its_model_and_all_of_its_result() {
    let event = Job.parse(fixture("job-success")).expect("an event");
    assert_eq!(event.model(), Some("vendor/model"));
    let JobOutcome::Ready(result) = event.outcome() else {
        panic!("{event:?}")
    };
    assert_eq!(result.urls(), ["https://files.example/result-1.png"]);
    assert_eq!(
        result.json(),
        r#"{"resultUrls":["https://files.example/result-1.png"]}"#
    );
    let waiting = record(Job, "job-record-waiting");
    assert_eq!(waiting.outcome(), JobOutcome::Pending);
    assert_eq!(Event::name(&waiting), "waiting");
}

#[test]
fn each_product_knows_where_its_record_is() {
    assert_eq!(Music.record_path(), Some("/api/v1/generate/record-info"));
    assert_eq!(Lyrics.record_path(), Some("/api/v1/lyrics/record-info"));
    assert_eq!(Wav.record_path(), Some("/api/v1/wav/record-info"));
    assert_eq!(
        Stems.record_path(),
        Some("/api/v1/vocal-removal/record-info")
    );
    assert_eq!(Midi.record_path(), Some("/api/v1/midi/record-info"));
    assert_eq!(Video.record_path(), Some("/api/v1/mp4/record-info"));
    assert_eq!(
        CoverImage.record_path(),
        Some("/api/v1/suno/cover/record-info")
    );
    assert_eq!(Job.record_path(), Some("/api/v1/jobs/recordInfo"));
    assert_eq!(suno_callback::product::AnyProduct.record_path(), None);
}
