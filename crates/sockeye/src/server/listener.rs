//! Opens what a server listens on, and accepts.

use std::io;
use std::net::SocketAddr;
#[cfg(engine)]
use std::os::fd::OwnedFd;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::Address;
use super::bind::{Bind, BindError, Target, TcpOptions};
use super::transport::Socket;

/// An open listener.
#[derive(Debug)]
pub(super) struct Listener {
    accepting: Accepting,
    address: Address,
}

#[derive(Debug)]
enum Accepting {
    /// A socket for each worker, among which the system spreads the connections.
    #[cfg(engine)]
    Balanced(Vec<OwnedFd>),
    Tcp {
        listener: TcpListener,
        options: TcpOptions,
    },
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        _file: Option<SocketFile>,
    },
}

/// How listeners are opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    pub(super) tcp: TcpOptions,
    /// How many sockets there are to be for a TCP address, among which the system spreads the connections;
    /// one that is accepted on here, if it is 0.
    pub(super) balanced: usize,
}

impl Listener {
    /// Opens all listeners, or none.
    pub(super) async fn bind_all(targets: Vec<Bind>, terms: Terms) -> Result<Vec<Self>, BindError> {
        let mut groups = Vec::with_capacity(targets.len());
        for target in targets {
            let name = target.to_string();
            let group = Group::resolve(target).await;
            groups.push(
                group
                    .map_err(|source| BindError {
                        target: name.clone(),
                        source,
                    })
                    .map(|group| (name, group))?,
            );
        }
        let ipv4_ports: Vec<u16> = groups
            .iter()
            .flat_map(|(_, group)| group.addresses())
            .filter(|address| address.is_ipv4())
            .map(SocketAddr::port)
            .collect();

        let mut listeners = Vec::new();
        for (name, group) in groups {
            let opened = group.open(&ipv4_ports, terms).await;
            listeners.extend(opened.map_err(|source| BindError { target: name, source })?);
        }
        Ok(listeners)
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// The sockets for the workers, if the system spreads the connections among them; the listener otherwise.
    #[cfg(engine)]
    pub(super) fn into_balanced(self) -> Result<Vec<OwnedFd>, Self> {
        match self.accepting {
            Accepting::Balanced(sockets) => Ok(sockets),
            accepting => Err(Self { accepting, ..self }),
        }
    }

    /// The next connection and who it is from.
    ///
    /// # Cancel safety
    /// No connection is lost when the future is dropped.
    pub(super) async fn accept(&self) -> io::Result<(Socket, Address)> {
        match &self.accepting {
            Accepting::Tcp { listener, options } => {
                let (stream, peer) = listener.accept().await?;
                set_up(&SockRef::from(&stream), options)?;
                Ok((Socket::Tcp(stream), Address::Tcp(peer)))
            }
            #[cfg(unix)]
            Accepting::Unix { listener, .. } => {
                let (stream, peer) = listener.accept().await?;
                Ok((
                    Socket::Unix(stream),
                    Address::Unix(peer.as_pathname().map(Path::to_owned)),
                ))
            }
            // The workers accept.
            #[cfg(engine)]
            Accepting::Balanced(_) => std::future::pending().await,
        }
    }

    /// The next connection as the workers take it.
    ///
    /// # Cancel safety
    /// No connection is lost when the future is dropped.
    #[cfg(engine)]
    pub(super) async fn accept_descriptor(&self) -> io::Result<OwnedFd> {
        match &self.accepting {
            Accepting::Tcp { listener, .. } => Ok(listener.accept().await?.0.into_std()?.into()),
            Accepting::Unix { listener, .. } => Ok(listener.accept().await?.0.into_std()?.into()),
            Accepting::Balanced(_) => std::future::pending().await,
        }
    }

    fn tcp(listener: std::net::TcpListener, options: TcpOptions) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = Address::Tcp(listener.local_addr()?);
        Ok(Self {
            accepting: Accepting::Tcp { listener, options },
            address,
        })
    }

    #[cfg(unix)]
    fn unix(listener: UnixListener, file: Option<SocketFile>) -> io::Result<Self> {
        let address = Address::Unix(listener.local_addr()?.as_pathname().map(Path::to_owned));
        Ok(Self {
            accepting: Accepting::Unix {
                listener,
                _file: file,
            },
            address,
        })
    }
}

/// What one [`Bind`] stands for.
enum Group {
    /// The addresses of a name, or a single one.
    Addresses(Vec<SocketAddr>),
    Other(Target),
}

impl Group {
    async fn resolve(target: Bind) -> io::Result<Self> {
        Ok(match target.0 {
            Target::Address(address) => Self::Addresses(vec![address]),
            Target::Name(name) => {
                let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host(&name).await?.collect();
                addresses.sort_unstable();
                addresses.dedup();
                if addresses.is_empty() {
                    return Err(io::Error::new(
                        io::ErrorKind::NotFound,
                        "the name has no addresses",
                    ));
                }
                Self::Addresses(addresses)
            }
            other => Self::Other(other),
        })
    }

    fn addresses(&self) -> &[SocketAddr] {
        match self {
            Self::Addresses(addresses) => addresses,
            Self::Other(_) => &[],
        }
    }

    async fn open(self, ipv4_ports: &[u16], terms: Terms) -> io::Result<Vec<Listener>> {
        let options = terms.tcp;
        match self {
            Self::Addresses(addresses) => open_addresses(&addresses, ipv4_ports, terms),
            Self::Other(Target::Tcp(listener)) => Ok(vec![Listener::tcp(listener, options)?]),
            #[cfg(unix)]
            Self::Other(Target::Unix(listener)) => {
                listener.set_nonblocking(true)?;
                Ok(vec![Listener::unix(UnixListener::from_std(listener)?, None)?])
            }
            #[cfg(unix)]
            Self::Other(Target::UnixPath { path, mode }) => Ok(vec![open_unix(path, mode).await?]),
            Self::Other(Target::Name(_) | Target::Address(_)) => Ok(Vec::new()),
        }
    }
}

fn open_addresses(addresses: &[SocketAddr], ipv4_ports: &[u16], terms: Terms) -> io::Result<Vec<Listener>> {
    let mut listeners: Vec<Listener> = Vec::with_capacity(addresses.len());
    let mut unavailable = None;
    for &address in addresses {
        let chosen = listeners.first().and_then(|first| match first.address() {
            Address::Tcp(first) => Some(first.port()),
            Address::Unix(_) => None,
        });
        let ipv6_only = ipv4_ports.contains(&address.port());
        let opened = match chosen {
            // The system chose a port for the first address: take it for the others if it is free there.
            Some(port) if address.port() == 0 => {
                open_tcp(SocketAddr::new(address.ip(), port), ipv6_only, terms)
                    .or_else(|_| open_tcp(address, ipv6_only, terms))
            }
            _ => open_tcp(address, ipv6_only, terms),
        };
        match opened {
            Ok(listener) => listeners.push(listener),
            // A name may have an address that this machine has not, such as ::1 where IPv6 is off.
            Err(error) if is_unavailable(&error) => unavailable = Some(error),
            Err(error) => return Err(error),
        }
    }
    match unavailable {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

fn is_unavailable(error: &io::Error) -> bool {
    #[cfg(unix)]
    const NO_FAMILY: Option<i32> = Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    #[cfg(not(unix))]
    const NO_FAMILY: Option<i32> = Some(10047);

    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == NO_FAMILY
}

fn open_tcp(address: SocketAddr, ipv6_only: bool, terms: Terms) -> io::Result<Listener> {
    let first = bind_tcp(address, ipv6_only, false)?;
    #[cfg(engine)]
    if terms.balanced > 0 {
        // The first socket only makes sure that nobody else has the address: to those that share one, the
        // system adds anybody of the same user.
        let address = first.local_addr()?.as_socket().unwrap_or(address);
        drop(first);
        let sockets = (0..terms.balanced).map(|_| listen_tcp(bind_tcp(address, ipv6_only, true)?, terms.tcp));
        let sockets = sockets
            .map(|socket| socket.map(OwnedFd::from))
            .collect::<io::Result<_>>()?;
        return Ok(Listener {
            accepting: Accepting::Balanced(sockets),
            address: Address::Tcp(address),
        });
    }
    Listener::tcp(listen_tcp(first, terms.tcp)?.into(), terms.tcp)
}

fn bind_tcp(address: SocketAddr, ipv6_only: bool, is_shared: bool) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(ipv6_only)?;
    }
    // Elsewhere than on Windows this only lets a restarted server take over its port from sockets in
    // TIME_WAIT.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    #[cfg(engine)]
    socket.set_reuse_port(is_shared)?;
    #[cfg(not(engine))]
    let _ = is_shared;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen_tcp(socket: RawSocket, options: TcpOptions) -> io::Result<RawSocket> {
    socket.set_nonblocking(true)?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Sets up an accepted TCP connection.
pub(super) fn set_up(socket: &SockRef<'_>, options: &TcpOptions) -> io::Result<()> {
    if options.nodelay {
        socket.set_tcp_nodelay(true)?;
    }
    if let Some(silence) = options.keepalive {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(silence))?;
    }
    Ok(())
}

#[cfg(unix)]
async fn open_unix(path: PathBuf, mode: Option<u32>) -> io::Result<Listener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    let listener = match UnixListener::bind(&path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(&path)?.file_type().is_socket();
            let is_stale = is_socket
                && UnixStream::connect(&path)
                    .await
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !is_stale {
                return Err(error);
            }
            std::fs::remove_file(&path)?;
            UnixListener::bind(&path)?
        }
        bound => bound?,
    };
    let file = SocketFile::new(path)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(mode))?;
    }
    Listener::unix(listener, Some(file))
}

/// The file of a Unix socket, removed with this value unless another one has taken its place.
#[cfg(unix)]
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

#[cfg(unix)]
impl SocketFile {
    fn new(path: PathBuf) -> io::Result<Self> {
        let identity = file_identity(&path)?;
        Ok(Self { path, identity })
    }
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        if file_identity(&self.path).is_ok_and(|identity| identity == self.identity)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the socket file could not be removed");
        }
    }
}

#[cfg(unix)]
fn file_identity(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Accepts until the future is dropped, handing each connection to `serve`.
///
/// Errors that belong to the connection (it was reset before it was accepted) are passed over. The others
/// mean that the system is short of something, mostly file descriptors: then the loop waits, a little longer
/// each time, since asking again at once would only burn the processor.
pub(super) async fn accept_loop<T, F>(
    mut accept: impl FnMut() -> F,
    mut serve: impl FnMut(T),
) -> std::convert::Infallible
where
    F: Future<Output = io::Result<T>>,
{
    const FIRST_WAIT: Duration = Duration::from_millis(5);
    const LONGEST_WAIT: Duration = Duration::from_secs(1);

    let mut wait = FIRST_WAIT;
    loop {
        match accept().await {
            Ok(connection) => {
                wait = FIRST_WAIT;
                serve(connection);
            }
            Err(error) if belongs_to_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, ?wait, "cannot accept connections; trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

fn belongs_to_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            // set_nodelay on a connection that is gone already.
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use tokio::net::TcpStream;
    use tokio::time::Instant;

    use super::*;

    async fn bind(targets: Vec<Bind>) -> Result<Vec<Listener>, BindError> {
        Listener::bind_all(targets, Terms::default()).await
    }

    fn tcp(listener: &Listener) -> SocketAddr {
        match listener.address() {
            Address::Tcp(address) => *address,
            other => panic!("{other} is not TCP"),
        }
    }

    #[tokio::test]
    async fn several_addresses_are_served() {
        let listeners = bind(vec!["127.0.0.1:0".into(), ("127.0.0.1", 0).into()])
            .await
            .unwrap();
        assert_eq!(listeners.len(), 2);
        assert_ne!(tcp(&listeners[0]).port(), tcp(&listeners[1]).port());
        for listener in &listeners {
            let client = TcpStream::connect(tcp(listener)).await.unwrap();
            let (_socket, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, Address::Tcp(client.local_addr().unwrap()));
        }
    }

    #[tokio::test]
    async fn a_name_with_several_addresses_gets_one_port() {
        let listeners = bind(vec!["localhost:0".into()]).await.unwrap();
        let ports: Vec<u16> = listeners.iter().map(|listener| tcp(listener).port()).collect();
        assert!(
            ports.iter().all(|&port| port == ports[0] && port != 0),
            "{ports:?}"
        );
    }

    #[tokio::test]
    async fn ipv6_wildcard_takes_ipv4_unless_it_is_listened_on_too() {
        let Ok(listeners) = bind(vec!["[::]:0".into()]).await else {
            // A machine without IPv6.
            assert!(std::net::TcpListener::bind("[::1]:0").is_err());
            return;
        };
        let port = tcp(&listeners[0]).port();
        let (client, accepted) = tokio::join!(TcpStream::connect(("127.0.0.1", port)), listeners[0].accept());
        client.unwrap();
        assert_eq!(accepted.unwrap().1.ip(), Some("127.0.0.1".parse().unwrap()));
        drop(listeners);

        let both = vec![format!("[::]:{port}").into(), format!("0.0.0.0:{port}").into()];
        assert_eq!(bind(both).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(vec![address.into()]).await.unwrap_err();
        assert!(error.is_address_in_use());
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[tokio::test]
    async fn nonsense_is_an_error() {
        for name in ["", "localhost", "127.0.0.1:99999", ":::"] {
            assert!(bind(vec![name.into()]).await.is_err(), "{name:?}");
        }
    }

    #[tokio::test]
    async fn an_open_listener_is_taken_over() {
        let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = open.local_addr().unwrap();
        let listeners = bind(vec![open.into()]).await.unwrap();
        assert_eq!(tcp(&listeners[0]), address);
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listeners[0].accept());
        client.unwrap();
        accepted.unwrap();
    }

    #[tokio::test]
    async fn accepted_sockets_are_set_up_as_the_options_say() {
        let silence = Duration::from_secs(45);
        for (options, nodelay, probed) in [
            (TcpOptions::default(), true, false),
            (
                TcpOptions {
                    nodelay: false,
                    keepalive: Some(silence),
                    ..TcpOptions::default()
                },
                false,
                true,
            ),
        ] {
            let listeners = Listener::bind_all(
                vec!["127.0.0.1:0".into()],
                Terms {
                    tcp: options,
                    balanced: 0,
                },
            )
            .await
            .unwrap();
            let client = TcpStream::connect(tcp(&listeners[0])).await.unwrap();
            let Ok((Socket::Tcp(socket), _)) = listeners[0].accept().await else {
                panic!("not a TCP socket")
            };
            drop(client);
            assert_eq!(socket.nodelay().unwrap(), nodelay);
            let raw = SockRef::from(&socket);
            assert_eq!(raw.keepalive().unwrap(), probed);
            if probed {
                assert_eq!(raw.tcp_keepalive_time().unwrap(), silence);
            }
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_unix_socket_is_removed_at_the_end() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sockeye.sock");
        let listeners = bind(vec![Bind::unix_with_mode(&path, 0o600)]).await.unwrap();
        assert_eq!(listeners[0].address(), &Address::Unix(Some(path.clone())));
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let (client, accepted) = tokio::join!(UnixStream::connect(&path), listeners[0].accept());
        client.unwrap();
        assert_eq!(accepted.unwrap().1, Address::Unix(None));
        drop(listeners);
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_stale_unix_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sockeye.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listeners = bind(vec![Bind::unix(&path)]).await.unwrap();

        let error = bind(vec![Bind::unix(&path)]).await.unwrap_err();
        assert!(error.is_address_in_use());
        assert!(path.exists());

        // A file that took the socket's place is not the server's to remove.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(bind(vec![Bind::unix(&path)]).await.is_err());
        drop(listeners);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test(start_paused = true)]
    async fn accepting_survives_a_shortage_of_descriptors() {
        const EMFILE: i32 = 24;
        let script = RefCell::new(VecDeque::from([
            Ok(1),
            Err(io::Error::from_raw_os_error(EMFILE)),
            Err(io::Error::from_raw_os_error(EMFILE)),
            Err(io::ErrorKind::ConnectionAborted.into()),
            Err(io::Error::from_raw_os_error(EMFILE)),
            Ok(2),
            Err(io::Error::from_raw_os_error(EMFILE)),
            Ok(3),
        ]));
        let accept = || async {
            let next = script.borrow_mut().pop_front();
            match next {
                Some(result) => result,
                None => std::future::pending().await,
            }
        };
        let started = Instant::now();
        let mut accepted = Vec::new();
        let done = tokio::time::timeout(
            Duration::from_secs(60),
            accept_loop(accept, |connection| {
                accepted.push((connection, started.elapsed().as_millis()))
            }),
        );
        done.await.unwrap_err();
        // 5 + 10 + 20 ms before the second; after a success the wait starts small again.
        assert_eq!(accepted, [(1, 0), (2, 35), (3, 40)]);
    }
}
