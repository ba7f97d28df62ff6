//! Who sends.

use std::{net::SocketAddr, time::Duration};

use axum::http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    runtime::Runtime,
    task::{JoinSet, yield_now},
    time::Instant,
};

use crate::template::{Template, genuine};

#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    Http1,
    Http2,
}

/// Genuine callbacks, each of a task of its own, shared out among connections.
pub struct Load {
    protocol: Protocol,
    requests: Vec<Template>,
    runtime: Runtime,
}

/// How many are on their way at once: connections of HTTP/1.1, or streams of one of HTTP/2.
const AT_ONCE: usize = 16;

impl Load {
    pub fn new(protocol: Protocol, count: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self {
            protocol,
            requests: genuine(count),
            runtime: runtime.expect("a runtime"),
        }
    }

    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Sends all of it as fast as it is answered, and says how many were answered in a second.
    pub fn all_at_once(&self, address: SocketAddr) -> f64 {
        let began = std::time::Instant::now();
        self.send(address, None);
        self.len() as f64 / began.elapsed().as_secs_f64()
    }

    /// Sends so many in a second, and says how long each answer took from the moment at which it
    /// should have been sent.
    pub fn at_rate(&self, address: SocketAddr, rate: f64) -> Vec<Duration> {
        self.send(address, Some(rate))
    }

    fn send(&self, address: SocketAddr, rate: Option<f64>) -> Vec<Duration> {
        self.runtime.block_on(async {
            let senders = Sender::all(address, self.protocol).await;
            let (mut lanes, mut took) = (JoinSet::new(), Vec::new());
            let began = Instant::now();
            let due = |number: usize| {
                rate.map(|rate| began + Duration::from_secs_f64(number as f64 / rate))
            };
            for (lane, sender) in senders.into_iter().enumerate() {
                let mine = self.requests.iter().enumerate().skip(lane).step_by(AT_ONCE);
                let mine = mine.map(|(number, it)| (due(number), it.clone())).collect();
                lanes.spawn(sender.send_all(mine));
            }
            while let Some(done) = lanes.join_next().await {
                took.extend(done.expect("a lane"));
            }
            took
        })
    }
}

enum Sender {
    Http1(conn::http1::SendRequest<Full<Bytes>>),
    Http2(conn::http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn all(address: SocketAddr, protocol: Protocol) -> Vec<Self> {
        let mut all = Vec::new();
        match protocol {
            Protocol::Http1 => {
                for _ in 0..AT_ONCE {
                    let io = connect(address).await;
                    let (sender, connection) = conn::http1::handshake(io).await.expect("HTTP/1.1");
                    tokio::spawn(connection);
                    all.push(Self::Http1(sender));
                }
            }
            Protocol::Http2 => {
                let (io, executor) = (connect(address).await, TokioExecutor::new());
                let shaken = conn::http2::handshake(executor, io).await;
                let (sender, connection) = shaken.expect("HTTP/2");
                tokio::spawn(connection);
                all.extend((0..AT_ONCE).map(|_| Self::Http2(sender.clone())));
            }
        }
        all
    }

    /// One after the other, each when it is due, and how long each took.
    async fn send_all(mut self, requests: Vec<(Option<Instant>, Template)>) -> Vec<Duration> {
        let mut took = Vec::with_capacity(requests.len());
        for (due, template) in requests {
            // A timer counts in milliseconds, which is longer than an answer takes.
            while due.is_some_and(|due| Instant::now() < due) {
                yield_now().await;
            }
            let due = due.unwrap_or_else(Instant::now);
            let response = self.send(&template).await;
            assert_eq!(response.status(), StatusCode::OK);
            response.into_body().collect().await.expect("a body");
            took.push(due.elapsed());
        }
        took
    }

    async fn send(&mut self, template: &Template) -> Response<Incoming> {
        let mut request: Request<Full<Bytes>> = template.request(Full::new);
        let response = match self {
            Self::Http1(sender) => {
                let host = HeaderValue::from_static("localhost");
                request.headers_mut().insert(header::HOST, host);
                sender.ready().await.expect("a connection");
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                *request.uri_mut() = Uri::from_static("http://localhost/voice");
                sender.ready().await.expect("a connection");
                sender.send_request(request).await
            }
        };
        response.expect("an answer")
    }
}

async fn connect(address: SocketAddr) -> TokioIo<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    TokioIo::new(stream)
}
