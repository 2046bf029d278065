//! What the application asks of a connection: to send and to close.

use std::time::Instant;

use bytes::Bytes;

use super::control::ControlPayload;
use super::inputs::parse_close;
use super::{Codec, Connection, State};
use crate::close::CloseFrame;
use crate::copy;
use crate::deflate::Compressor;
use crate::error::SendError;
use crate::frame::{Frame, HeaderBytes, MAX_CONTROL_PAYLOAD, Opcode};
use crate::message::{Compress, Message, MessageKind};
use crate::prepared::{Prepared, PreparedForm};

impl Connection {
    /// Appends a whole message to `out`, compressed if that was negotiated and the message is long enough.
    ///
    /// # Errors
    ///
    /// The connection is closing, or a fragmented message is being sent.
    pub fn send(&mut self, message: Message<'_>, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_with(message, Compress::Auto, out)
    }

    /// As [`send`](Self::send), with the choice whether to compress.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_with(
        &mut self,
        message: Message<'_>,
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_bytes(message.kind(), message.as_bytes(), compress, out)
    }

    #[inline]
    fn send_bytes(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let compressor = compressor(&mut self.codec, compress, payload.len());
        self.sender.message(
            kind,
            payload,
            compressor,
            self.config.fragmentation_threshold,
            out,
        )
    }

    /// Appends a message that was framed ahead to `out`: on a server, without framing or compressing it again.
    ///
    /// The message goes out compressed where [`send_with`](Self::send_with) would compress it. On a connection
    /// that keeps its context this makes our window start afresh: see [`Prepared`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(
        &mut self,
        prepared: &Prepared,
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        match self.prepared(prepared, compress)? {
            Some(frames) => {
                copy::append(out, frames);
                Ok(())
            }
            None => self.send_bytes(prepared.kind(), prepared.as_bytes(), compress, out),
        }
    }

    /// The bytes that [`send_prepared`](Self::send_prepared) would append, for a caller that refers to them rather than to copy
    /// them: `None` on a client, which has to mask them.
    ///
    /// This counts as sending: the bytes must go out next, whole.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn prepared<'p>(
        &mut self,
        prepared: &'p Prepared,
        compress: Compress,
    ) -> Result<Option<&'p Bytes>, SendError> {
        self.check_open()?;
        let compressor = compressor(&mut self.codec, compress, prepared.as_bytes().len());
        self.sender
            .prepared(prepared, compressor, self.config.fragmentation_threshold)
    }

    /// What the bytes depend on that [`prepared`](Self::prepared) gives: connections of equal forms are given the same.
    /// `None` on a client.
    ///
    /// A server that sends many prepared messages to many connections asks one connection of each form for the
    /// bytes, and sends them to the others of that form too, each of which it tells so by
    /// [`sent_prepared`](Self::sent_prepared).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn prepared_form(&self) -> Result<Option<PreparedForm>, SendError> {
        self.check_open()?;
        let compressor = self.codec.as_ref().and_then(|codec| codec.compressor.as_ref());
        self.sender
            .prepared_form(compressor, self.config.fragmentation_threshold)
    }

    /// Notes that messages were sent on this connection whose bytes another connection of the same
    /// [form](Self::prepared_form) gave, some of them compressed. A connection that keeps its context forgets it here.
    pub fn sent_prepared(&mut self) {
        if let Some(compressor) = any_compressor(&mut self.codec) {
            compressor.forget();
        }
    }

    /// The header of a whole message whose payload the caller writes behind it by itself, so that a large payload
    /// need not be copied.
    ///
    /// `None` if the payload cannot go out as it is, because it is to be masked (on a client), compressed or
    /// cut into frames: [`send_with`](Self::send_with) does that. `Some` counts as sending: the header and `payload_len` bytes
    /// must go out next, and be UTF-8 if they are text.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Instant;
    /// # use sockeye_proto::{Compress, Config, Connection, MessageKind};
    /// # let mut server = Connection::server(Arc::new(Config::server()), None, Instant::now());
    /// let payload = vec![0; 100_000];
    /// let header = server.send_header(MessageKind::Binary, payload.len(), Compress::Auto)?;
    /// // Not compressed and not cut: now to write both in one go.
    /// assert_eq!(header.as_deref(), Some(&[0x82, 127, 0, 0, 0, 0, 0, 0x01, 0x86, 0xA0][..]));
    /// # Ok::<(), sockeye_proto::SendError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_header(
        &mut self,
        kind: MessageKind,
        payload_len: usize,
        compress: Compress,
    ) -> Result<Option<HeaderBytes>, SendError> {
        self.check_open()?;
        let compressor = compressor(&mut self.codec, compress, payload_len);
        self.sender
            .header(kind, payload_len, compressor, self.config.fragmentation_threshold)
    }

    /// Appends one fragment of a message to `out`; `fin` marks the last one (RFC 6455 §5.4).
    ///
    /// The first fragment decides the kind of the message and whether it is compressed; later ones only carry it
    /// on. A text fragment is a `&str`, so a code point is never cut.
    ///
    /// # Errors
    ///
    /// The connection is closing, or the fragment is of another kind than its message, or follows a
    /// [frame](Self::send_frame) of text that ended inside a code point.
    pub fn send_fragment(
        &mut self,
        fragment: Message<'_>,
        fin: bool,
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let compresses = self.sender.compresses_fragment(compress);
        let compressor = any_compressor(&mut self.codec).filter(|_| compresses);
        self.sender.fragment(fragment, fin, compressor, out)
    }

    /// Appends one frame to `out`, of any opcode, once it is sure that it breaks no rule: for programs that choose the
    /// framing themselves.
    ///
    /// A data frame begins a message or carries on the one in progress, whichever way that was begun; the first
    /// decides about compression, and text may be cut inside a code point. A Close frame starts the closing
    /// handshake, as [`close`](Self::close) does.
    ///
    /// # Errors
    ///
    /// Nothing was appended. The connection is closing; or a control frame is fragmented or longer than 125 bytes; or
    /// the body of a Close frame is invalid; or the opcode does not fit the message in progress; or text is not
    /// UTF-8.
    pub fn send_frame(
        &mut self,
        frame: Frame<'_>,
        compress: Compress,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        if frame.opcode.is_control() && !frame.fin {
            return Err(SendError::FragmentedControl);
        }
        match frame.opcode {
            Opcode::Ping => self.ping(frame.payload, out),
            Opcode::Pong => self.pong(frame.payload, out),
            Opcode::Close if frame.payload.len() > MAX_CONTROL_PAYLOAD => {
                Err(SendError::ControlTooLong(frame.payload.len()))
            }
            Opcode::Close if self.state != State::Open => Err(SendError::Closed),
            Opcode::Close => {
                let body = parse_close(frame.payload).map_err(|_| SendError::InvalidClose)?;
                self.close(body, now, out);
                Ok(())
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                let compresses = self.sender.compresses_fragment(compress);
                let compressor = any_compressor(&mut self.codec).filter(|_| compresses);
                self.sender.data_frame(frame, compressor, out)
            }
        }
    }

    /// Appends a Ping to `out`.
    ///
    /// # Errors
    ///
    /// The connection is closing, or `payload` is longer than 125 bytes.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_open()?;
        self.sender.control(Opcode::Ping, payload, out)?;
        if self.timers.is_ping_outstanding() {
            self.owed.remember_ping(payload);
        }
        Ok(())
    }

    /// Appends an unsolicited Pong to `out`: a sign of life that asks for no answer (RFC 6455 §5.5.3).
    ///
    /// # Errors
    ///
    /// The connection is closing, or `payload` is longer than 125 bytes.
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_open()?;
        self.sender.control(Opcode::Pong, payload, out)
    }

    /// Starts the closing handshake: appends a Close frame to `out`, behind everything sent before.
    ///
    /// Messages that the peer sent before it saw our Close frame are still handed out. Does nothing if the
    /// connection is closing already.
    pub fn close(&mut self, frame: Option<CloseFrame<'_>>, now: Instant, out: &mut Vec<u8>) {
        if self.state != State::Open {
            return;
        }
        self.write_owed_pong(out);
        self.write_close(&ControlPayload::close(frame), out);
        self.state = State::Closing;
        self.timers.closing(now);
    }

    /// Fails the connection for a reason of the application's: no more input is read, and the Close frame is owed.
    ///
    /// Unlike [`close`](Self::close) this does not wait for the peer's Close. Does nothing if the connection is
    /// closed already.
    pub fn fail(&mut self, frame: CloseFrame<'_>, now: Instant) {
        if self.state != State::Closed {
            self.end(now);
            self.owe_close(frame);
        }
    }

    /// RFC 6455 §5.5.1: no data follows our Close frame. Before it, what the peer sent in front of its own Close, or
    /// of its fault, can still be answered.
    fn check_open(&self) -> Result<(), SendError> {
        if self.sent_close || self.lost {
            Err(SendError::Closed)
        } else {
            Ok(())
        }
    }
}

/// What compresses a message of this length, if anything does.
fn compressor(codec: &mut Option<Box<Codec>>, compress: Compress, length: usize) -> Option<&mut Compressor> {
    let compressor = any_compressor(codec)?;
    let compresses = match compress {
        Compress::Never => false,
        Compress::Always => true,
        Compress::Auto => compressor.is_worthwhile(length),
    };
    compresses.then_some(compressor)
}

fn any_compressor(codec: &mut Option<Box<Codec>>) -> Option<&mut Compressor> {
    codec.as_mut()?.compressor.as_mut()
}
