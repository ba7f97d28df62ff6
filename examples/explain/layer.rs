//! The layer itself: it decides, here as in a receiver.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use suno_callback::{
    Clock, Delivery, MemoryStore, Product, Rejection, SigningKey, SunoCallbackLayer,
    product::{
        AnyProduct, CoverImage, Event, Job, Lyrics, Midi, Music, Stage, Stems, Video, Voice, Wav,
    },
};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt, service_fn};

use crate::{BoxError, captured::Captured};

/// A product whose callbacks come to one route.
#[derive(Clone, Copy)]
pub struct Route {
    pub name: &'static str,
    pub body_limit: fn() -> usize,
    send: fn(&Layers, &Case) -> Result<Answer, BoxError>,
    /// Whether a body means something to the product.
    pub knows: fn(&[u8]) -> bool,
}

macro_rules! route {
    ($name:literal, $product:expr) => {
        Route {
            name: $name,
            body_limit: || $product.body_limit(),
            send: |layers, case| layers.send_to($product, case),
            knows: |body| knows(&$product, body),
        }
    };
}

pub const ROUTES: [Route; 11] = [
    route!("voice", Voice::generate()),
    route!("voice-validate", Voice::validate()),
    route!("music", Music),
    route!("lyrics", Lyrics),
    route!("wav", Wav),
    route!("stems", Stems),
    route!("midi", Midi),
    route!("video", Video),
    route!("cover-image", CoverImage),
    route!("job", Job),
    route!("any", AnyProduct),
];

pub fn route(name: &str) -> Result<Route, BoxError> {
    let found = ROUTES.into_iter().find(|route| route.name == name);
    found.ok_or_else(|| {
        let known = ROUTES.map(|route| route.name).join(", ");
        format!("{name:?} is no product; there are {known}").into()
    })
}

fn knows<P: Product>(product: &P, body: &[u8]) -> bool {
    let event = product.parse(body);
    event.is_ok_and(|it| it.foreign().is_none() && it.stage() != Stage::Unknown)
}

/// A request, and the circumstances in which the layer sees it.
#[derive(Clone)]
pub struct Case {
    pub request: Captured,
    pub product: Route,
    pub at: u64,
}

impl Case {
    pub fn with(&self, request: Captured) -> Self {
        Self {
            request,
            ..self.clone()
        }
    }
}

/// What the layer says to a case.
pub enum Answer {
    Accepted(Facts),
    Refused(Rejection),
}

/// What its handler would be given.
#[derive(Clone)]
pub struct Facts {
    pub task_id: String,
    pub stage: &'static str,
    pub name: String,
    pub results: usize,
    pub foreign: Option<&'static str>,
    pub key: String,
}

/// Makes a layer for each case, so that none is a duplicate.
pub struct Layers {
    keys: Vec<SigningKey>,
    runtime: Runtime,
}

impl Layers {
    pub fn new(keys: Vec<SigningKey>) -> Result<Self, BoxError> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        Ok(Self { keys, runtime })
    }

    pub fn answer(&self, case: &Case) -> Result<Answer, BoxError> {
        (case.product.send)(self, case)
    }

    fn send_to<P: Product>(&self, product: P, case: &Case) -> Result<Answer, BoxError> {
        let (first, more) = self.keys.split_first().ok_or("there is no key")?;
        let mut layer = SunoCallbackLayer::new(first.clone(), MemoryStore::default())
            .receives(product)
            .clock(At(case.at));
        for key in more {
            layer = layer.also_accept(key.clone());
        }
        let service = layer.layer(service_fn(handler::<P::Event>));
        let answer = self
            .runtime
            .block_on(service.oneshot(case.request.request()));
        let Ok(response) = answer;
        let said = response.extensions();
        match (said.get::<Rejection>(), said.get::<Facts>()) {
            (Some(rejection), _) => Ok(Answer::Refused(*rejection)),
            (None, Some(facts)) => Ok(Answer::Accepted(facts.clone())),
            (None, None) => Err(format!("the layer said {}", response.status()).into()),
        }
    }
}

/// Sends back what it was given.
async fn handler<E: Event>(
    request: Request<Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    let given = request.extensions();
    if let (Some(event), Some(delivery)) = (given.get::<E>(), given.get::<Delivery>()) {
        response.extensions_mut().insert(Facts {
            task_id: event.task_id().as_str().to_owned(),
            stage: event.stage().as_str(),
            name: event.name().to_owned(),
            results: event.results().len(),
            foreign: event.foreign(),
            key: delivery.key_label().unwrap_or_default().to_owned(),
        });
    }
    Ok(response)
}

struct At(u64);

impl Clock for At {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0)
    }
}
