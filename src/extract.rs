//! Events and their [`Delivery`] as axum extractors.
//!
//! Rust's rules want a line for each event type: an event that is no [`TaskEvent`] has its own beside
//! its product.

use axum_core::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use crate::{
    delivery::Delivery,
    product::{Product, TaskEvent},
};

/// The extractor found nothing, because no [`SunoCallbackLayer`](crate::SunoCallbackLayer) is in
/// front of the handler, or one for another product: 500, with a text that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerMissing;

impl IntoResponse for LayerMissing {
    fn into_response(self) -> Response {
        let text = "no such event in this request: mount the route with \
                    `post(handler).layer(SunoCallbackLayer::new(..))`, and with `.receives(..)` where \
                    the handler takes another product's event than a voice's; what is added to a \
                    `Router` with `layer` holds for the routes before it";
        (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
    }
}

/// What the layer has put into the request.
pub(crate) fn extension<T: Clone + Send + Sync + 'static>(
    parts: &Parts,
) -> Result<T, LayerMissing> {
    parts.extensions.get().cloned().ok_or(LayerMissing)
}

/// Of a layer that receives that product.
impl<S: Sync, P: Product> FromRequestParts<S> for TaskEvent<P> {
    type Rejection = LayerMissing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LayerMissing> {
        extension(parts)
    }
}

impl<S: Sync> FromRequestParts<S> for Delivery {
    type Rejection = LayerMissing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LayerMissing> {
        extension(parts)
    }
}
