use std::{future::Future, pin::Pin};

use super::{Confirm, Confirmation};
use crate::{
    event::TaskId,
    metrics::Question,
    product::{Event, Product},
};

type Asking<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The twin of [`Confirm`] that can be a trait object.
pub(crate) trait ErasedConfirm<P: Product>: Send + Sync {
    fn confirm_erased<'a>(&'a self, reported: &'a P::Event) -> Asking<'a, Confirmation<P::Event>>;

    fn turn_erased(&self) -> Asking<'_, ()>;

    fn look_up_erased<'a>(
        &'a self,
        product: &'a P,
        task: &'a TaskId,
    ) -> Asking<'a, Confirmation<P::Event>>;
}

impl<P: Product, C: Confirm<P>> ErasedConfirm<P> for C {
    fn confirm_erased<'a>(&'a self, reported: &'a P::Event) -> Asking<'a, Confirmation<P::Event>> {
        let asking = Question::new(reported.product().name(), "callback");
        Box::pin(counted(asking, self.confirm(reported)))
    }

    fn turn_erased(&self) -> Asking<'_, ()> {
        Box::pin(self.turn())
    }

    fn look_up_erased<'a>(
        &'a self,
        product: &'a P,
        task: &'a TaskId,
    ) -> Asking<'a, Confirmation<P::Event>> {
        let asking = Question::new(product.name(), "watch");
        Box::pin(counted(asking, self.look_up(product, task)))
    }
}

/// Every question to the provider comes by here.
async fn counted<E>(
    asking: Question,
    question: impl Future<Output = Confirmation<E>>,
) -> Confirmation<E> {
    let answer = question.await;
    asking.answered(match &answer {
        Confirmation::Confirmed(_) => "confirmed",
        Confirmation::Pending => "pending",
        Confirmation::Unavailable => "unavailable",
    });
    answer
}
