//! Nothing that a provider or an attacker wrote reaches a log but escaped, and links not at all.

use suno_callback::product::{
    AnyProduct, CoverImage, Event, Job, Lyrics, Midi, Music, Product, Stems, Video, Wav,
};

use crate::{
    fixtures::{CALLBACKS, RECORDS},
    said::{callback, fixture},
};

#[test]
fn debug_shows_neither_links_nor_texts() {
    for (name, product, ..) in CALLBACKS.iter().chain(RECORDS) {
        let said = callback(product, fixture(name)).expect("an event");
        for secret in [
            "https",
            "example",
            "Harbour",
            "lamps",
            "prompt",
            "callBackUrl",
            "msg",
        ] {
            assert!(!said.debug.contains(secret), "{name}: {}", said.debug);
        }
        assert!(said.debug.contains(&said.task_id), "{name}: {}", said.debug);
    }
}

#[test]
fn debug_of_outcomes_and_results_shows_neither_links_nor_texts() {
    let music = Music.parse(fixture("music-complete")).expect("an event");
    let lyrics = Lyrics
        .parse(fixture("lyrics-complete-kie"))
        .expect("an event");
    let wav = Wav.parse(fixture("wav-success")).expect("an event");
    let stems = Stems.parse(fixture("stems-two-kie")).expect("an event");
    let midi = Midi.parse(fixture("midi-success")).expect("an event");
    let video = Video.parse(fixture("mp4-success-kie")).expect("an event");
    let covers = CoverImage
        .parse(fixture("cover-image-success"))
        .expect("an event");
    let job = Job.parse(fixture("job-success")).expect("an event");
    let any = AnyProduct.parse(fixture("veo-success")).expect("an event");
    let shown = [
        format!("{:?} {:?}", music.outcome(), music.tracks()),
        format!("{:?} {:?}", lyrics.outcome(), lyrics.texts()),
        format!("{:?}", wav.outcome()),
        format!("{:?} {:?}", stems.outcome(), stems.stems()),
        format!("{:?} {:?}", midi.outcome(), midi.instruments()),
        format!("{:?}", video.outcome()),
        format!("{:?}", covers.outcome()),
        format!("{:?} {:?}", job.outcome(), job.result_json()),
        format!("{:?}", any.outcome()),
    ];
    for shown in shown {
        for secret in ["https", "Harbour", "lamps", "prompt", "callBackUrl"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn a_word_of_the_provider_is_escaped_and_cut() {
    let word = format!("a\\n\\u001b[31m{}", "x".repeat(10_000));
    for (product, key) in [
        ("music", "callbackType"),
        ("job", "state"),
        ("wav", "successFlag"),
    ] {
        let body = format!(r#"{{"code":200,"data":{{"taskId":"t","{key}":"{word}"}}}}"#);
        let said = callback(product, body).expect("an event");
        assert!(said.name.contains('\u{1b}'), "{product}");
        assert!(!said.debug.contains(['\n', '\u{1b}']), "{}", said.debug);
        assert!(said.debug.len() < 600, "{}", said.debug);
    }
}

#[test]
fn the_message_of_a_failure_is_escaped_and_cut() {
    let body = format!(
        r#"{{"code":500,"msg":"\n{}","data":{{"taskId":"t"}}}}"#,
        "x".repeat(10_000)
    );
    let event = Wav.parse(body).expect("an event");
    let shown = format!("{:?}", event.outcome());
    assert!(!shown.contains('\n') && shown.len() < 600, "{shown}");
    assert_eq!(
        event
            .failure()
            .and_then(|failure| Some(failure.message()?.len())),
        Some(10_001)
    );
}

#[test]
fn what_is_no_link_is_no_result() {
    for link in [
        r"https://f/a\nX-Evil: 1",
        r"a b",
        r"\u0000",
        r"\ud83c",
        r"\ufffd",
    ] {
        let body = format!(r#"{{"code":200,"data":{{"taskId":"t","audioWavUrl":"{link}"}}}}"#);
        let said = callback("wav", body).expect("an event");
        assert_eq!(
            (&*said.stage, said.results.len()),
            ("no_result", 0),
            "{link}"
        );
    }
}

#[test]
fn half_a_character_in_a_title_hides_no_track() {
    let body = br#"{"code":200,"data":{"task_id":"t","callbackType":"complete","data":[
        {"id":"a","\ud83c":1,"title":"x\ud83c","audio_url":"https:\/\/f\/a"}]}}"#;
    let event = Music.parse(body).expect("an event");
    assert_eq!(event.tracks()[0].title(), Some("x\u{fffd}"));
    assert_eq!(event.results(), ["https://f/a"]);
    let bytes = [&br#"{"code":200,"data":{"task_id":"t","callbackType":"complete","data":[{"id":"a","title":""#[..],
        b"\xf0\x9f", br#"","audio_url":"https://f/a"}]}}"#].concat();
    assert_eq!(
        Music.parse(bytes).expect("an event").results(),
        ["https://f/a"]
    );
}

#[test]
fn what_is_very_deep_or_very_long_is_read_in_place() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}1{}", r#"{"data":"#.repeat(50_000), "}".repeat(50_000));
    let long = format!("[{}0]", "0,".repeat(50_000));
    let records = format!(
        "[{}{{}}]",
        r#"{"id":"a","text":"t","name":1,"notes":[1]},"#.repeat(2_000)
    );
    for content in [deep, objects, long, records] {
        let quoted = serde_json::to_string(&content).expect("a text");
        for product in crate::said::PRODUCTS {
            for data in [
                format!(r#""callbackType":"complete","data":{content}"#),
                format!(r#""state":"complete","instruments":{content}"#),
                format!(r#""state":"success","resultJson":{quoted}"#),
                format!(r#""images":{content},"response":{content},"info":{content}"#),
            ] {
                let body = format!(r#"{{"code":200,"data":{{"taskId":"t",{data}}}}}"#);
                let said = callback(product, body).expect("an event");
                assert_eq!(said.task_id, "t");
            }
        }
    }
}

#[test]
fn one_url_for_everything_collects_64_links_at_most() {
    for (count, most) in [(63, 63), (64, 64), (65, 64), (10_000, 64)] {
        let links: Vec<_> = (0..count).map(|n| format!(r#""https://f/{n}""#)).collect();
        let links = links.join(",");
        let body =
            format!(r#"{{"code":200,"data":{{"taskId":"t","info":{{"resultUrls":[{links}]}}}}}}"#);
        let event = AnyProduct.parse(body).expect("an event");
        assert_eq!(event.links().len(), most);
    }
}

#[test]
fn a_limit_leaves_room_for_what_is_documented() {
    let escaped = r"\ud83c\udfb5".repeat(5_000);
    let track = format!(r#"{{"id":"a","prompt":"{escaped}","audio_url":"https://f/a"}}"#);
    let body = format!(
        r#"{{"code":200,"data":{{"task_id":"t","callbackType":"complete","data":[{track},{track}]}}}}"#
    );
    assert!(body.len() < Music.body_limit());
    let note = r#"{"pitch": 73, "start": "123.0364", "end": "123.1822", "velocity": 0.787401},"#;
    assert!(note.len() * 20_000 < Midi.body_limit());
    assert_eq!(Wav.body_limit(), 16 * 1024);
    assert!(AnyProduct.body_limit() >= Midi.body_limit());
}
