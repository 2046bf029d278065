//! One TCP connection, as the user wants it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

/// How the client's TCP sockets are set up.
///
/// ```
/// use std::time::Duration;
/// use sockeye::Client;
/// use sockeye::client::TcpOptions;
///
/// let tcp = TcpOptions { keepalive: Some(Duration::from_secs(60)), ..TcpOptions::default() };
/// let client = Client::builder().tcp_options(tcp).build()?;
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcpOptions {
    /// Sends small segments without waiting for the acknowledgement of earlier ones (`TCP_NODELAY`, no Nagle
    /// algorithm). Default: yes; messages would wait for each other otherwise.
    pub nodelay: bool,
    /// Lets the system probe a connection that was silent for this long (`SO_KEEPALIVE`), at least a second. It finds
    /// a host that is gone, but not a program that hangs: for that there is
    /// [`Config::keepalive`](crate::Config::keepalive). Default: no.
    pub keepalive: Option<Duration>,
    /// Sends and receives through this network interface only, such as `eth0` (`SO_BINDTODEVICE`). The system may ask
    /// for privileges. Default: whichever the system chooses.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    pub interface: Option<String>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: None,
            #[cfg(any(target_os = "android", target_os = "linux"))]
            interface: None,
        }
    }
}

impl TcpOptions {
    /// Connects to `address`, from `local` if one is given.
    pub(super) async fn connect(&self, address: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_nodelay(self.nodelay)?;
        if let Some(idle) = self.keepalive {
            SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
        }
        #[cfg(any(target_os = "android", target_os = "linux"))]
        if let Some(interface) = &self.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        if let Some(local) = local {
            socket.bind(SocketAddr::new(local, 0))?;
        }
        socket.connect(address).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn sockets_are_set_up_as_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for (nodelay, keepalive) in [(true, None), (false, Some(Duration::from_secs(90)))] {
            let options = TcpOptions {
                nodelay,
                keepalive,
                ..TcpOptions::default()
            };
            let io = options.connect(address, None).await.unwrap();
            let socket = SockRef::from(&io);
            assert_eq!(socket.tcp_nodelay().unwrap(), nodelay);
            assert_eq!(socket.keepalive().unwrap(), keepalive.is_some());
        }
        assert!(TcpOptions::default().nodelay);
    }

    #[cfg(any(target_os = "android", target_os = "linux"))]
    #[tokio::test]
    async fn an_interface_that_is_not_there_is_an_error() {
        let options = TcpOptions {
            interface: Some("no-such-if".to_owned()),
            ..TcpOptions::default()
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(options.connect(address, None).await.is_err());
    }
}
