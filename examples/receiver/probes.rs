//! `GET /healthz` and `GET /readyz`, for whoever starts and stops receivers. They are no business of
//! the internet's: let a proxy hand on the path of the callbacks alone.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use suno_callback::{AnyStore, Drain};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::store;

pub const LIVE: &str = "/healthz";
pub const READY: &str = "/readyz";

/// How long the store may take: less than a prober waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer is good for, so that a flood of probes is none for the store.
const FRESH: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub struct Probes {
    store: AnyStore,
    drain: Drain,
    last: Arc<Mutex<Option<(Instant, Answer)>>>,
}

type Answer = (StatusCode, String);

impl Probes {
    pub fn new(store: AnyStore, drain: Drain) -> Self {
        let last = Arc::default();
        Self { store, drain, last }
    }

    pub fn routes(self) -> Router {
        Router::new()
            .route(LIVE, get("live\n"))
            .route(READY, get(ready))
            .with_state(self)
    }

    /// Whether the store can do what a callback needs. Who comes while somebody looks waits for it.
    async fn store(&self) -> Answer {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let answer = match timeout(PATIENCE, store::check(&self.store)).await {
            Ok(Ok(())) => (StatusCode::OK, "ready\n".into()),
            Ok(Err(error)) => unready(&error.to_string()),
            Err(_) => unready(&format!("the store did not answer within {PATIENCE:?}")),
        };
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

async fn ready(State(probes): State<Probes>) -> Answer {
    match probes.drain.is_closed() {
        true => unready("draining"),
        false => probes.store().await,
    }
}

fn unready(why: &str) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}
