//! The opening handshake, as it is shown and recorded.

use http::{HeaderMap, Request, Response};
use serde::{Deserialize, Serialize};
use sockeye::client::ConnectionInfo;
use sockeye::tls::{KeyPin, TlsInfo};
use sockeye::{ConnectPhase, Sender};

use crate::payload;

/// What was asked for, what the server answered, and what was agreed on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Handshake {
    /// Path and query that were asked for.
    pub(crate) target: String,
    /// The header fields of the request, without secrets.
    pub(crate) request: Vec<(String, String)>,
    /// The HTTP status: 101.
    pub(crate) status: u16,
    /// The header fields of the response, without secrets.
    pub(crate) response: Vec<(String, String)>,
    pub(crate) subprotocol: Option<String>,
    /// As in `Sec-WebSocket-Extensions`; empty if there are none.
    pub(crate) extensions: String,
    /// The server's address, unless it is no TCP connection.
    pub(crate) peer: Option<String>,
    /// How long each phase of connecting took, in milliseconds: `resolve`, `connect`, `proxy`, `tls`, `handshake`.
    pub(crate) phases: Vec<(String, f64)>,
    /// What TLS agreed on.
    pub(crate) tls: Option<Tls>,
}

/// What TLS agreed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tls {
    pub(crate) version: String,
    pub(crate) cipher: Option<String>,
    pub(crate) resumed: bool,
    /// SHA-256 of the server's certificate, as programs that show certificates write it: `AB:CD:…`.
    pub(crate) fingerprint: Option<String>,
    /// What `--pin` takes.
    pub(crate) pin: Option<String>,
}

impl Handshake {
    /// The facts of an open connection.
    pub(crate) fn of(sender: &Sender) -> Self {
        let data = sender.data();
        let request = data.get::<Request<()>>();
        let response = data.get::<Response<()>>();
        let info = data.get::<ConnectionInfo>();
        Self {
            target: request.map_or_else(String::new, |request| request.uri().to_string()),
            request: request.map_or_else(Vec::new, |request| fields(request.headers())),
            status: response.map_or(101, |response| response.status().as_u16()),
            response: response.map_or_else(Vec::new, |response| fields(response.headers())),
            subprotocol: sender.subprotocol().map(str::to_owned),
            extensions: sender.negotiated_extensions().to_owned(),
            peer: info.and_then(|info| info.peer).map(|peer| peer.to_string()),
            phases: info.map_or_else(Vec::new, phases),
            tls: info.and_then(|info| info.tls.as_ref()).map(Tls::of),
        }
    }

    /// What was agreed on, in one line.
    pub(crate) fn summary(&self) -> String {
        let subprotocol = self.subprotocol.as_ref().map_or_else(
            || "no subprotocol".to_owned(),
            |name| format!("subprotocol {name}"),
        );
        let extensions = match self.extensions.as_str() {
            "" => "no extensions",
            extensions => extensions,
        };
        payload::one_line(&format!("{subprotocol}, {extensions}"))
    }

    /// How long each phase took, in one line.
    pub(crate) fn times(&self) -> String {
        let phases: Vec<_> = self
            .phases
            .iter()
            .map(|(name, took)| format!("{name} {took:.2} ms"))
            .collect();
        phases.join(", ")
    }

    /// All of it, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(peer) = &self.peer {
            lines.push(format!("with {peer}"));
        }
        if !self.phases.is_empty() {
            lines.push(self.times());
        }
        if let Some(tls) = &self.tls {
            lines.push(tls.summary());
        }
        lines.push(format!("> GET {} HTTP/1.1", self.target));
        lines.extend(
            self.request
                .iter()
                .map(|(name, value)| format!("> {name}: {value}")),
        );
        lines.push(format!("< HTTP/1.1 {}", status_text(self.status)));
        lines.extend(
            self.response
                .iter()
                .map(|(name, value)| format!("< {name}: {value}")),
        );
        lines.iter().map(|line| payload::one_line(line)).collect()
    }
}

impl Tls {
    fn of(info: &TlsInfo) -> Self {
        Self {
            version: info.version.to_owned(),
            cipher: info.cipher.map(str::to_owned),
            resumed: info.resumed,
            pin: info
                .peer_certificates
                .first()
                .and_then(|certificate| KeyPin::of_certificate(certificate).ok())
                .map(|pin| pin.to_string()),
            fingerprint: info.peer_certificates.first().map(|certificate| {
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
                let bytes: Vec<_> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
                bytes.join(":")
            }),
        }
    }

    /// In one line.
    pub(crate) fn summary(&self) -> String {
        let mut text = self.version.clone();
        let parts = [
            self.cipher.clone(),
            self.resumed.then(|| "resumed".to_owned()),
            self.fingerprint
                .as_ref()
                .map(|fingerprint| format!("certificate SHA-256 {fingerprint}")),
            self.pin.as_ref().map(|pin| format!("key {pin}")),
        ];
        for part in parts.into_iter().flatten() {
            text.push_str(", ");
            text.push_str(&part);
        }
        text
    }
}

fn phases(info: &ConnectionInfo) -> Vec<(String, f64)> {
    info.phases
        .iter()
        .map(|(phase, took)| {
            let name = match phase {
                ConnectPhase::Resolve => "resolve",
                ConnectPhase::Connect => "connect",
                ConnectPhase::Proxy => "proxy",
                ConnectPhase::Tls => "tls",
                ConnectPhase::Handshake => "handshake",
                _ => "other",
            };
            (
                name.to_owned(),
                (took.as_secs_f64() * 1_000_000.0).round() / 1000.0,
            )
        })
        .collect()
}

/// A status with its reason.
pub(crate) fn status_text(status: u16) -> String {
    http::StatusCode::from_u16(status).map_or_else(|_| status.to_string(), |status| status.to_string())
}

/// Fields whose values are worth something to others.
const SECRET: &[&str] = &["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// Header fields as text, with the values of those that hold secrets left out.
fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = if SECRET.contains(&name.as_str()) {
                "(not shown)".into()
            } else {
                String::from_utf8_lossy(value.as_bytes())
            };
            (name.to_string(), value.into_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", "id=hunter2".parse().unwrap());
        headers.insert("authorization", "Bearer hunter2".parse().unwrap());
        headers.insert("server", "x".parse().unwrap());
        let fields = fields(&headers);
        assert!(!format!("{fields:?}").contains("hunter2"), "{fields:?}");
        assert!(fields.contains(&("server".into(), "x".into())));
    }

    #[test]
    fn every_line_is_one_line() {
        let handshake = Handshake {
            status: 101,
            response: vec![("x-odd".into(), "a\u{1b}[2J".into())],
            tls: Some(Tls {
                version: "TLSv1.3".into(),
                resumed: true,
                ..Tls::default()
            }),
            ..Handshake::default()
        };
        let lines = handshake.lines();
        assert_eq!(lines[0], "TLSv1.3, resumed");
        assert_eq!(lines[2], "< HTTP/1.1 101 Switching Protocols");
        assert_eq!(lines[3], "< x-odd: a\\u{1b}[2J");
        assert_eq!(handshake.summary(), "no subprotocol, no extensions");
    }
}
