//! A provider's API that answers as it is told.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use suno_callback::{CallbackKind, Confirm, Confirmation, TaskId, VoiceEvent};
use tokio::time::sleep;

use super::Callback;

/// One answer.
#[derive(Clone)]
pub enum Says {
    This(Confirmation),
    /// That the task it is asked about has this voice.
    Voice(&'static str),
    Hangs,
    Panics,
    After(Duration, Box<Says>),
}

impl Says {
    pub const UNAVAILABLE: Self = Self::This(Confirmation::Unavailable);
    pub const PENDING: Self = Self::This(Confirmation::Pending);

    /// The record that has the body of `callback`.
    pub fn record(callback: &Callback) -> Self {
        Self::record_of(CallbackKind::Generate, callback)
    }

    pub fn record_of(kind: CallbackKind, callback: &Callback) -> Self {
        let record = VoiceEvent::from_record(
            kind,
            &TaskId::new(&callback.task_id).unwrap(),
            &callback.body,
        )
        .unwrap();
        Self::This(Confirmation::Confirmed(record))
    }

    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }
}

/// Answers in order, and the last answer again and again. Clones share everything.
#[derive(Clone)]
pub struct Provider {
    answers: Arc<Mutex<VecDeque<Says>>>,
    asked: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Provider {
    pub fn that(answers: impl IntoIterator<Item = Says>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            asked: Arc::default(),
            open: Arc::default(),
            most: Arc::default(),
        }
    }

    /// From now on.
    pub fn says(&self, answer: Says) {
        *self.answers.lock().unwrap() = [answer].into();
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    /// How many questions are open.
    pub fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    /// How many questions were open at once, at the most.
    pub fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    fn next(&self) -> Says {
        let mut answers = self.answers.lock().unwrap();
        match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        }
    }
}

impl Confirm for Provider {
    async fn confirm(&self, claimed: &VoiceEvent) -> Confirmation {
        self.asked.fetch_add(1, SeqCst);
        let open = self.open.fetch_add(1, SeqCst) + 1;
        let _open = Open(Arc::clone(&self.open));
        self.most.fetch_max(open, SeqCst);
        let mut says = self.next();
        while let Says::After(delay, then) = says {
            sleep(delay).await;
            says = *then;
        }
        match says {
            Says::This(confirmation) => confirmation,
            Says::Voice(voice) => {
                let record = Callback::success(claimed.task_id().as_str(), voice);
                let record =
                    VoiceEvent::from_record(claimed.kind(), claimed.task_id(), &record.body);
                Confirmation::Confirmed(record.unwrap())
            }
            Says::Panics => panic!("a rotten provider"),
            Says::Hangs | Says::After(..) => pending().await,
        }
    }
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
