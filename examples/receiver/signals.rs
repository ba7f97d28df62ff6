//! The signals that end it.

use std::{future::Future, io};

use tokio::signal::unix::{SignalKind, signal};

/// From here on they kill no more, whenever they come. The first future completes at SIGTERM, the
/// second at SIGINT or at a second SIGTERM.
pub fn listen() -> io::Result<(impl Future<Output = ()>, impl Future<Output = ()>)> {
    let mut once = signal(SignalKind::terminate())?;
    let mut twice = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        once.recv().await;
    };
    let hurry = async move {
        let again = async {
            twice.recv().await;
            twice.recv().await;
        };
        tokio::select! {
            () = again => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok((stop, hurry))
}
