//! The client as what a layer confirms with.

use std::sync::MutexGuard;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{BoxError, Service};

use super::{ClientError, SunoClient, rate::Lane};
use crate::{
    confirm::{Confirm, Confirmation},
    event::TaskId,
    product::{Event, Product},
    util::{lock, log, tally::Tally},
};

/// Asks the endpoint that the product of the callback names.
impl<S, B, P> Confirm<P> for SunoClient<S>
where
    P: Product,
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn confirm(&self, reported: &P::Event) -> Confirmation<P::Event> {
        let product = reported.product();
        let subject = (product.name(), reported.task_id());
        let lane = match self.asked().has(subject) {
            true => Lane::Again,
            false => Lane::First,
        };
        let turn = async {
            self.space(reported.task_id()).await?;
            self.wait(lane).await
        };
        if let Err(error) = turn.await {
            return confirmation(reported.task_id(), Err(error));
        }
        let record = self.fetch(&product, reported.task_id()).await;
        if record.is_ok() {
            self.asked().note(subject);
        }
        confirmation(reported.task_id(), record)
    }

    async fn turn(&self) {
        self.rate.turn(Lane::Poll).await;
    }

    async fn look_up(&self, product: &P, task: &TaskId) -> Confirmation<P::Event> {
        // It has its turn now; the next question about the task waits.
        self.spacing.reserve(task);
        confirmation(task, self.fetch(product, task).await)
    }
}

impl<S> SunoClient<S> {
    fn asked(&self) -> MutexGuard<'_, Tally> {
        lock(&self.asked)
    }
}

fn confirmation<E>(task: &TaskId, record: Result<Option<E>, ClientError>) -> Confirmation<E> {
    match record {
        Ok(Some(record)) => Confirmation::Confirmed(record),
        Ok(None) => Confirmation::Pending,
        Err(error) => {
            log::question_failed(task.as_str(), error.as_str(), &error);
            Confirmation::Unavailable
        }
    }
}
