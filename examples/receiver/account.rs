//! The account's callbacks: a layer for each product over one handler, with one store, one drain,
//! and one client who is asked.

use axum::{Extension, Router, extract::State, http::StatusCode, routing::post};
use suno_callback::{AnyStore, Delivery, Drain, Product, SunoCallbackLayer, product::Event};
use tower::Layer;

use crate::{
    error::BoxError,
    forward::Forward,
    handler::Handler,
    options::{self, Options},
    store,
};

pub struct Account {
    /// Its clones share store and drain.
    layer: SunoCallbackLayer<AnyStore>,
    app: App,
    client: Option<client::Client>,
}

/// Who handles what the layer hands over.
enum App {
    Here(Handler),
    Behind(Box<Forward>),
}

impl Account {
    pub async fn open(options: &Options) -> Result<Self, BoxError> {
        let client = options.confirm.as_deref().map(client::at).transpose()?;
        Ok(Self {
            layer: layer(options).await?,
            app: App::of(options).await?,
            client,
        })
    }

    pub fn store(&self) -> &AnyStore {
        self.layer.store()
    }

    pub fn drain(&self) -> Drain {
        self.layer.drain()
    }

    /// Receives the callbacks of `product` at `path`. With `--confirm` the provider's API is asked
    /// before an outcome is handed over, and asked on about what it could not answer in time.
    pub fn receive<P: Product>(&self, product: P, path: &str) -> Router {
        let is_recorded = product.record_path().is_some();
        let mut layer = self.layer.clone().receives(product);
        if let Some(client) = self.client.as_ref().filter(|_| is_recorded) {
            layer = client::confirming(layer, client);
        }
        let handler = match &self.app {
            App::Here(handler) => handler.clone(),
            App::Behind(forward) => {
                let app = forward.service::<P::Event>();
                return Router::new().route_service(path, layer.layer(app));
            }
        };
        // A fallback, because what a poll has found comes without the path.
        let handler: Router = Router::new()
            .fallback(post(on_event::<P::Event>))
            .with_state(handler);
        Router::new().route_service(path, layer.layer(handler))
    }
}

impl App {
    async fn of(options: &Options) -> Result<Self, BoxError> {
        Ok(match &options.forward {
            Some(forward) => Self::Behind(Box::new(forward.clone())),
            None => Self::Here(Handler::new(options).await?),
        })
    }
}

/// The one handler of all products.
async fn on_event<E: Event>(
    State(handler): State<Handler>,
    Extension(event): Extension<E>,
    delivery: Delivery,
) -> Result<(), StatusCode> {
    handler.handle(&event, &delivery).await
}

async fn layer(options: &Options) -> Result<SunoCallbackLayer<AnyStore>, BoxError> {
    let (current, previous) = options::keys()?;
    let store = store::open(&options.store).await?;
    let mut layer = SunoCallbackLayer::new(current, store)
        .namespace(&options.namespace)
        .times(options.times.clone())?;
    if let Some(previous) = previous {
        layer = layer.also_accept(previous);
    }
    Ok(layer)
}

#[cfg(feature = "client")]
mod client {
    use suno_callback::{
        AnyStore, Product, SunoCallbackLayer, SunoClient,
        client::{ApiKey, HttpsClient},
    };

    use crate::error::BoxError;

    /// Its clones share one rate.
    pub type Client = SunoClient<HttpsClient>;

    pub fn at(base_url: &str) -> Result<Client, BoxError> {
        let key = std::env::var("SUNO_API_KEY").map_err(|_| "SUNO_API_KEY is not set")?;
        Ok(SunoClient::https(ApiKey::new(key)?)?.base_url(base_url)?)
    }

    pub fn confirming<P: Product>(
        layer: SunoCallbackLayer<AnyStore, P>,
        client: &Client,
    ) -> SunoCallbackLayer<AnyStore, P> {
        layer.confirm(client.clone())
    }
}

#[cfg(not(feature = "client"))]
mod client {
    use suno_callback::{AnyStore, Product, SunoCallbackLayer};

    use crate::error::BoxError;

    pub enum Client {}

    pub fn at(_: &str) -> Result<Client, BoxError> {
        Err("--confirm needs the feature client".into())
    }

    pub fn confirming<P: Product>(
        _: SunoCallbackLayer<AnyStore, P>,
        client: &Client,
    ) -> SunoCallbackLayer<AnyStore, P> {
        match *client {}
    }
}
