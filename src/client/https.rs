use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::{ApiKey, ClientError, SunoClient};

/// The ready-made HTTP client: hyper with rustls and Mozilla's roots, HTTP/1.1 and HTTP/2, pooled.
pub type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

impl SunoClient<HttpsClient> {
    /// A client of its own. `http://` works too: for tests and for proxies on this machine.
    ///
    /// # Errors
    ///
    /// [`ClientError::Transport`] when TLS cannot be set up.
    ///
    /// # Example
    ///
    /// ```
    /// use suno_callback::client::{ApiKey, SUNOAPI_ORG, SunoClient};
    ///
    /// # fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = SunoClient::https(ApiKey::new("key")?)?.base_url(SUNOAPI_ORG)?;
    /// # Ok(()) }
    /// # demo().unwrap();
    /// ```
    pub fn https(key: ApiKey) -> Result<Self, ClientError> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| ClientError::Transport(error.into()))?
            .https_or_http()
            .enable_all_versions()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self::new(client, key))
    }
}
