//! What the provider says about a task when it is asked: [`Confirm`].

mod erased;

pub(crate) use self::erased::ErasedConfirm;

use std::{future::Future, sync::Arc};

use crate::{
    event::TaskId,
    product::{DefaultEvent, DefaultProduct, Product},
};

/// Says what is true, given what a callback claims.
///
/// The signature does not cover the body, so whoever saw one header pair can claim anything about
/// that task for some minutes. With a `Confirm` the layer hands over what the provider's own API
/// says, and the callback is only a hint that it is time to ask.
///
/// The layer asks before it claims: one question per task at a time, whose answer everybody who
/// waits shares and which is used again for a second. Questions wait for their turn; of those that
/// may be open ([`Limits::questions`](crate::Limits::questions)) a quarter at most is about tasks
/// that were asked about in the last minutes.
///
/// # What cannot be confirmed in time
///
/// is answered with 503, and by default the layer keeps its task and asks on about it, whether or
/// not the provider comes again, until the record is known or the patience of its
/// [`Pace`](crate::watch::Pace) is over; the record is then handed to the same handler, as
/// [`Via::Poll`](crate::Via::Poll). So a limit of ours never costs an event. [`Unconfirmed`] has
/// the other choices. What is kept is in memory: **after a restart** the application gives the
/// tasks that it has seen no end of to a reconciler's
/// [`watch_all`](crate::watch::Watchlist::watch_all).
///
/// # Cancellation safety
///
/// The layer drops a future when its time is up. It runs on a task of its own, so a sender who
/// hangs up does not end it, and cannot have it started again.
///
/// # Example
///
/// ```
/// use suno_callback::{CallbackKind, Confirm, Confirmation, VoiceEvent};
///
/// struct MyApi;
///
/// impl Confirm for MyApi {
///     async fn confirm(&self, reported: &VoiceEvent) -> Confirmation {
///         let record = format!(
///             r#"{{"code":200,"data":{{"taskId":"{}","status":"fail"}}}}"#,
///             reported.task_id()
///         ); // fetched
///         match VoiceEvent::from_record(reported.kind(), reported.task_id(), &record) {
///             Ok(event) => Confirmation::Confirmed(event),
///             Err(_) => Confirmation::Unavailable,
///         }
///     }
/// }
/// # let _ = CallbackKind::Generate;
/// ```
pub trait Confirm<P: Product = DefaultProduct>: Send + Sync + 'static {
    /// Asks once. The layer bounds the time, repeats a [`Confirmation::Pending`] each second and a
    /// [`Confirmation::Unavailable`] once, and does the sharing.
    fn confirm(&self, reported: &P::Event) -> impl Future<Output = Confirmation<P::Event>> + Send;

    /// Completes when a task may be asked about that no callback waits for; [`Confirm::look_up`]
    /// follows at once. At which task it looks is decided only then. By default it may be at any
    /// time; one whose API bears so many questions a second waits here.
    fn turn(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Asks about a task that no callback waits for, after a [`Confirm::turn`]. The layer asks 30 s
    /// at the longest.
    ///
    /// By default it confirms an event that claims nothing.
    fn look_up(
        &self,
        product: &P,
        task: &TaskId,
    ) -> impl Future<Output = Confirmation<P::Event>> + Send {
        let reported = product.parse_record(task, "{}").ok();
        async move {
            match reported {
                Some(reported) => self.confirm(&reported).await,
                None => Confirmation::Unavailable,
            }
        }
    }
}

/// What a [`Confirm`] found out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Confirmation<E = DefaultEvent> {
    /// This is what the provider's record says, whatever the callback claimed.
    Confirmed(E),
    /// The provider does not know yet.
    Pending,
    /// The provider could not be asked.
    Unavailable,
}

/// What happens to a callback that could not be confirmed in time.
///
/// # Example
///
/// ```
/// use suno_callback::{Confirm, DedupStore, SunoCallbackLayer, Unconfirmed};
///
/// /// For an application that gives every task that it submits to a reconciler.
/// fn strict<D: DedupStore>(layer: SunoCallbackLayer<D>, api: impl Confirm) -> SunoCallbackLayer<D> {
///     layer.confirm(api).unconfirmed(Unconfirmed::Refuse)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unconfirmed {
    /// It is answered with 503, and the layer asks on until it is known: what the provider's tries
    /// do not deliver, a poll does.
    #[default]
    Keep,
    /// It is answered with 503, and nobody asks on. After three such tries the provider stops for
    /// ever: for an application whose reconciler watches every task that it submits.
    Refuse,
    /// It is delivered with the trust of its signature.
    Deliver,
}

/// Called with a claim that could not be confirmed.
pub(crate) type UnconfirmedHook<E> = Arc<dyn Fn(&E) + Send + Sync>;
