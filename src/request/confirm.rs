//! The step `(confirm)`: what is known about a task before anybody claims its event.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::Instant;

use super::{classify::Classify, log};
use crate::{
    confirm::{Unconfirmed, UnconfirmedHook},
    delivery::{Arrival, Namespace, Receipt, Trust},
    event::Stage,
    process::{
        confirmer::{ConfirmError, Confirmer},
        drain::Drain,
        patient::PatientStore,
        twins::Twins,
    },
    product::{Event, Product},
    reply::{Answer, Disposition, Rejection},
    store::{DedupStore, Record, SlotKey},
    util::panic,
};

/// Looks whether a task has succeeded already, and asks the provider where that is wanted.
pub(crate) struct Confirming<D, P: Product> {
    pub(crate) slots: Namespace,
    pub(crate) twins: Arc<Twins>,
    pub(crate) store: PatientStore<D>,
    pub(crate) classify: Classify<P::Event>,
    pub(crate) confirmer: Option<Arc<Confirmer<P>>>,
    /// How long one event may wait for the provider's word.
    pub(crate) budget: Duration,
    pub(crate) otherwise: Unconfirmed,
    pub(crate) on_unconfirmed: Option<UnconfirmedHook<P::Event>>,
    pub(crate) drain: Drain,
}

impl<D: DedupStore, P: Product> Confirming<D, P> {
    /// What is true replaces what arrived.
    pub(crate) async fn confirm(&self, arrival: &mut Arrival<P::Event>) -> Result<(), Answer> {
        let confirmer = self.confirmer.as_deref();
        let confirmer = confirmer.filter(|_| wants_confirmation(arrival));
        if arrival.is_success() && confirmer.is_none() {
            return Ok(());
        }
        match (self.peek(arrival).await?, confirmer) {
            (None, None) => Ok(()),
            (None, Some(confirmer)) => Box::pin(self.ask(confirmer, arrival)).await,
            (Some(record), None) => Err(self.classify.after_success(arrival, &record)),
            (Some(record), Some(confirmer)) => {
                Err(Box::pin(self.resolve(confirmer, arrival, &record)).await)
            }
        }
    }

    /// The record of the task's success.
    async fn peek(&self, arrival: &Arrival<P::Event>) -> Result<Option<Record>, Answer> {
        let slot: SlotKey = self.slots.success(arrival.event.task_id());
        if let Some(record) = self.twins.handled(&slot) {
            return Ok(Some(record));
        }
        let peeked = self.store.peek(&slot, arrival.deadline).await;
        peeked.ok_or(Answer::Refused(Rejection::StoreUnavailable))
    }

    async fn ask(
        &self,
        confirmer: &Confirmer<P>,
        arrival: &mut Arrival<P::Event>,
    ) -> Result<(), Answer> {
        match self.confirmed(confirmer, arrival).await {
            Ok(truth) => arrival.confirm(truth),
            Err(why) => self.unconfirmed(arrival, why)?,
        }
        if arrival.is_success() {
            return Ok(());
        }
        // The question took its time, and a success may have been handled meanwhile.
        match self.peek(arrival).await? {
            None => Ok(()),
            Some(record) => Err(self.classify.after_success(arrival, &record)),
        }
    }

    fn unconfirmed(&self, arrival: &Arrival<P::Event>, why: ConfirmError) -> Result<(), Answer> {
        log::unconfirmed(arrival.subject());
        if let Some(hook) = &self.on_unconfirmed {
            panic::caught("on_unconfirmed", || hook(&arrival.event));
        }
        match (self.otherwise, why) {
            // Nothing in it can be acted on, and a refusal would only use up the tries.
            _ if arrival.event.stage() == Stage::Unknown => Ok(()),
            (_, ConfirmError::Crowded) => Err(Answer::Refused(Rejection::TooManyWaiters)),
            (Unconfirmed::Deliver, _) => Ok(()),
            (Unconfirmed::Keep | Unconfirmed::Refuse, _) => {
                Err(Answer::Refused(Rejection::Unconfirmed))
            }
        }
    }

    /// The answer to an event of a task that has succeeded. One that names another result is
    /// resolved by the provider's record, unless what stands came from there already.
    async fn resolve(
        &self,
        confirmer: &Confirmer<P>,
        arrival: &mut Arrival<P::Event>,
        record: &Record,
    ) -> Answer {
        let receipt = arrival.receipt();
        let differs = |first: &Receipt| arrival.is_success() && !first.agrees_with(&receipt);
        let Some(first) = Receipt::from_record(record).filter(differs) else {
            return self.classify.after_success(arrival, record);
        };
        if first.trust == Trust::Confirmed {
            return Answer::Received(Disposition::Late);
        }
        match self.confirmed(confirmer, arrival).await {
            Ok(truth) => arrival.confirm(truth),
            Err(ConfirmError::Unknown) => {}
            Err(ConfirmError::Crowded) => return Answer::Refused(Rejection::TooManyWaiters),
        }
        match arrival.is_success() {
            true => self.classify.answer_from(arrival, record),
            // The handler was given a success that the provider knows nothing of.
            false => self.classify.report_conflict(arrival, &first),
        }
    }

    async fn confirmed(
        &self,
        confirmer: &Confirmer<P>,
        arrival: &Arrival<P::Event>,
    ) -> Result<P::Event, ConfirmError> {
        let _quota = self.twins.quota().ok_or(ConfirmError::Crowded)?;
        let (budget, deadline): (_, Instant) = (self.budget, arrival.deadline);
        let mut confirmed = pin!(confirmer.confirmed(&arrival.event, budget, deadline));
        let mut ending = pin!(self.drain.ending());
        // What is not known when all has to end is not learned in time.
        poll_fn(|cx| match confirmed.as_mut().poll(cx) {
            Poll::Pending => ending
                .as_mut()
                .poll(cx)
                .map(|()| Err(ConfirmError::Unknown)),
            learned => learned,
        })
        .await
    }
}

/// Whether the provider is to be asked about what arrived. A poll has asked already.
pub(crate) fn wants_confirmation<E: Event>(arrival: &Arrival<E>) -> bool {
    !arrival.is_of_a_poll() && arrival.event.product().confirms(&arrival.event)
}
