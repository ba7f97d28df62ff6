//! Asks about the tasks of a list, and hands their records over.

use std::{future::Future, pin::Pin, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::Instant,
};

use super::{
    Unsettled, Watched, Watchlist,
    driving::{Driving, Running},
    entries::Found,
};
use crate::{
    confirm::{Confirmation, ErasedConfirm},
    event::Stage,
    process::drain::Drain,
    product::{Event, Product},
    reply::{Answer, Disposition},
    util::{
        panic::Guarded,
        timer::{by, either},
    },
};

/// Takes a record the way of a callback, from the claim on.
pub(crate) trait HandOver<E>: Send {
    fn hand_over(&mut self, record: E) -> Handing;
}

/// How handing over ends.
pub(crate) type Handing = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Has what a layer keeps asked about, until nothing is left of it or the layer is drained.
pub(crate) fn keep_asking<E: Event>(list: &Watchlist<E>, source: Source<E>, drain: Drain) {
    let Some(driving) = list.drive(true) else {
        return;
    };
    let list = list.clone();
    tokio::spawn(async move {
        let mut polls = JoinSet::new();
        {
            let asking = pin!(source.ask(&list, driving, || None, &mut polls));
            either(pin!(drain.closed()), asking).await;
        }
        if drain.is_closed() {
            list.stop();
        }
        while polls.join_next().await.is_some() {}
    });
}

/// Who is asked, and for the records of which product.
pub(crate) struct Source<E: Event> {
    pub(crate) confirm: Arc<dyn ErasedConfirm<E::Product>>,
    pub(crate) product: E::Product,
}

impl<E: Event> Clone for Source<E> {
    fn clone(&self) -> Self {
        Self {
            confirm: Arc::clone(&self.confirm),
            product: self.product.clone(),
        }
    }
}

impl<E: Event> Source<E> {
    /// The longest that a question may take.
    const LONGEST: Duration = Duration::from_secs(30);

    /// Asks about one task after the other: starts a poll when one is due, a permit is free and there
    /// is a turn, and only then decides whose turn it is.
    pub(crate) async fn ask(
        self,
        list: &Watchlist<E>,
        mut driving: Driving<E>,
        mut deliver: impl FnMut() -> Option<Box<dyn HandOver<E>>>,
        polls: &mut JoinSet<()>,
    ) {
        let permits = Arc::new(Semaphore::new(list.pace().at_once));
        while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
            if !list.due(&mut driving).await {
                return;
            }
            self.turn(list).await;
            while polls.try_join_next().is_some() {}
            if let Some(running) = list.take() {
                polls.spawn(self.clone().poll(running, permit, deliver()));
            }
        }
    }

    /// Waits for a turn, and ends those who could not wait for it.
    async fn turn(&self, list: &Watchlist<E>) {
        let mut turn = pin!(Guarded::new("turn", || self.confirm.turn_erased()));
        while let Some(end) = list.next_end() {
            if by(end, turn.as_mut()).await.is_some() {
                return;
            }
            list.expire();
        }
    }

    async fn poll(
        self,
        mut running: Running<E>,
        permit: OwnedSemaphorePermit,
        deliver: Option<Box<dyn HandOver<E>>>,
    ) {
        let found = std::mem::replace(&mut running.found, Found::only(Unsettled::Unreachable));
        let asked = self.confirm.look_up_erased(&self.product, running.task());
        let asked = by(Instant::now() + Self::LONGEST, asked).await;
        // The handler may take its time; others are asked about meanwhile.
        drop(permit);
        let record = self.judge(&running, asked.unwrap_or(Confirmation::Unavailable), found);
        let record = match record {
            Ok(record) => record,
            Err(found) => return running.found = found,
        };
        let finished = found.finished.saturating_add(1);
        let last = Unsettled::NotAccepted;
        running.found = Found { last, finished };
        let handing = match (&mut running.kept, deliver) {
            (Some(kept), _) => kept.hand_over.hand_over(record.clone()),
            (None, Some(mut deliver)) => deliver.hand_over(record.clone()),
            (None, None) => return,
        };
        if let Some(watched) = watched(handing.await, record) {
            running.end(watched);
        }
    }

    /// The record, where there is nothing better to wait for.
    fn judge(
        &self,
        running: &Running<E>,
        answer: Confirmation<E>,
        before: Found,
    ) -> Result<E, Found> {
        let record = match answer {
            Confirmation::Confirmed(record) => record,
            Confirmation::Pending => return Err(Found::only(Unsettled::Pending)),
            Confirmation::Unavailable => return Err(Found::only(Unsettled::Unreachable)),
        };
        if record.task_id() != running.task() || record.product().name() != self.product.name() {
            return Err(Found::only(Unsettled::Unreachable));
        }
        let wanted = running.kept.as_ref().and_then(|kept| kept.step);
        match record.stage() {
            _ if record.is_final() => Ok(record),
            Stage::Progress { step, .. } if wanted.is_some_and(|wanted| wanted <= step) => {
                Ok(record)
            }
            Stage::Inconsistent { .. } if before.finished + 1 >= FINISHED => Ok(record),
            Stage::Inconsistent { .. } => Err(Found {
                last: Unsettled::Inconsistent,
                finished: before.finished + 1,
            }),
            _ => Err(Found::only(Unsettled::Pending)),
        }
    }
}

/// How often a record must say in a row that the task is over without a result: it may fill in.
const FINISHED: u32 = 3;

/// How the watch ends; `None` where it does not.
fn watched<E>(answer: Answer, record: E) -> Option<Watched<E>> {
    match answer {
        Answer::Received(how) => match how {
            // The record of another run stands, and this one succeeded too.
            Disposition::Accepted | Disposition::CommitDeferred | Disposition::ClaimLost => {
                Some(Watched::Delivered(record))
            }
            Disposition::Duplicate => Some(Watched::AlreadyDelivered(record)),
            Disposition::Late => Some(Watched::Late(record)),
            Disposition::Conflict => Some(Watched::Conflict(record)),
            Disposition::HandlerFailed => None,
        },
        Answer::Refused(_) => None,
    }
}
