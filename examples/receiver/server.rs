//! The server: HTTP/1.1 and HTTP/2 on one port, as `axum::serve` does it, with an end to every
//! peer that sends half of something and no more.

use std::{
    future::Future,
    io::{self, ErrorKind},
    pin::pin,
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use suno_callback::Drain;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

/// How long a peer may take for the head of a request. It counts for the pause between two requests
/// too, so it is longer than the 60 s that proxies keep a connection which nobody uses.
const HEAD: Duration = Duration::from_secs(75);

/// How often an HTTP/2 peer is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// How long a connection lives at most, but for the request that is under way: nothing else ends
/// one that has not even said which protocol it speaks.
const AGE: Duration = Duration::from_secs(600);

/// How long to wait when the system has no more descriptors.
const SCARCE: Duration = Duration::from_millis(100);

/// Serves until the drain is closed, then waits for the connections. Those that are left when the
/// future is dropped end with it.
pub async fn serve(listener: TcpListener, app: Router, drain: Drain) -> io::Result<()> {
    let (http, mut closed) = (http(), pin!(drain.closed()));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = accept(&listener) => stream,
            () = &mut closed => break,
        };
        let service = TowerToHyperService::new(app.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        connections.spawn(run(connection.into_owned(), drain.closed()));
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING);
    http
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_one_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(SCARCE).await;
            }
        }
    }
}

fn is_of_one_peer(error: &io::Error) -> bool {
    let kinds = [
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionRefused,
        ErrorKind::ConnectionReset,
    ];
    kinds.contains(&error.kind())
}

type Connection =
    auto::Connection<'static, TokioIo<TcpStream>, TowerToHyperService<Router>, TokioExecutor>;

/// How a connection breaks is its peer's business: what it asked for goes on.
async fn run(connection: Connection, closed: impl Future<Output = ()>) {
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = closed => {}
        () = sleep(AGE) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
