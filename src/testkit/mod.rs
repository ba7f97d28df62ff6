//! For your own tests: the [laws] of a store and those of a [product](products) as functions,
//! [callbacks](Callback) as the provider signs them, a [clock](ManualClock) that stands still, and a
//! [store that is away](Intercepted) when you say so.
//!
//! # A store of your own
//!
//! [`all`] runs every law of [`suno_callback::store`](crate::store#laws) against a store and says
//! which one it breaks:
//!
//! ```
//! # use suno_callback::MemoryStore as MyStore;
//! use std::sync::Arc;
//! use suno_callback::testkit;
//!
//! #[tokio::test(flavor = "multi_thread")]
//! async fn my_store_keeps_every_law() -> Result<(), testkit::LawBroken> {
//!     testkit::all(&Arc::new(MyStore::default())).await
//! }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), testkit::LawBroken> {
//! #     testkit::all(&Arc::new(MyStore::default())).await
//! # }
//! ```
//!
//! Each law is a plain function too, to run alone while a store is being written. A law uses slots
//! of its own with random names, so it can run on a store that holds other things, many times, and
//! beside other laws. It leaves some rows behind, one of them for ever: give it a database, a table
//! or a prefix of its own.
//!
//! A broken law is an `Err`, never a panic: [`LawBroken`] prints its whole story with `{}` and
//! with `{:?}` alike, so `?` and `unwrap` in a test are equally good.
//!
//! Leases end by the store's own clock, which nobody can turn for a database. Laws that need an
//! ended lease take one of 100 ms and wait for a second claim, made later and just as long, to end
//! first: they need no sleep that is long enough for every machine. For a store on tokio's clock,
//! as [`MemoryStore`](crate::MemoryStore) is, `#[tokio::test(start_paused = true)]` makes that
//! instant.
//!
//! Two laws race many tasks; on a runtime of one thread they only meet where the store awaits.
//!
//! # A product of your own
//!
//! [`products::all`] does the same for a [`Product`](crate::product::Product), given a body of each
//! kind:
//!
//! ```
//! # use suno_callback::product::Voice as MyProduct;
//! use suno_callback::testkit::{LawBroken, products::{self, Samples}};
//!
//! const READY: &str = r#"{"code":200,"data":{"taskId":"t","status":"success","voiceId":"v"}}"#;
//! const FAILED: &str = r#"{"code":500,"data":{"taskId":"t","status":"fail"}}"#;
//!
//! #[tokio::test]
//! async fn my_product_keeps_every_law() -> Result<(), LawBroken> {
//!     products::all(&MyProduct::default(), &Samples::new(READY, FAILED)).await
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), LawBroken> {
//! #     products::all(&MyProduct::default(), &Samples::new(READY, FAILED)).await
//! # }
//! ```
//!
//! # Callbacks for a handler's tests
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use suno_callback::{MemoryStore, SigningKey, SunoCallbackLayer};
//! use suno_callback::testkit::{Callback, ManualClock};
//! use tower::{Layer, ServiceExt};
//! # use std::convert::Infallible;
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::new("a key for the tests")?;
//! let clock = ManualClock::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_670_760));
//! let layer = SunoCallbackLayer::new(key.clone(), MemoryStore::default()).clock(clock.clone());
//! # let handler = tower::service_fn(|_: http::Request<Full<Bytes>>| async {
//! #     Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::new())))
//! # });
//! let service = layer.layer(handler);
//!
//! let callback = Callback::success("task-1", "voice-1").signed(&key, &clock);
//! assert_eq!(service.clone().oneshot(callback).await?.status(), 200);
//!
//! let stale = Callback::success("task-2", "voice-2").signed(&key, &clock);
//! clock.advance(Duration::from_secs(301));
//! assert_eq!(service.oneshot(stale).await?.status(), 401);
//! # Ok(())
//! # }
//! ```

mod broken;
mod callback;
mod clock;
mod intercepted;
pub mod laws;
pub mod products;

pub use self::{
    broken::LawBroken,
    callback::Callback,
    clock::ManualClock,
    intercepted::{Intercept, Intercepted, Operation},
    laws::all,
};
