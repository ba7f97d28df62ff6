//! Layers of tower that make readiness and errors of their own.

use std::time::Duration;

use axum::{Router, error_handling::HandleErrorLayer};
use http::StatusCode;
use tower::{
    ServiceBuilder, buffer::BufferLayer, limit::ConcurrencyLimitLayer, limit::RateLimitLayer,
    load_shed::LoadShedLayer, timeout::TimeoutLayer,
};

use crate::{Handler, check, suno};

async fn unavailable<E>(_: E) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// One test a stack of layers: on either side of ours, on a route of axum, which asks for a
/// `HandleErrorLayer` in front of what can fail, and in plain tower.
macro_rules! composes {
    ($($name:ident: $($layer:expr),+;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let handler = Handler::default();
            let stack = ServiceBuilder::new()
                .layer(HandleErrorLayer::new(unavailable))
                $(.layer($layer))+
                .layer(suno());
            let app = Router::new().route("/", handler.route().layer(stack));
            check("in front, on a route", &handler, app).await;

            let handler = Handler::default();
            let stack = ServiceBuilder::new()
                .layer(HandleErrorLayer::new(unavailable))
                .layer(suno())
                $(.layer($layer))+;
            let app = Router::new().route("/", handler.route().layer(stack));
            check("behind, on a route", &handler, app).await;

            let handler = Handler::default();
            let stack = ServiceBuilder::new()
                .layer(HandleErrorLayer::new(unavailable))
                .layer(suno())
                $(.layer($layer))+;
            let app = Router::new().route("/", handler.route()).layer(stack);
            check("behind, on a router", &handler, app).await;

            let handler = Handler::default();
            let stack = ServiceBuilder::new()$(.layer($layer))+.layer(suno());
            check("in front, without axum", &handler, stack.service(handler.clone())).await;

            let handler = Handler::default();
            let stack = ServiceBuilder::new().layer(suno())$(.layer($layer))+;
            check("behind, without axum", &handler, stack.service(handler.clone())).await;
        }
    )*};
}

const LONG: Duration = Duration::from_secs(60);

composes! {
    buffer: BufferLayer::new(8);
    concurrency_limit: ConcurrencyLimitLayer::new(1);
    load_shed: LoadShedLayer::new(), ConcurrencyLimitLayer::new(1);
    rate_limit: BufferLayer::new(8), RateLimitLayer::new(100, LONG);
    timeout: TimeoutLayer::new(LONG);
}
