//! What the layer asks its [`Confirm`](crate::Confirm): one question per task at a time, whose
//! answer all who wait share.
//!
//! A burst waits for its turn instead of being refused. Of the questions that may be open, those
//! about tasks that were asked about before take a quarter at most, so a flood of captured header
//! pairs of pending tasks leaves the rest to tasks that nobody has asked about. What was answered
//! is forgotten a second later.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep},
};

use crate::{
    config::Limits,
    confirm::{Confirmation, ErasedConfirm},
    event::TaskId,
    product::{Event, Product},
    util::{lock, panic::Guarded, tally::Tally, timer::by},
};

pub(crate) struct Questions<P: Product>(Arc<Shared<P>>);

/// How long an answer is used again, and the pause before the next question about the task.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

struct Shared<P: Product> {
    source: Arc<dyn ErasedConfirm<P>>,
    table: Mutex<Table<P::Event>>,
    /// How many may be open.
    open: Semaphore,
    /// How many of them may be about tasks that were asked about before.
    again: Semaphore,
    most: usize,
}

struct Table<E> {
    asked: HashMap<Subject, Asked<E>>,
    before: Tally,
}

/// What a question is about, the name of its product first.
type Subject = (&'static str, TaskId);

/// What was last asked about a task, and everybody who waits for the truth about it.
pub(crate) struct Asked<E> {
    question: Arc<Question<E>>,
    crowd: Arc<()>,
}

/// One question: asked by a task of its own, so that whoever hangs up and comes again finds it
/// under way instead of asking anew.
struct Question<E>(watch::Sender<Option<Told<E>>>);

/// What was answered, and when.
pub(crate) type Told<E> = (Confirmation<E>, Instant);

impl<P: Product> Questions<P> {
    pub(crate) fn new(source: Arc<dyn ErasedConfirm<P>>, limits: &Limits) -> Self {
        let open = limits.questions.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            source,
            table: Mutex::new(Table {
                asked: HashMap::new(),
                before: Tally::new(),
            }),
            open: Semaphore::new(open),
            again: Semaphore::new((open / 4).max(1)),
            most: limits.waiters.saturating_mul(2),
        }))
    }

    /// The question about this task that is open or was just answered, or a new one that ends with
    /// its budget. `None` when too many are asked about.
    pub(crate) fn ask(&self, reported: &P::Event, budget: Duration) -> Option<Asked<P::Event>> {
        let subject = (reported.product().name(), reported.task_id().clone());
        let mut table = self.0.table();
        let before = table.asked.get(&subject);
        if let Some(asked) = before.filter(|it| it.question.is_usable()) {
            return Some(asked.clone());
        }
        if before.is_none() && table.asked.len() >= self.0.most {
            return None;
        }
        let asked = Asked {
            question: Arc::new(Question(watch::Sender::new(None))),
            crowd: before.map_or_else(Arc::default, |it| Arc::clone(&it.crowd)),
        };
        table.asked.insert(subject.clone(), asked.clone());
        let is_again = table.before.has(&subject);
        drop(table);
        let (shared, reported) = (Arc::clone(&self.0), reported.clone());
        let asking = Asking::new(&asked.question);
        // A little earlier than those who wait for it, so that they find it ended.
        let end = Instant::now() + (budget - budget / 100);
        tokio::spawn(async move {
            let answer = by(end, shared.answer(&reported, is_again)).await;
            let answer = answer.unwrap_or(Confirmation::Unavailable);
            let question = Arc::clone(&asking.question);
            shared.note(&subject, &answer);
            asking.end(answer);
            shared.forget(&subject, &question).await;
        });
        Some(asked)
    }
}

impl<P: Product> Shared<P> {
    async fn answer(&self, reported: &P::Event, is_again: bool) -> Confirmation<P::Event> {
        let _again = match is_again {
            true => self.again.acquire().await.ok(),
            false => None,
        };
        let Ok(_open) = self.open.acquire().await else {
            return Confirmation::Unavailable;
        };
        let asked = Guarded::new("confirm", || self.source.confirm_erased(reported));
        asked.await.unwrap_or(Confirmation::Unavailable)
    }

    fn note(&self, subject: &Subject, answer: &Confirmation<P::Event>) {
        if !matches!(answer, Confirmation::Unavailable) {
            self.table().before.note(subject);
        }
    }

    /// Takes a question off the table when its answer is no longer used.
    async fn forget(&self, subject: &Subject, question: &Arc<Question<P::Event>>) {
        loop {
            sleep(FRESH).await;
            let mut table = self.table();
            let asked = table.asked.get(subject);
            let Some(asked) = asked.filter(|it| Arc::ptr_eq(&it.question, question)) else {
                return;
            };
            // Who waits still asks again, and is counted with those who come.
            if asked.waiting() > 0 {
                continue;
            }
            table.asked.remove(subject);
            if table.asked.len() < table.asked.capacity() / 8 {
                let rest = 2 * table.asked.len();
                table.asked.shrink_to(rest);
            }
            return;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table<P::Event>> {
        lock(&self.table)
    }
}

impl<E> Clone for Asked<E> {
    fn clone(&self) -> Self {
        Self {
            question: Arc::clone(&self.question),
            crowd: Arc::clone(&self.crowd),
        }
    }
}

impl<E: Event> Asked<E> {
    /// How many hold it beside the table.
    pub(crate) fn waiting(&self) -> usize {
        Arc::strong_count(&self.crowd).saturating_sub(1)
    }

    /// Whoever asks answers in any case; see [`Asking`].
    pub(crate) async fn answer(&self) -> Option<Told<E>> {
        let mut answers = self.question.0.subscribe();
        answers.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<E> Question<E> {
    fn is_usable(&self) -> bool {
        let answer = self.0.borrow();
        answer.as_ref().is_none_or(|(_, at)| at.elapsed() < FRESH)
    }
}

/// Answers its question when it is dropped, so that the end of the runtime leaves nobody waiting.
struct Asking<E> {
    question: Arc<Question<E>>,
    answer: Confirmation<E>,
}

impl<E> Asking<E> {
    fn new(question: &Arc<Question<E>>) -> Self {
        Self {
            question: Arc::clone(question),
            answer: Confirmation::Unavailable,
        }
    }

    fn end(mut self, answer: Confirmation<E>) {
        self.answer = answer;
    }
}

impl<E> Drop for Asking<E> {
    fn drop(&mut self) {
        let answer = std::mem::replace(&mut self.answer, Confirmation::Unavailable);
        let answer = (answer, Instant::now());
        self.question.0.send_replace(Some(answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallbackKind, Confirm, VoiceEvent};

    struct Api;

    impl Confirm for Api {
        async fn confirm(&self, reported: &VoiceEvent) -> Confirmation {
            match reported.task_id().as_str() {
                "panics" => panic!("a rotten provider"),
                _ => Confirmation::Pending,
            }
        }
    }

    fn event(task: &str) -> VoiceEvent {
        let body = format!(r#"{{"code":200,"data":{{"taskId":"{task}","status":"fail"}}}}"#);
        VoiceEvent::parse(CallbackKind::Generate, &body).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn old_questions_are_off_the_table_within_two_seconds_and_the_table_shrinks() {
        let questions = Questions::new(Arc::new(Api), &Limits::default());
        let budget = Duration::from_secs(4);
        for number in 0..8_000 {
            drop(questions.ask(&event(&number.to_string()), budget).unwrap());
        }
        assert!(questions.ask(&event("panics"), budget).is_some());
        sleep(Duration::from_secs(2)).await;
        let table = questions.0.table();
        assert_eq!(table.asked.len(), 0);
        assert!(table.asked.capacity() < 1_000, "{}", table.asked.capacity());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_tasks_are_on_the_table_than_twice_those_who_may_wait() {
        let limits = Limits {
            waiters: 10,
            ..Limits::default()
        };
        let questions = Questions::new(Arc::new(Api), &limits);
        let ask = |number: u32| questions.ask(&event(&number.to_string()), Duration::from_secs(4));
        assert_eq!((0..100).filter_map(ask).count(), 20);
        sleep(Duration::from_secs(2)).await;
        assert!(ask(1_000).is_some(), "there is room again");
    }
}
