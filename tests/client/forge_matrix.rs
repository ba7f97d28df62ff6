//! What somebody can do with one captured header pair, without and with a confirmer.
//!
//! The pair is good for one task and for the tolerance, and for any body. `--nocapture` prints the
//! table of the README.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use harness::fake_api::{API_KEY, FakeApi};
use harness::{Callback, Seen, accepting, key, unix_now};
use suno_callback::{
    CallbackKind, MemoryStore, SunoCallbackLayer, VoiceClient, VoiceEvent, VoiceOutcome,
    client::ApiKey,
};
use tower::{Layer, ServiceExt};

/// One thing that happens.
enum Step {
    /// A request arrives, and is answered with one of these: without and with a confirmer.
    Arrives(Callback, [u16; 2]),
    /// Many requests arrive, whatever their answer.
    Floods(Vec<Callback>),
    /// The provider's record changes.
    Records(fn(&FakeApi)),
}

/// What the handler must have seen at the end, and what became of conflicts.
#[derive(Debug, PartialEq)]
struct Seeing {
    events: Vec<String>,
    conflicts: usize,
}

struct Attack {
    name: &'static str,
    kind: CallbackKind,
    steps: Vec<Step>,
    without: Seeing,
    with: Seeing,
    stopped_without: &'static str,
    stopped_with: &'static str,
}

fn seeing<const N: usize>(events: [&str; N], conflicts: usize) -> Seeing {
    Seeing {
        events: events.map(String::from).into(),
        conflicts,
    }
}

/// The genuine callback whose headers leaked.
fn captured() -> Callback {
    Callback::success("t", "genuine")
}

/// The same header pair under another body.
fn forged(body: impl Into<String>) -> Callback {
    Callback {
        body: body.into(),
        ..captured()
    }
}

fn success(voice: &str) -> String {
    Callback::success("t", voice).body
}

fn is_done(api: &FakeApi) {
    api.succeed("t", "genuine");
}

fn summary(event: &VoiceEvent) -> String {
    match event.outcome() {
        VoiceOutcome::Ready(voice) => format!("ready {voice}"),
        VoiceOutcome::PhraseReady(phrase) => format!("phrase {phrase}"),
        VoiceOutcome::Failed(failure) => {
            format!("failed {}", failure.error_message().unwrap_or_default())
        }
        other => other.as_str().to_owned(),
    }
}

async fn play(attack: &Attack, confirming: bool) -> Seeing {
    let api = FakeApi::default();
    api.progress("t", "wait_processing");
    let conflicts = Arc::new(AtomicUsize::new(0));
    let hook = Arc::clone(&conflicts);
    let mut layer = SunoCallbackLayer::new(key(), MemoryStore::default())
        .kind(attack.kind)
        .on_conflict(move |_| {
            hook.fetch_add(1, SeqCst);
        });
    if confirming {
        let client = VoiceClient::new(api.clone(), ApiKey::new(API_KEY).unwrap());
        layer = layer.confirm(client);
    }
    let seen = Seen::default();
    let service = layer.layer(accepting(seen.clone()));
    let send = |callback: &Callback| service.clone().oneshot(callback.request());
    for step in &attack.steps {
        match step {
            Step::Records(change) => change(&api),
            Step::Arrives(callback, statuses) => {
                let response = send(callback).await.unwrap();
                let expected = statuses[usize::from(confirming)];
                assert_eq!(response.status(), expected, "{}", attack.name);
            }
            Step::Floods(callbacks) => {
                let asked = api.count();
                for callback in callbacks {
                    send(callback).await.unwrap();
                }
                let asked = api.count() - asked;
                assert!(asked <= 1, "{}: {asked} questions", attack.name);
            }
        }
        // The next thing happens later than an answer is used again.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    Seeing {
        events: seen.all().iter().map(|(event, _)| summary(event)).collect(),
        conflicts: conflicts.load(SeqCst),
    }
}

fn attacks() -> Vec<Attack> {
    use CallbackKind::{Generate, Validate};
    use Step::{Arrives, Floods, Records};
    let hostile = "<script>";
    let failure = r#"{"code":400,"data":{"taskId":"t","status":"fail","errorMessage":"<script>"}}"#;
    let variants = |body: fn(usize) -> String| (0..500).map(|n| forged(body(n))).collect();
    vec![
        Attack {
            name: "the captured request again",
            kind: Generate,
            steps: vec![
                Records(is_done),
                Arrives(captured(), [200, 200]),
                Arrives(captured(), [200, 200]),
            ],
            without: seeing(["ready genuine"], 0),
            with: seeing(["ready genuine"], 0),
            stopped_without: "**stopped**: one slot per outcome",
            stopped_with: "**stopped**: the same",
        },
        Attack {
            name: "success with a foreign voice, before the genuine one",
            kind: Generate,
            steps: vec![
                Arrives(forged(success("forged")), [200, 503]),
                Records(is_done),
                Arrives(captured(), [200, 200]),
            ],
            without: seeing(["ready forged"], 1),
            with: seeing(["ready genuine"], 0),
            stopped_without: "delivered; the genuine one is reported as a conflict",
            stopped_with: "**stopped**: the record is pending; 503, and asked on about",
        },
        Attack {
            name: "success with a foreign voice, once the task is done",
            kind: Generate,
            steps: vec![
                Records(is_done),
                Arrives(forged(success("forged")), [200, 200]),
                Arrives(captured(), [200, 200]),
            ],
            without: seeing(["ready forged"], 1),
            with: seeing(["ready genuine"], 0),
            stopped_without: "delivered; the genuine one is reported as a conflict",
            stopped_with: "**stopped**: the record is delivered instead",
        },
        Attack {
            name: "success with a foreign voice, after the genuine one",
            kind: Generate,
            steps: vec![
                Records(is_done),
                Arrives(captured(), [200, 200]),
                Arrives(forged(success("forged")), [200, 200]),
            ],
            without: seeing(["ready genuine"], 1),
            with: seeing(["ready genuine"], 0),
            stopped_without: "**stopped**: the first stands; reported, with \"same header pair\"",
            stopped_with: "**stopped**: what stands is confirmed",
        },
        Attack {
            name: "failure before the genuine success",
            kind: Generate,
            steps: vec![
                Arrives(forged(failure), [200, 503]),
                Records(is_done),
                Arrives(captured(), [200, 200]),
            ],
            without: seeing(["failed <script>", "ready genuine"], 0),
            with: seeing(["ready genuine"], 0),
            stopped_without: "delivered; the success still comes after it",
            stopped_with: "**stopped**: the record is pending; 503, and asked on about",
        },
        Attack {
            name: "failure after the genuine success",
            kind: Generate,
            steps: vec![
                Records(is_done),
                Arrives(captured(), [200, 200]),
                Arrives(forged(failure), [200, 200]),
            ],
            without: seeing(["ready genuine"], 0),
            with: seeing(["ready genuine"], 0),
            stopped_without: "**stopped**: late once a success is done",
            stopped_with: "**stopped**: the same",
        },
        Attack {
            name: "hostile phrase to be sung",
            kind: Validate,
            steps: vec![
                Records(|api| api.phrase("t", "genuine")),
                Arrives(forged(Callback::phrase("t", hostile).body), [200, 200]),
                Arrives(Callback::phrase("t", "genuine"), [200, 200]),
            ],
            without: seeing(["phrase <script>", "phrase genuine"], 0),
            with: seeing(["phrase genuine"], 0),
            stopped_without: "delivered: escape it",
            stopped_with: "**stopped**: the record is delivered instead",
        },
        Attack {
            name: "hostile error message for a task that failed",
            kind: Generate,
            steps: vec![
                Records(|api| api.fail("t")),
                Arrives(forged(failure), [200, 200]),
                Arrives(Callback::failure("t"), [200, 200]),
            ],
            without: seeing(["failed <script>"], 0),
            with: seeing(["failed no"], 0),
            stopped_without: "delivered: escape it (our logs do)",
            stopped_with: "**stopped**: the record is delivered instead",
        },
        Attack {
            name: "the pair of another product or of staging, under a voice body",
            kind: Generate,
            steps: vec![Arrives(Callback::success("music-1", "forged"), [200, 503])],
            without: seeing(["ready forged"], 0),
            with: seeing([], 0),
            stopped_without: "delivered: check that the task is yours",
            stopped_with: "**stopped**: there is no such record; 503",
        },
        Attack {
            name: "500 foreign voices",
            kind: Generate,
            steps: vec![
                Records(is_done),
                Floods(variants(|n| success(&format!("forged-{n}")))),
            ],
            without: seeing(["ready forged-0"], 499),
            with: seeing(["ready genuine"], 0),
            stopped_without: "one delivered, the others reported",
            stopped_with: "**stopped**: one question, one delivery",
        },
        Attack {
            name: "500 contradictions",
            kind: Generate,
            steps: vec![
                Records(is_done),
                Floods(variants(|n| {
                    format!(
                        r#"{{"code":{n},"data":{{"taskId":"t","voiceId":"v","status":"success"}}}}"#
                    )
                })),
            ],
            without: Seeing {
                events: [
                    vec!["inconsistent".to_owned(); 16],
                    vec!["ready v".to_owned()],
                ]
                .concat(),
                conflicts: 0,
            },
            with: seeing(["ready genuine"], 0),
            stopped_without: "16 delivered as `Inconsistent`, the others 503",
            stopped_with: "**stopped**: one question, one delivery",
        },
        Attack {
            name: "500 statuses that nobody listed",
            kind: Generate,
            steps: vec![Floods(variants(|n| {
                format!(r#"{{"code":200,"data":{{"taskId":"t","status":"s-{n}"}}}}"#)
            }))],
            without: Seeing {
                events: vec!["unknown".to_owned(); 16],
                conflicts: 0,
            },
            with: Seeing {
                events: vec!["unknown".to_owned(); 16],
                conflicts: 0,
            },
            stopped_without: "16 delivered as `Unknown`, the others 503",
            stopped_with: "the same, as long as the record does not decide",
        },
        Attack {
            name: "a body altered on its way",
            kind: Generate,
            steps: vec![
                Records(is_done),
                Arrives(forged(success("forged")), [200, 200]),
            ],
            without: seeing(["ready forged"], 0),
            with: seeing(["ready genuine"], 0),
            stopped_without: "delivered",
            stopped_with: "**stopped**: the record is delivered instead",
        },
        Attack {
            name: "a pair older than the tolerance",
            kind: Generate,
            steps: vec![
                Records(is_done),
                Arrives(captured().signed_at(unix_now() - 400), [401, 401]),
            ],
            without: seeing([], 0),
            with: seeing([], 0),
            stopped_without: "**stopped**: 401",
            stopped_with: "**stopped**: 401",
        },
        Attack {
            name: "the pair for another task",
            kind: Generate,
            steps: vec![
                Records(is_done),
                Arrives(forged(Callback::success("u", "v").body), [401, 401]),
            ],
            without: seeing([], 0),
            with: seeing([], 0),
            stopped_without: "**stopped**: 401",
            stopped_with: "**stopped**: 401",
        },
        Attack {
            name: "two ids, or one key twice",
            kind: Generate,
            steps: vec![
                Arrives(
                    forged(
                        r#"{"code":200,"taskId":"t","data":{"taskId":"u","voiceId":"v","status":"success"}}"#,
                    ),
                    [400, 400],
                ),
                Arrives(
                    forged(
                        r#"{"code":200,"data":{"taskId":"u","taskId":"t","voiceId":"v","status":"success"}}"#,
                    ),
                    [400, 400],
                ),
            ],
            without: seeing([], 0),
            with: seeing([], 0),
            stopped_without: "**stopped**: 400",
            stopped_with: "**stopped**: 400",
        },
        Attack {
            name: "no pair at all",
            kind: Generate,
            steps: vec![Arrives(
                Callback {
                    signature: "A".repeat(43) + "=",
                    ..captured()
                },
                [401, 401],
            )],
            without: seeing([], 0),
            with: seeing([], 0),
            stopped_without: "**stopped**: 401",
            stopped_with: "**stopped**: 401",
        },
    ]
}

#[tokio::test(start_paused = true)]
async fn each_attack_ends_as_the_table_says() {
    let readme = include_str!("../../README.md");
    let head = "| attack | signature alone | with `confirm` |\n|---|---|---|\n";
    let (_, table) = readme.split_once(head).expect("the table");
    let mut rows = table.lines();
    for attack in attacks() {
        let name = attack.name;
        assert_eq!(play(&attack, false).await, attack.without, "{name}");
        assert_eq!(play(&attack, true).await, attack.with, "{name}");
        let (without, with) = (attack.stopped_without, attack.stopped_with);
        let row = format!("| {name} | {without} | {with} |");
        println!("{row}");
        assert_eq!(rows.next(), Some(&*row));
    }
    assert_eq!(rows.next(), Some(""));
}
