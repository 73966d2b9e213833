//! Ports on loopback that stay ours, also while nobody listens on them.
//!
//! A port that was merely found free may be taken by anybody before its server binds it, or while its server is
//! being restarted. So the port is *held*: a socket is bound to it, with `SO_REUSEADDR`, and never listens. The
//! system then gives that port to nobody who asks for any free one, neither to a listener nor to an outgoing
//! connection, but a server that asks for exactly this port with `SO_REUSEADDR` (all of them do) may have it.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use tokio::net::TcpSocket;

/// A port on 127.0.0.1 that nobody else is given as long as this value lives.
#[derive(Debug)]
pub struct HeldPort {
    /// Bound, and never made to listen.
    _socket: TcpSocket,
    port: u16,
}

impl HeldPort {
    /// Asks the system for a free port, and holds it.
    pub fn any() -> Result<Self> {
        let socket = TcpSocket::new_v4().context("no socket for a port")?;
        socket.set_reuseaddr(true).context("SO_REUSEADDR refused")?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).context("no free port on loopback")?;
        let port = socket.local_addr().context("a bound socket without an address")?.port();
        Ok(Self { _socket: socket, port })
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.port
    }

    /// 127.0.0.1 with this port.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn its_server_may_come_and_go() {
        let held = HeldPort::any().unwrap();
        for _ in 0..3 {
            assert!(TcpStream::connect(held.address()).is_err(), "nobody listens yet");
            let server = TcpListener::bind(held.address()).unwrap();
            let client = TcpStream::connect(held.address()).unwrap();
            let (accepted, _) = server.accept().unwrap();
            drop((server, accepted, client));
        }
    }

    /// The system draws from some 14,000 even or odd ports at first: were this one free, it would come up.
    #[test]
    fn nobody_else_is_given_it() {
        let held = HeldPort::any().unwrap();
        for _ in 0..200_000 {
            let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            assert_ne!(other.local_addr().unwrap().port(), held.number());
        }
    }

    #[test]
    fn two_are_different() {
        let (one, other) = (HeldPort::any().unwrap(), HeldPort::any().unwrap());
        assert_ne!(one.number(), other.number());
        assert_eq!(one.url(), format!("http://127.0.0.1:{}", one.number()));
    }
}
