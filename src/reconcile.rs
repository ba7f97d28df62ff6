//! Asks on about what no callback has told: [`Reconciler`], and what a layer with a
//! [`Confirm`] keeps.
//!
//! After three failed tries the provider stops calling for ever, a callback may be lost on its way,
//! and a callback that could not be confirmed in time must not be lost for it. In all three cases
//! the task goes on a list, is asked about every 3 to 30 seconds, and its record takes the way of a
//! callback when it is known.
//!
//! A layer with a confirmer keeps its own list of what it could not confirm, and asks on without
//! anybody's help. A [`Reconciler`] watches what the application puts on a [`Watchlist`].
//!
//! # After a restart
//!
//! Both lists are in memory. What was on them must come from the application, which knows what it
//! submitted and has seen no end of: give those tasks to [`Watchlist::watch_all`].

pub use crate::watch::{InvalidPace, Pace, Unsettled, Watch, Watched, Watchlist};

use std::{fmt, pin::pin, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::task::JoinSet;
use tower::Service;

use crate::{
    confirm::Confirm,
    event::TaskId,
    product::{DefaultProduct, Event, Product},
    service::SunoCallbackService,
    store::DedupStore,
    util::timer::either,
    watch::Source,
};

/// Delivers outcomes whose callback never came.
///
/// After three failed tries the provider stops calling for ever, and a callback may be lost on its
/// way. A task that is [watched](Watchlist::watch) is asked about every 3 to 30 seconds until its
/// outcome is known. The record then takes the way of a callback: the same claim, the same inner
/// service, a POST to `/` with the record as JSON,
/// [`Via::Poll`](crate::Via::Poll), [`Trust::Confirmed`](crate::Trust::Confirmed). So
/// callback and poll together still deliver once, and a handler that fails is tried again, with
/// the pauses of the polls, until the watch's deadline.
///
/// What a layer with a [`Confirm`] could not confirm in time it asks on about by itself; a
/// reconciler is for tasks of which no callback ever comes.
///
/// It asks any [`Confirm`] about tasks of the layer's product, as often as that has
/// [turns](Confirm::turn): a `SunoClient` within its rate, and a 429 holds all of it back. Its list
/// is in memory: after a restart give it the tasks that the application has not seen an end of
/// ([`Watchlist::watch_all`]).
///
/// A record that says three times in a row that the task is over, and names no result, is handed
/// over as the [`Inconsistent`](crate::product::Stage::Inconsistent) that it is.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "client")] {
/// use suno_callback::client::{ApiKey, SunoClient};
/// use suno_callback::{MemoryStore, Reconciler, SigningKey, SunoCallbackLayer, TaskId};
/// # use http::Response;
/// # use http_body_util::Full;
/// use tower::Layer;
///
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// # let handler = tower::service_fn(|_: http::Request<Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
/// # });
/// let client = SunoClient::https(ApiKey::new("key")?)?;
/// let layer = SunoCallbackLayer::new(SigningKey::new("the key of the settings page")?, MemoryStore::default());
/// let service = layer.layer(handler);
///
/// let reconciler = Reconciler::new(client, service.clone());
/// let watchlist = reconciler.watchlist();
/// let reconciling = tokio::spawn(reconciler.run()); // ends when the layer's drain is closed
/// // Router::new().route_service("/callbacks/suno/voice", service)
///
/// drop(watchlist.watch(&TaskId::new("the id that the submission returned")?));
/// # layer.drain().close();
/// # reconciling.await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(demo()).unwrap();
/// # }
/// ```
pub struct Reconciler<C, S, D, P: Product = DefaultProduct> {
    confirm: C,
    service: SunoCallbackService<S, D, P>,
    watchlist: Watchlist<P::Event>,
}

impl<C, S, D, P: Product> Reconciler<C, S, D, P> {
    /// For the service that is mounted, with a list of its own at the default pace.
    pub fn new(confirm: C, service: SunoCallbackService<S, D, P>) -> Self {
        Self {
            confirm,
            service,
            watchlist: Watchlist::default(),
        }
    }

    /// Watches this list instead: one at another pace, or one that hooks already hold. A list
    /// belongs to one reconciler.
    pub fn watching(mut self, watchlist: Watchlist<P::Event>) -> Self {
        self.watchlist = watchlist;
        self
    }

    /// The list, to put tasks on.
    pub fn watchlist(&self) -> Watchlist<P::Event> {
        self.watchlist.clone()
    }

    /// Watches a task; see [`Watchlist::watch`].
    pub fn watch(&self, task: &TaskId) -> Watch<P::Event> {
        self.watchlist.watch(task)
    }
}

impl<C, S, D, H, P> Reconciler<C, S, D, P>
where
    C: Confirm<P>,
    P: Product,
    S: Service<Request<Full<Bytes>>, Response = Response<H>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    D: DedupStore,
    H: Send + 'static,
{
    /// Watches until the layer's [`Drain`](crate::Drain) is closed and what runs has ended: spawn
    /// it. Watches that are open then end as [`Watched::Stopped`].
    ///
    /// A list that another reconciler watches already is left to it.
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future stops all watches; a handler that runs already goes on under its claim.
    pub async fn run(self) {
        let list = self.watchlist;
        let Some(driving) = list.drive(false) else {
            return;
        };
        let stopping = Stopping(list.clone());
        let drain = self.service.mounted.line.drain.clone();
        let source = Source {
            confirm: Arc::new(self.confirm),
            product: self.service.mounted.line.verifying.product.clone(),
        };
        let mounted = self.service.mounted;
        let deliver = move || Some(mounted.hand_over_later());
        let mut polls = JoinSet::new();
        {
            let asking = pin!(source.ask(&list, driving, deliver, &mut polls));
            either(pin!(drain.closed()), asking).await;
        }
        drop(stopping);
        while polls.join_next().await.is_some() {}
    }
}

/// Stops the list when it is dropped.
struct Stopping<E: Event>(Watchlist<E>);

impl<E: Event> Drop for Stopping<E> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl<C, S, D, P: Product> fmt::Debug for Reconciler<C, S, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler")
            .field("watchlist", &self.watchlist)
            .finish_non_exhaustive()
    }
}
