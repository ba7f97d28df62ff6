//! An address at which nobody listens.

use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// Who connects to it is refused. It is kept meanwhile: a port that was merely free a moment ago is
/// soon somebody else's.
pub struct Vacant(TcpSocket);

impl Vacant {
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// From now on somebody listens.
    pub fn listen(self) -> TcpListener {
        let listener = self.0.listen(128).unwrap().into_std().unwrap();
        listener.set_nonblocking(false).unwrap();
        listener
    }
}
