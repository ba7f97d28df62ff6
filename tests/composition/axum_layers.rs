//! Middleware of axum, some of which takes axum's own body and nothing else: then a line turns the
//! body.

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{Next, from_fn, map_request, map_response},
    response::Response,
};
use suno_callback::VoiceEvent;
use tower::ServiceBuilder;
use tower_http::{map_request_body::MapRequestBodyLayer, map_response_body::MapResponseBodyLayer};

use crate::{Handler, check, suno};

async fn pass(request: Request, next: Next) -> Response {
    next.run(request).await
}

/// Stands behind the layer, so it finds what the layer found.
async fn pass_event(request: Request, next: Next) -> Response {
    assert!(request.extensions().get::<VoiceEvent>().is_some());
    next.run(request).await
}

async fn same_request(request: Request) -> Request {
    request
}

async fn same_response(response: Response) -> Response {
    response
}

#[tokio::test]
async fn from_fn_in_front() {
    let handler = Handler::default();
    let stack = ServiceBuilder::new().layer(from_fn(pass)).layer(suno());
    let app = Router::new().route("/", handler.route().layer(stack));
    check("in a builder", &handler, app).await;

    let handler = Handler::default();
    let app = Router::new().route("/", handler.route());
    let app = app.layer(suno()).layer(from_fn(pass));
    check("on a router", &handler, app).await;
}

#[tokio::test]
async fn from_fn_behind() {
    let handler = Handler::default();
    let stack = ServiceBuilder::new()
        .layer(suno())
        .layer(MapRequestBodyLayer::new(Body::new))
        .layer(from_fn(pass_event));
    let app = Router::new().route("/", handler.route().layer(stack));
    check("in a builder", &handler, app).await;

    // Layers that are added one by one need no such line: axum has them boxed.
    let handler = Handler::default();
    let app = Router::new().route("/", handler.route());
    let app = app.layer(from_fn(pass_event)).layer(suno());
    check("on a router", &handler, app).await;
}

#[tokio::test]
async fn map_request_and_map_response() {
    let request = map_request(same_request);
    let response = map_response(same_response);
    let handler = Handler::default();
    let stack = ServiceBuilder::new()
        .layer(request.clone())
        .layer(response.clone())
        .layer(MapResponseBodyLayer::new(Body::new))
        .layer(suno());
    let app = Router::new().route("/", handler.route().layer(stack));
    check("in front", &handler, app).await;

    let handler = Handler::default();
    let stack = ServiceBuilder::new()
        .layer(suno())
        .layer(MapRequestBodyLayer::new(Body::new))
        .layer(request)
        .layer(response);
    let app = Router::new().route("/", handler.route().layer(stack));
    check("behind", &handler, app).await;
}
