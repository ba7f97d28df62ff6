//! An app on hyper without a framework: notes, kept in memory.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;

#[derive(Clone)]
struct App {
    notes: Arc<Mutex<Vec<String>>>,
}

impl App {
    fn note(&self, line: String) -> Result<(), StatusCode> {
        let mut notes = self.notes.lock().unwrap();
        if notes.len() == 10_000 {
            return Err(StatusCode::INSUFFICIENT_STORAGE);
        }
        notes.push(line);
        Ok(())
    }
}

async fn route(
    app: App,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/health") => Response::new(Full::from("ok")),
        (&Method::GET, "/notes") => {
            let notes = app.notes.lock().unwrap().join("\n");
            Response::new(Full::from(notes))
        }
        (&Method::POST, "/notes") => {
            let line = request.into_body().collect().await?.to_bytes();
            let noted = app.note(String::from_utf8_lossy(&line).into());
            empty(noted.err().unwrap_or(StatusCode::CREATED))
        }
        _ => empty(StatusCode::NOT_FOUND),
    })
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = App {
        notes: Arc::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let app = app.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| route(app.clone(), request));
            let http = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("a connection broke: {error}");
            }
        });
    }
}
