//! `/topics/{name}`: who connects is subscribed, and what it sends is published if that is allowed.

use sockeye::hub::{History, HubConfig, PublishError, SubscribeError, Topic};
use sockeye::proto::Compress;
use sockeye::server::{Accept, Decline, Handler, Rejection, Route, Socket, UpgradeRequest};
use sockeye::{CloseCode, MessageRef, OriginPolicy};

use super::terms::InForce;
use crate::config::ServeOptions;
use crate::config::values::TopicAccess;

/// Where topics are served. A name may have slashes in it.
pub(super) const PATH: &str = "/topics/{*topic}";

/// How the hub is set up. Only the topics that clients can name here are kept.
pub(super) fn hub(options: &ServeOptions) -> HubConfig {
    let mut config = HubConfig::default();
    if let Some(count) = options.topic_history.limit() {
        let kept = History::new(count.0, options.topic_history_size.0);
        config.history = vec![("#".to_owned(), kept)];
    }
    config
}

/// The route of topics, unless they are off.
pub(super) fn route(options: &ServeOptions, terms: &InForce) -> Option<Route> {
    let may_publish = match options.topics {
        TopicAccess::Off => return None,
        TopicAccess::Subscribe => false,
        TopicAccess::Publish => true,
    };
    let handler = Topics {
        terms: terms.clone(),
        may_publish,
    };
    // The handler checks the origin by the terms in force.
    Some(Route::handler(handler).origins(OriginPolicy::any()))
}

struct Topics {
    terms: InForce,
    may_publish: bool,
}

/// What a client has asked for.
#[derive(Default)]
struct Wish {
    topic: String,
    /// How many messages of before it wants.
    history: usize,
}

impl Handler for Topics {
    type Data = Wish;

    fn upgrade(&self, request: &UpgradeRequest, wish: &mut Wish) -> Result<Accept, Decline> {
        let accept = self.terms.decide(request)?;
        let name = request.param("topic").unwrap_or_default();
        let topic = Topic::new(name).map_err(|error| bad_request(error.to_string()))?;
        topic.as_str().clone_into(&mut wish.topic);
        if let Some(count) = request.query_value("history") {
            wish.history = count
                .parse()
                .map_err(|_| bad_request("history is a number of messages".to_owned()))?;
        }
        Ok(accept)
    }

    fn open(&self, socket: &mut Socket<'_, Wish>) {
        let Wish { topic, history } = std::mem::take(socket.data_mut());
        let subscribed = match history {
            0 => socket.subscribe(&topic),
            history => socket.subscribe_with_history(&topic, history),
        };
        if let Err(error) = subscribed {
            give_up(socket, &error);
        }
        socket.data_mut().topic = topic;
    }

    fn message(&self, socket: &mut Socket<'_, Wish>, message: MessageRef<'_>) {
        if !self.may_publish {
            return close(
                socket,
                CloseCode::POLICY_VIOLATION,
                "messages are not published here",
            );
        }
        let topic = std::mem::take(&mut socket.data_mut().topic);
        match socket.publish_to_all(&topic, message, Compress::Auto) {
            Ok(()) => {}
            // The client may come back with it.
            Err(PublishError::Full) => close(socket, CloseCode::TRY_AGAIN_LATER, "too much is on its way"),
            Err(error) => close(socket, CloseCode::INTERNAL_ERROR, &error.to_string()),
        }
        socket.data_mut().topic = topic;
    }
}

/// The client was accepted, and then could not be subscribed after all.
fn give_up(socket: &mut Socket<'_, Wish>, error: &SubscribeError) {
    close(socket, CloseCode::INTERNAL_ERROR, &error.to_string());
}

fn close(socket: &mut Socket<'_, Wish>, code: CloseCode, reason: &str) {
    // All reasons given here are short.
    if let Err(error) = socket.close(code, reason) {
        tracing::error!(%error, "a WebSocket could not be closed");
    }
}

fn bad_request(why: String) -> Rejection {
    match Rejection::new(http::StatusCode::BAD_REQUEST) {
        Ok(rejection) => rejection.with_text(format!("{why}\n")),
        Err(_) => Rejection::not_found(why),
    }
}
