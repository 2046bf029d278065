//! What a server can be told to listen on.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

/// Something to listen on.
///
/// Text such as `127.0.0.1:3000`, `[::]:443`, `localhost:0` becomes one listener for each address that it
/// names; port 0 lets the system choose, the same port for all addresses of a name where that can be had.
/// `[::]` takes IPv4 as well, unless `0.0.0.0` is listened on too.
#[derive(Debug)]
pub struct Bind(pub(super) Target);

#[derive(Debug)]
pub(super) enum Target {
    Name(String),
    Address(SocketAddr),
    #[cfg(unix)]
    UnixPath {
        path: PathBuf,
        mode: Option<u32>,
    },
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

impl Bind {
    /// A Unix socket at this path. A socket file that is there already is replaced if nobody listens on it;
    /// the file is removed when the server ends.
    #[cfg(unix)]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self(Target::UnixPath {
            path: path.into(),
            mode: None,
        })
    }

    /// As [`unix`](Self::unix), with the permissions of the socket file, such as `0o660`: who may write to it
    /// may connect.
    #[cfg(unix)]
    pub fn unix_with_mode(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self(Target::UnixPath {
            path: path.into(),
            mode: Some(mode),
        })
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Name(name) => f.write_str(name),
            Target::Address(address) => address.fmt(f),
            #[cfg(unix)]
            Target::UnixPath { path, .. } => write!(f, "unix:{}", path.display()),
            Target::Tcp(_) => f.write_str("an open TCP listener"),
            #[cfg(unix)]
            Target::Unix(_) => f.write_str("an open Unix listener"),
        }
    }
}

impl From<&str> for Bind {
    fn from(name: &str) -> Self {
        Self(Target::Name(name.to_owned()))
    }
}

impl From<String> for Bind {
    fn from(name: String) -> Self {
        Self(Target::Name(name))
    }
}

impl From<SocketAddr> for Bind {
    fn from(address: SocketAddr) -> Self {
        Self(Target::Address(address))
    }
}

impl From<(IpAddr, u16)> for Bind {
    fn from(address: (IpAddr, u16)) -> Self {
        Self(Target::Address(address.into()))
    }
}

impl From<(&str, u16)> for Bind {
    fn from((host, port): (&str, u16)) -> Self {
        match host.parse() {
            Ok(ip) => Self(Target::Address(SocketAddr::new(ip, port))),
            Err(_) => Self(Target::Name(format!("{host}:{port}"))),
        }
    }
}

/// An open listener, such as one inherited from a supervisor.
impl From<std::net::TcpListener> for Bind {
    fn from(listener: std::net::TcpListener) -> Self {
        Self(Target::Tcp(listener))
    }
}

/// An open listener, such as one inherited from a supervisor. Its file is left alone.
#[cfg(unix)]
impl From<std::os::unix::net::UnixListener> for Bind {
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        Self(Target::Unix(listener))
    }
}

/// How TCP sockets are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// How many connections the system keeps ready for the server to accept; it may cut this (on Linux to
    /// `net.core.somaxconn`). Default: 1,024, so that a reconnecting crowd is not turned away.
    pub backlog: u32,
    /// Sends small messages at once instead of waiting for more to send along (`TCP_NODELAY`). Default:
    /// `true`.
    pub nodelay: bool,
    /// Has the system probe connections that were silent for this long (`SO_KEEPALIVE`), and drop those whose
    /// other machine is gone. Default: `None`, since WebSockets are probed by Pings
    /// ([`Config::keepalive`](crate::Config::keepalive)), which also find programs that hang.
    pub keepalive: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            backlog: 1024,
            nodelay: true,
            keepalive: None,
        }
    }
}

/// A listener that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {target}: {}", reason(source))]
pub struct BindError {
    pub(super) target: String,
    pub(super) source: io::Error,
}

impl BindError {
    /// What the system said.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether somebody else has the address.
    pub fn is_address_in_use(&self) -> bool {
        self.kind() == io::ErrorKind::AddrInUse
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the address is in use; stop the other program or choose another port".into()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below 1024 and foreign directories need privileges".into()
        }
        _ => error.to_string(),
    }
}
