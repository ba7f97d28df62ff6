//! What `--product` says: which products are received, and where.

use axum::Router;
use suno_callback::product::{
    AnyProduct, CoverImage, Job, Lyrics, Midi, Music, Stems, Video, Voice, Wav,
};

use crate::{account::Account, counts, error::BoxError, probes};

/// A product, and the path at which its callbacks arrive.
pub struct Route {
    name: &'static str,
    receive: Receive,
    pub path: String,
}

/// A product by its name, which is the one that it has itself.
type Named = (&'static str, Receive);

type Receive = fn(&Account, &str) -> Router;

const PRODUCTS: [Named; 11] = [
    ("voice", |it, at| it.receive(Voice::generate(), at)),
    ("voice-validate", |it, at| it.receive(Voice::validate(), at)),
    ("music", |it, at| it.receive(Music, at)),
    ("lyrics", |it, at| it.receive(Lyrics, at)),
    ("wav", |it, at| it.receive(Wav, at)),
    ("stems", |it, at| it.receive(Stems, at)),
    ("midi", |it, at| it.receive(Midi, at)),
    ("video", |it, at| it.receive(Video, at)),
    ("cover-image", |it, at| it.receive(CoverImage, at)),
    ("job", |it, at| it.receive(Job, at)),
    ("any", |it, at| it.receive(AnyProduct, at)),
];

impl Route {
    pub fn serve(&self, account: &Account) -> Router {
        (self.receive)(account, &self.path)
    }

    /// `NAME` or `NAME:PATH`.
    fn parse(text: &str) -> Result<Self, BoxError> {
        let (name, path) = match text.split_once(':') {
            Some((name, path)) => (name, checked(path)?),
            None => (text, format!("/callbacks/suno/{text}")),
        };
        let product = PRODUCTS.into_iter().find(|(known, _)| *known == name);
        let (name, receive) = product.ok_or_else(|| {
            let known = PRODUCTS.map(|(name, _)| name).join(", ");
            format!("{name:?} is no product; there are {known}")
        })?;
        Ok(Self {
            name,
            receive,
            path,
        })
    }
}

/// What `--product`, `--path` and `--kind` say together.
#[derive(Default)]
pub struct Asked {
    pub products: Vec<String>,
    pub path: Option<String>,
    pub kind: Option<String>,
}

impl Asked {
    pub fn routes(&self) -> Result<Vec<Route>, BoxError> {
        if self.products.is_empty() {
            return Ok(vec![self.voices()?]);
        }
        if self.path.is_some() {
            return Err("--path does not go with --product: say --product NAME:PATH".into());
        }
        if self.kind.is_some() {
            return Err("--kind does not go with --product: say voice or voice-validate".into());
        }
        several(&self.products)
    }

    /// The one product of a receiver that is told of none.
    fn voices(&self) -> Result<Route, BoxError> {
        let name = match self.kind.as_deref() {
            None | Some("generate") => "voice",
            Some("validate") => "voice-validate",
            Some(other) => return Err(format!("{other:?} is neither generate nor validate").into()),
        };
        let path = self.path.as_deref().unwrap_or("/callbacks/suno/voice");
        Route::parse(&format!("{name}:{path}"))
    }
}

/// Each product and each path once: two handlers of one product would share its slots, and one
/// would swallow what is the other's.
fn several(products: &[String]) -> Result<Vec<Route>, BoxError> {
    let mut routes: Vec<Route> = Vec::new();
    for product in products {
        let route = Route::parse(product)?;
        for other in &routes {
            if other.name == route.name {
                return Err(format!("--product {} is there twice", other.name).into());
            }
            if other.path == route.path {
                return Err(format!("{} is the path of two products", other.path).into());
            }
        }
        routes.push(route);
    }
    Ok(routes)
}

/// A path that means itself: no pattern, no query, and nothing that is served already.
fn checked(path: &str) -> Result<String, BoxError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/-_.~".contains(letter);
    if !path.starts_with('/') || !path.chars().all(plain) {
        return Err(format!("{path:?} is no path, such as /callbacks/suno/voice").into());
    }
    match path {
        probes::LIVE | probes::READY | counts::METRICS => {
            Err(format!("{path} is a probe's path").into())
        }
        _ => Ok(path.to_owned()),
    }
}
