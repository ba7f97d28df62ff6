//! The step `(confirm)`: what is known about a task before anybody claims its event.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use tokio::time::Instant;

use crate::{
    confirm::Unconfirmed,
    delivery::arrival::Arrival,
    delivery::receipt::Receipt,
    delivery::{Trust, Via},
    event::{Meaning, VoiceEvent},
    process::confirmer::{Confirmer, Doubt},
    reply::{Answer, Disposition, Rejection},
    request::log,
    request::pipeline::Pipeline,
    store::{DedupStore, Record, SlotKey},
    util::panic,
};

impl<D: DedupStore> Pipeline<D> {
    /// Looks whether the task has succeeded already, and asks the provider where that is wanted.
    /// What is true replaces what arrived, and chooses the slot.
    pub(crate) async fn check(&self, arrival: &Arrival) -> Result<(), Answer> {
        let confirmer = self.confirmer.as_deref();
        let confirmer = confirmer.filter(|_| self.wants_truth(arrival));
        if arrival.is_success() && confirmer.is_none() {
            return Ok(());
        }
        let success = self.namespace.success(arrival.event());
        match (self.peek(&success, arrival.deadline).await?, confirmer) {
            (None, None) => Ok(()),
            (None, Some(confirmer)) => Box::pin(self.confirm(confirmer, arrival)).await,
            (Some(record), None) => Err(self.after_success(arrival, &record)),
            (Some(record), Some(confirmer)) => {
                Err(Box::pin(self.resolve(confirmer, arrival, &record)).await)
            }
        }
    }

    pub(crate) fn wants_truth(&self, arrival: &Arrival) -> bool {
        let event = arrival.event();
        let wanted = match event.meaning() {
            Meaning::Inconsistent(_) | Meaning::Unknown => true,
            Meaning::PhraseReady => event.is_final() || self.confirm_phrases,
            _ => event.is_final(),
        };
        wanted && arrival.via() == Via::Callback
    }

    async fn peek(&self, slot: &SlotKey, deadline: Instant) -> Result<Option<Record>, Answer> {
        if let Some(record) = self.twins.handled(slot) {
            return Ok(Some(record));
        }
        let peek = || self.store.peek(slot);
        let peeked = self.patiently("peek", deadline, peek).await;
        peeked.ok_or(Answer::Refused(Rejection::StoreUnavailable))
    }

    /// Once a task has succeeded, the rest of it is late. But where a poll finds a record without
    /// that success, and nobody confirmed it, the two contradict each other.
    fn after_success(&self, arrival: &Arrival, record: &Record) -> Answer {
        if arrival.is_success() {
            return self.known(arrival, record);
        }
        let first = Receipt::from_record(record);
        let in_doubt = first.filter(|it| it.trust != Trust::Confirmed);
        let denies = arrival.via() == Via::Poll && arrival.event().is_final();
        match in_doubt.filter(|_| denies) {
            Some(first) => {
                self.report(arrival, &first);
                Answer::Received(Disposition::Conflict)
            }
            None => Answer::Received(Disposition::Late),
        }
    }

    async fn confirm(&self, confirmer: &Confirmer, arrival: &Arrival) -> Result<(), Answer> {
        match self.truth(confirmer, arrival).await {
            Ok(truth) => arrival.confirm(truth),
            Err(doubt) => self.unconfirmed(arrival, doubt)?,
        }
        if arrival.is_success() {
            return Ok(());
        }
        // The question took its time, and a success may have been handled meanwhile.
        let success = self.namespace.success(arrival.event());
        match self.peek(&success, arrival.deadline).await? {
            Some(record) => Err(self.after_success(arrival, &record)),
            None => Ok(()),
        }
    }

    fn unconfirmed(&self, arrival: &Arrival, doubt: Doubt) -> Result<(), Answer> {
        log::unconfirmed(arrival);
        if let Some(hook) = &self.on_unconfirmed {
            panic::caught("on_unconfirmed", || hook(arrival.event()));
        }
        match (self.unconfirmed, doubt) {
            // Nothing in it can be acted on, and a refusal would only use up the tries.
            _ if arrival.event().meaning() == Meaning::Unknown => Ok(()),
            (_, Doubt::Crowded) => Err(Answer::Refused(Rejection::TooManyWaiters)),
            (Unconfirmed::Deliver, _) => Ok(()),
            (Unconfirmed::Keep | Unconfirmed::Refuse, _) => {
                Err(Answer::Refused(Rejection::Unconfirmed))
            }
        }
    }

    /// The answer to an event of a task that has succeeded. One that names another voice is
    /// resolved by the provider's record, unless what stands came from there already.
    async fn resolve(&self, confirmer: &Confirmer, arrival: &Arrival, record: &Record) -> Answer {
        let memory = arrival.memory();
        let differs = |first: &Receipt| arrival.is_success() && !first.agrees_with(&memory);
        let Some(first) = Receipt::from_record(record).filter(differs) else {
            return self.after_success(arrival, record);
        };
        if first.trust == Trust::Confirmed {
            return Answer::Received(Disposition::Late);
        }
        match self.truth(confirmer, arrival).await {
            Ok(truth) => arrival.confirm(truth),
            Err(Doubt::Unknown) => {}
            Err(Doubt::Crowded) => return Answer::Refused(Rejection::TooManyWaiters),
        }
        if arrival.is_success() {
            return self.known(arrival, record);
        }
        // The handler was given a success that the provider knows nothing of.
        self.report(arrival, &first);
        Answer::Received(Disposition::Conflict)
    }

    async fn truth(&self, confirmer: &Confirmer, arrival: &Arrival) -> Result<VoiceEvent, Doubt> {
        let _place = self.twins.place().ok_or(Doubt::Crowded)?;
        let budget = self.times.confirm;
        let mut truth = pin!(confirmer.truth(arrival.event(), budget, arrival.deadline));
        let mut ending = pin!(self.drain.ending());
        // What is not known when all has to end is not learned in time.
        poll_fn(|cx| match truth.as_mut().poll(cx) {
            Poll::Pending => ending.as_mut().poll(cx).map(|()| Err(Doubt::Unknown)),
            learned => learned,
        })
        .await
    }
}
