//! The signals that end it.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

pub struct Signals {
    /// SIGTERM or SIGINT has come.
    pub stop: oneshot::Receiver<()>,
    /// At once: that was a SIGINT, or another of the two has come.
    pub hurry: oneshot::Receiver<()>,
}

/// From here on they kill no more, whenever they come.
pub fn listen() -> io::Result<Signals> {
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopped) = oneshot::channel();
    let (hurry, hurried) = oneshot::channel();
    tokio::spawn(forward(terminate, interrupt, stop, hurry));
    Ok(Signals {
        stop: stopped,
        hurry: hurried,
    })
}

/// One after the other: who was told of the first may send the second right away, and it counts.
async fn forward(
    mut terminate: Signal,
    mut interrupt: Signal,
    stop: oneshot::Sender<()>,
    hurry: oneshot::Sender<()>,
) {
    let is_patient = tokio::select! {
        _ = terminate.recv() => true,
        _ = interrupt.recv() => false,
    };
    let _ = stop.send(());
    if is_patient {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    let _ = hurry.send(());
}
