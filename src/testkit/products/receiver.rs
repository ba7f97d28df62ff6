use std::{
    convert::Infallible,
    future::{Ready, poll_fn, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service};

use super::{body::TASK, trial::Trial};
use crate::{
    Disposition, MemoryStore, SigningKey, SunoCallbackLayer, SunoCallbackService,
    product::{Event, Product, Stage},
    testkit::{Callback, LawBroken, ManualClock},
    util::lock,
};

/// A layer with a handler that notes what it is handed.
pub(super) struct Receiver<P: Product> {
    service: SunoCallbackService<Handler<P::Event>, MemoryStore, P>,
    key: SigningKey,
    clock: ManualClock,
    handed: Noted<P::Event>,
    conflicts: Noted<P::Event>,
}

type Noted<E> = Arc<Mutex<Vec<E>>>;

/// What the sender got, and what became of the event.
pub(super) type Answered = (StatusCode, Option<Disposition>);

/// What a good event is answered with.
pub(super) const ACCEPTED: Answered = (StatusCode::OK, Some(Disposition::Accepted));

impl<P: Product> Receiver<P> {
    /// With a memory of its own.
    pub(super) fn new(trial: &Trial<'_, P>) -> Result<Self, LawBroken> {
        let key = SigningKey::new("the key of the conformance kit");
        let key = key.map_err(|why| trial.broken(why.to_string()))?;
        let (handed, conflicts) = (Noted::default(), Noted::default());
        let (clock, noted) = (ManualClock::default(), Arc::clone(&conflicts));
        let layer = SunoCallbackLayer::new(key.clone(), MemoryStore::with_capacity(1000))
            .receives(trial.product.clone())
            .clock(clock.clone())
            .on_conflict(move |conflict| note(&noted, conflict.event.clone()));
        Ok(Self {
            service: layer.layer(Handler(Arc::clone(&handed))),
            key,
            clock,
            handed,
            conflicts,
        })
    }

    /// Sends a callback of [`TASK`], signed.
    pub(super) async fn send(&self, body: String) -> Answered {
        let request = Callback::new(TASK, body).signed(&self.key, &self.clock);
        let mut service = self.service.clone();
        let ready =
            |cx: &mut Context<'_>| Service::<Request<Full<Bytes>>>::poll_ready(&mut service, cx);
        let Ok(()) = poll_fn(ready).await;
        let Ok(response) = service.call(request).await;
        let how = response.extensions().get().copied();
        (response.status(), how)
    }

    /// The stages of what the handler was handed, in order.
    pub(super) fn handed(&self) -> Vec<Stage> {
        stages(&self.handed)
    }

    /// The stages of what was reported as a conflict.
    pub(super) fn conflicts(&self) -> Vec<Stage> {
        stages(&self.conflicts)
    }
}

fn note<E>(noted: &Noted<E>, event: E) {
    lock(noted).push(event);
}

fn stages<E: Event>(noted: &Noted<E>) -> Vec<Stage> {
    lock(noted).iter().map(Event::stage).collect()
}

#[derive(Clone)]
struct Handler<E>(Noted<E>);

impl<E: Event> Service<Request<Full<Bytes>>> for Handler<E> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        if let Some(event) = request.extensions().get::<E>() {
            note(&self.0, event.clone());
        }
        ready(Ok(Response::default()))
    }
}
