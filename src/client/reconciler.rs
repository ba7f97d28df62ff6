use std::{convert::Infallible, fmt, future::pending, pin::pin, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tower::{BoxError, Service};

use super::{
    ClientError, VoiceClient,
    watch::{Unsettled, Watch, Watched},
    watchlist::{Running, Step, Watchlist},
};
use crate::{
    event::{Meaning, TaskId, VoiceEvent},
    service::{Handed, SunoCallbackService},
    store::DedupStore,
    timer::either,
    trace,
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
/// It asks the endpoint of the layer's [`CallbackKind`](crate::CallbackKind), within the client's
/// [`rate`](VoiceClient::rate), and a 429 holds all of it back. It keeps its tasks in memory: after
/// a restart give it those that the application has not seen an end of
/// ([`Watchlist::watch_all`]).
///
/// # Example
///
/// ```
/// use suno_callback::client::{ApiKey, Reconciler, VoiceClient};
/// use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer, TaskId};
/// # use http::Response;
/// # use http_body_util::Full;
/// use tower::Layer;
///
/// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// # let handler = tower::service_fn(|_: http::Request<Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
/// # });
/// let client = VoiceClient::https(ApiKey::new("key")?)?;
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
/// ```
pub struct Reconciler<C, S, D> {
    client: VoiceClient<C>,
    service: SunoCallbackService<S, D>,
    watchlist: Watchlist,
}

impl<C, S, D> Reconciler<C, S, D> {
    /// For the service that is mounted, with a list of its own at the default pace.
    pub fn new(client: VoiceClient<C>, service: SunoCallbackService<S, D>) -> Self {
        Self {
            client,
            service,
            watchlist: Watchlist::default(),
        }
    }

    /// Watches this list instead: one at another pace, or one that hooks already hold. A list
    /// belongs to one reconciler.
    pub fn watching(mut self, watchlist: Watchlist) -> Self {
        self.watchlist = watchlist;
        self
    }

    /// The list, to put tasks on.
    pub fn watchlist(&self) -> Watchlist {
        self.watchlist.clone()
    }

    /// Watches a task; see [`Watchlist::watch`].
    pub fn watch(&self, task: &TaskId) -> Watch {
        self.watchlist.watch(task)
    }
}

impl<C, S, D, B, H> Reconciler<C, S, D>
where
    C: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    C::Future: Send,
    C::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    S: Service<Request<Full<Bytes>>, Response = Response<H>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    D: DedupStore,
    H: Send + 'static,
{
    /// Watches until the layer's [`Drain`](crate::Drain) is closed and what runs has ended: spawn
    /// it. Watches that are open then end as [`Watched::Stopped`].
    ///
    /// # Cancellation safety
    ///
    /// Dropping the future stops all watches; a handler that runs already goes on under its claim.
    pub async fn run(self) {
        let drain = self.service.pipeline.drain.clone();
        let stopping = Stopping(self.watchlist.clone());
        let mut polls = JoinSet::new();
        {
            let watching = pin!(self.watch_on(&mut polls));
            either(pin!(drain.closed()), watching).await;
        }
        drop(stopping);
        while polls.join_next().await.is_some() {}
    }

    /// One task is the whole scheduler: it starts a poll when one is due, a place is free and the
    /// rate allows it.
    async fn watch_on(self, polls: &mut JoinSet<()>) -> Infallible {
        let places = self
            .watchlist
            .pace()
            .at_once
            .clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return pending().await;
            };
            let running = self.watchlist.due().await;
            self.client.turn().await;
            while polls.try_join_next().is_some() {}
            let (client, service) = (self.client.clone(), self.service.clone());
            polls.spawn(poll(client, service, running, place));
        }
    }
}

async fn poll<C, S, D, B, H>(
    client: VoiceClient<C>,
    service: SunoCallbackService<S, D>,
    running: Running,
    _place: OwnedSemaphorePermit,
) where
    C: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    C::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
    S: Service<Request<Full<Bytes>>, Response = Response<H>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    D: DedupStore,
    H: Send + 'static,
{
    let record = client.fetch(service.pipeline.kind, running.task()).await;
    let step = match outcome(running.task(), record) {
        Err(why) => Step::Again(why),
        Ok(event) => match service.hand_over(event.clone()).await {
            Handed::Accepted => Step::Ended(Watched::Delivered(event)),
            Handed::Before => Step::Ended(Watched::AlreadyDelivered(event)),
            Handed::NotAccepted => Step::Again(Unsettled::NotAccepted),
        },
    };
    running.settle(step);
}

/// The record, where it is final.
fn outcome(
    task: &TaskId,
    record: Result<Option<VoiceEvent>, ClientError>,
) -> Result<VoiceEvent, Unsettled> {
    match record {
        Ok(Some(record)) if record.is_final() => Ok(record),
        Ok(Some(record)) => Err(match record.meaning() {
            Meaning::Inconsistent(_) => Unsettled::Inconsistent,
            _ => Unsettled::Pending,
        }),
        Ok(None) => Err(Unsettled::Pending),
        Err(error) => {
            trace::question_failed(task, &error);
            Err(Unsettled::Unreachable)
        }
    }
}

/// Stops the list when it is dropped.
struct Stopping(Watchlist);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl<C, S, D> fmt::Debug for Reconciler<C, S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler")
            .field("client", &self.client)
            .field("watchlist", &self.watchlist)
            .finish_non_exhaustive()
    }
}
