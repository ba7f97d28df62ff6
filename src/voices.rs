//! What voices have beside what every product has: they are what a layer receives by default, so
//! the layer and its conflicts can be asked about them.

#[cfg(feature = "axum")]
use axum_core::extract::FromRequestParts;
#[cfg(feature = "axum")]
use http::request::Parts;

use crate::{
    delivery::Conflict,
    layer::SunoCallbackLayer,
    product::{CallbackKind, Product, VoiceId},
    store::DedupStore,
};
#[cfg(feature = "axum")]
use crate::{
    extract::{LayerMissing, extension},
    product::VoiceEvent,
};

impl<D: DedupStore> SunoCallbackLayer<D> {
    /// Which callback this route receives. Default [`CallbackKind::Generate`].
    pub fn kind(self, kind: CallbackKind) -> Self {
        self.with_change(|it| {
            it.product = it.product.of_kind(kind);
            it.namespace = it.namespace.of_product(it.product.name());
        })
    }

    /// Asks also before a ready phrase of [`CallbackKind::Generate`] is handed over, where it is
    /// progress. It costs the phrase some of its short life.
    pub fn confirm_phrases(self) -> Self {
        self.with_change(|it| it.product = it.product.confirming_phrases())
    }
}

impl Conflict {
    /// The voice that arrived second.
    pub fn voice_id(&self) -> Option<&VoiceId> {
        self.event.voice_id()
    }
}

#[cfg(feature = "axum")]
impl<S: Sync> FromRequestParts<S> for VoiceEvent {
    type Rejection = LayerMissing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LayerMissing> {
        extension(parts)
    }
}
