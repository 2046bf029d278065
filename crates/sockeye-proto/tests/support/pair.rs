//! Two endpoints joined by pipes in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_proto::deflate::{Deflate, Parameters, Pool};
use sockeye_proto::{Config, Connection, Role};

use super::deflate_with;
use super::end::End;

/// A client and a server.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) now: Instant,
}

impl Pair {
    pub(crate) fn new(client: Config, server: Config, parameters: Option<Parameters>) -> Self {
        let options = Deflate {
            threshold: 0,
            ..Deflate::default()
        };
        Self::with_deflate(client, server, parameters, &options)
    }

    pub(crate) fn with_deflate(
        client: Config,
        server: Config,
        parameters: Option<Parameters>,
        options: &Deflate,
    ) -> Self {
        let now = Instant::now();
        let pool = Arc::new(Pool::default());
        let deflate = |role| parameters.map(|parameters| deflate_with(role, parameters, options, &pool));
        let mut count = 0_u32;
        let keys = move || {
            count = count.wrapping_mul(0x9E37_79B9).wrapping_add(0x7F4A_7C15);
            count.to_be_bytes()
        };
        let client = Connection::client(Arc::new(client), Box::new(keys), deflate(Role::Client), now);
        let server = Connection::server(Arc::new(server), deflate(Role::Server), now);
        Self {
            client: End::new(client),
            server: End::new(server),
            now,
        }
    }

    /// The end that plays `role`, and the other one.
    pub(crate) fn ends(&mut self, role: Role) -> (&mut End, &mut End) {
        match role {
            Role::Client => (&mut self.client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.client),
        }
    }

    /// Moves what one end has sent to the other, in pieces of at most `piece` bytes; gives whether it was anything.
    pub(crate) fn deliver(&mut self, from: Role, piece: usize) -> bool {
        let now = self.now;
        let (sender, receiver) = self.ends(from);
        let bytes = sender.flush(now);
        for piece in bytes.chunks(piece) {
            receiver.receive(piece, now);
        }
        !bytes.is_empty()
    }

    /// Moves bytes both ways until none are left.
    pub(crate) fn run(&mut self) {
        while self.deliver(Role::Client, usize::MAX) | self.deliver(Role::Server, usize::MAX) {}
    }

    /// Time passes; deadlines are acted on as they are reached, bytes move at once.
    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let deadlines = [&self.client, &self.server].map(|end| end.connection.poll_timeout());
            let next = deadlines.into_iter().flatten().min();
            self.now = next.map_or(until, |next| next.max(self.now).min(until));
            self.client.expire(self.now);
            self.server.expire(self.now);
            self.run();
            if next.is_none_or(|next| next > until) {
                return;
            }
        }
    }
}
