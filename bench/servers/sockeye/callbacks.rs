//! Handlers that are callbacks on a worker; topics are those of its hub.

use sockeye::server::{Accept, Decline, Handler, ServerBuilder, Socket, UpgradeRequest};
use sockeye::{Compress, MessageRef};

/// The routes of the contract.
pub(crate) fn routes(builder: ServerBuilder) -> ServerBuilder {
    builder.handle(contract::ECHO, Echo).handle("/{*topic}", Topic)
}

struct Echo;

impl Handler for Echo {
    type Data = ();

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        socket.send(message);
    }
}

struct Topic;

impl Handler for Topic {
    /// The topic's name.
    type Data = String;

    fn upgrade(&self, request: &UpgradeRequest, topic: &mut String) -> Result<Accept, Decline> {
        request.path().clone_into(topic);
        Ok(Accept::new())
    }

    fn open(&self, socket: &mut Socket<'_, String>) {
        let topic = socket.data().clone();
        if socket.subscribe(&topic).is_err() {
            socket.abort();
        }
    }

    fn message(&self, socket: &mut Socket<'_, String>, message: MessageRef<'_>) {
        let topic = std::mem::take(socket.data_mut());
        if socket.publish_to_all(&topic, message, Compress::Auto).is_err() {
            socket.abort();
        }
        *socket.data_mut() = topic;
    }
}
