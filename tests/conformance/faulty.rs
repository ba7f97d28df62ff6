//! A product that is right, but for one fault.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use suno_callback::{
    InvalidEvent, TaskId, VoiceEvent,
    product::{Event, Key, Level, Product, Scanned, Source, Stage, Value, Voice},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    StageIsUnknown,
    NameIsEmpty,
    NameIsASentence,
    NameCounts,
    PanicsAtOddValues,
    PanicsInDebug,
    CountsReadings,
    BodyIsLost,
    WantsTheDocumentedId,
    LastIdWins,
    MarkerAloneDecides,
    CodeAloneDecides,
    RepeatedKeyWins,
    UnknownIsFailure,
    UnknownIsProgress,
    NothingIsFinal,
    FailureHasResults,
    OneSlotForTheUnknown,
    CodeOfRecordsCounts,
    RecordPathIsALink,
    RecordHasAnotherResult,
    DebugIsRaw,
    DebugIsWhole,
    DebugShowsLinks,
    LimitIsSmall,
    LimitIsNone,
    ProgressIsItsBody,
    ProgressHasOneName,
    ResultIsConstant,
    SuccessIsProgress,
}

/// Voices whose ids are links.
#[derive(Clone, Copy, Debug)]
pub struct Faulty(pub Fault);

#[derive(Clone)]
pub struct FaultyEvent {
    fault: Fault,
    inner: VoiceEvent,
    task_id: TaskId,
    is_record: bool,
    name: String,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Product for Faulty {
    type Event = FaultyEvent;

    fn name(&self) -> &'static str {
        match self.0 {
            Fault::NameIsEmpty => "",
            Fault::NameIsASentence => "all about voices",
            Fault::NameCounts if COUNT.fetch_add(1, Relaxed) & 1 == 0 => "even",
            Fault::NameCounts => "odd",
            _ => "faulty",
        }
    }

    fn key(level: Level, key: &str) -> Key {
        Voice::key(level, key)
    }

    fn read(
        &self,
        task_id: TaskId,
        source: Source,
        scanned: &Scanned<'_>,
        body: &str,
    ) -> FaultyEvent {
        // The field of the status.
        let is_odd = *scanned.get(1) == Value::Odd;
        assert!(
            !is_odd || self.0 != Fault::PanicsAtOddValues,
            "an odd status"
        );
        let source_of_code = match self.0 {
            Fault::CodeOfRecordsCounts => Source::Callback,
            _ => source,
        };
        let inner = Voice::generate().read(task_id.clone(), source_of_code, scanned, body);
        let is_documented = body.contains(r#""taskId""#);
        FaultyEvent {
            fault: self.0,
            task_id: match self.0 {
                Fault::WantsTheDocumentedId if !is_documented => TaskId::new("?").unwrap(),
                _ => task_id,
            },
            is_record: source == Source::Record,
            name: match self.0 {
                Fault::CountsReadings => COUNT.fetch_add(1, Relaxed).to_string(),
                _ => inner.name().into(),
            },
            inner,
        }
    }

    fn body_limit(&self) -> usize {
        match self.0 {
            Fault::LimitIsSmall => 100,
            Fault::LimitIsNone => usize::MAX,
            _ => 2000,
        }
    }

    fn record_path(&self) -> Option<&'static str> {
        match self.0 {
            Fault::RecordPathIsALink => Some("https://api.example/record?taskId="),
            _ => Some("/api/v1/faulty/record-info"),
        }
    }

    fn parse(&self, body: impl AsRef<[u8]>) -> Result<FaultyEvent, InvalidEvent> {
        let text = String::from_utf8_lossy(body.as_ref()).into_owned();
        let read = |body: &str| {
            let task = Voice::generate().parse(body)?.task_id().clone();
            // For a callback the code counts, and a record has none.
            let event = self.parse_record(&task, body)?;
            Ok(FaultyEvent {
                inner: Voice::generate().parse(body)?,
                is_record: false,
                ..event
            })
        };
        match read(&text) {
            Err(InvalidEvent::TaskIdsDiffer) if self.0 == Fault::LastIdWins => {
                read(r#"{"taskId":"t"}"#)
            }
            read => read,
        }
    }
}

impl Event for FaultyEvent {
    type Product = Faulty;

    fn product(&self) -> Faulty {
        Faulty(self.fault)
    }

    fn task_id(&self) -> &TaskId {
        &self.task_id
    }

    fn body(&self) -> &str {
        match self.fault {
            Fault::BodyIsLost => "",
            _ => self.inner.body(),
        }
    }

    fn stage(&self) -> Stage {
        let failed = matches!(self.inner.stage(), Stage::Failure);
        match (self.fault, self.inner.stage()) {
            (Fault::StageIsUnknown, _) => Stage::Unknown,
            (Fault::MarkerAloneDecides, Stage::Inconsistent { why: "code_denies" }) => {
                Stage::Success
            }
            (Fault::CodeAloneDecides, _) if failed && self.inner.code() == Some(200) => {
                Stage::Success
            }
            (
                Fault::RepeatedKeyWins,
                Stage::Inconsistent {
                    why: "repeated_key",
                },
            ) => Stage::Success,
            (Fault::UnknownIsFailure, Stage::Unknown) => Stage::Failure,
            (Fault::UnknownIsProgress, Stage::Unknown) => progress("other"),
            (Fault::ProgressHasOneName, Stage::Progress { .. }) => progress("progress"),
            (Fault::SuccessIsProgress, Stage::Success) => progress("done"),
            (_, stage) => stage,
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn variant(&self) -> &str {
        match (self.fault, self.stage()) {
            (Fault::OneSlotForTheUnknown, Stage::Unknown) => "",
            (Fault::ProgressIsItsBody, Stage::Progress { .. }) => self.inner.body(),
            (Fault::ProgressHasOneName, Stage::Progress { .. }) => "",
            _ => self.inner.variant(),
        }
    }

    fn result(&self) -> Option<&str> {
        if self.stage() != Stage::Success {
            return None;
        }
        match self.fault {
            Fault::ResultIsConstant => Some("a voice"),
            Fault::RecordHasAnotherResult if self.is_record => Some("of a record"),
            _ => self.inner.voice_id().map(|id| id.as_str()),
        }
    }

    fn results(&self) -> Vec<String> {
        match self.fault {
            Fault::FailureHasResults => vec!["https://files.example/latest.mp3".into()],
            _ => self.result().map(str::to_owned).into_iter().collect(),
        }
    }

    fn is_final(&self) -> bool {
        self.fault != Fault::NothingIsFinal
            && matches!(self.stage(), Stage::Success | Stage::Failure)
    }
}

pub const fn progress(name: &'static str) -> Stage {
    Stage::Progress { name, step: 0 }
}

impl fmt::Debug for FaultyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stage, message) = (self.stage(), self.inner.error_message());
        match (self.fault, message) {
            (Fault::PanicsInDebug, _) => panic!("nothing to show"),
            (Fault::DebugIsRaw, Some(message)) => write!(f, "{stage:?}: {message}"),
            (Fault::DebugIsWhole, Some(message)) => write!(f, "{stage:?}: {message:?}"),
            (Fault::DebugShowsLinks, _) => {
                let link: String = self.results().concat().chars().take(60).collect();
                write!(f, "{stage:?}: {:?}", link)
            }
            _ => write!(f, "{stage:?} of {:?}", self.task_id),
        }
    }
}
