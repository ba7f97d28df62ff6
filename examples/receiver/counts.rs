//! `GET /metrics`, for Prometheus: what `suno_callback::metrics` lists.

use std::time::Duration;

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::sleep;

use crate::error::BoxError;

pub const METRICS: &str = "/metrics";

/// Bounds of what takes time, in seconds: from an operation of the store to a handler that nobody
/// waits for any more, with the 13 seconds after which the provider is answered.
const BUCKETS: [f64; 13] = [
    0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 5.0, 9.0, 13.0, 60.0, 600.0,
];

/// How often what was measured is put into its buckets, where nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Counts(PrometheusHandle);

impl Counts {
    /// From here on everything is counted: a layer that was made before is not.
    pub fn install() -> Result<Self, BoxError> {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS)?;
        Ok(Self(builder.install_recorder()?))
    }

    pub fn routes(self) -> Router {
        let counts = self.0.clone();
        tokio::spawn(async move {
            loop {
                sleep(UPKEEP).await;
                counts.run_upkeep();
            }
        });
        let text = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        Router::new().route(METRICS, get(async move || (text, self.0.render())))
    }
}
