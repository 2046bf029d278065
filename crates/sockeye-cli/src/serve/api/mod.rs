//! `/api`: what a backend may ask and order, in JSON and with a token. `openapi.json` describes it.

mod answer;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sockeye::hub::{PublishError, Publisher};
use sockeye::proto::{Message, Prepared};
use sockeye::server::ServerHandle;
use sockeye::{CloseCode, proto};

use crate::config::ServeOptions;
use crate::error::Failure;
use answer::Problem;
pub(super) use token::Token;

/// The description that is served, and that a test compares with the server.
const DESCRIPTION: &str = include_str!("openapi.json");

/// Room in the body of a request for everything around the largest message: the topic, and base64, which is a third longer.
const AROUND: usize = 4096;

/// What the operations need.
#[derive(Debug)]
struct Api {
    token: Token,
    server: ServerHandle,
    /// The largest message that can be published.
    max_message: usize,
}

/// The pages of the API, if there is a token.
pub(super) fn router(options: &ServeOptions, token: &Option<Token>, server: ServerHandle) -> Router {
    let Some(token) = token else {
        return Router::new();
    };
    let max_message = options.max_message_size.0;
    let api = Arc::new(Api {
        token: token.clone(),
        server,
        max_message,
    });
    let only = |methods: MethodRouter<Arc<Api>>| methods.fallback(Problem::method);
    let limit = max_message / 3 * 4 + AROUND;
    Router::new()
        .route("/api/publish", only(post(publish)))
        .route("/api/topics", only(get(topics)))
        .route("/api/connections", only(get(connections)))
        .route("/api/connections/{id}", only(delete(disconnect)))
        .route("/api/{*path}", axum::routing::any(Problem::unknown))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), authorize))
        .route("/api/openapi.json", only(get(describe)))
        .layer(axum::extract::DefaultBodyLimit::max(limit))
        .with_state(api)
}

/// Serves the API on an address of its own, for as long as the program runs.
pub(super) async fn listen(address: SocketAddr, router: Router) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| Failure::new(format!("cannot listen on {address} for the API: {error}")))?;
    let address = listener.local_addr().map_err(Failure::new)?;
    tracing::info!(%address, "the API listens");
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the API has ended");
        }
    });
    Ok(())
}

async fn describe() -> Response {
    answer::json_text(DESCRIPTION.to_owned())
}

/// Lets only those pass who have the token.
async fn authorize(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if api.token.opens(request.headers()) {
        next.run(request).await
    } else {
        Problem::unauthorized().into_response()
    }
}

impl Api {
    fn publisher(&self) -> Result<Publisher, Problem> {
        self.server
            .publisher()
            .map_err(|error| Problem::unavailable(error.to_string()))
    }
}

/// What is to be published: a topic, and the message in one of three ways.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publication {
    topic: String,
    text: Option<String>,
    json: Option<Value>,
    base64: Option<String>,
}

async fn publish(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Problem> {
    answer::check_json(&headers)?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(api.max_message),
        _ => Problem::invalid("the body could not be read"),
    })?;
    let publication: Publication = serde_json::from_slice(&body).map_err(Problem::invalid)?;
    let message = prepare(&publication)?;
    if message.as_bytes().len() > api.max_message {
        return Err(Problem::too_large(api.max_message));
    }
    let publisher = api.publisher()?;
    let subscribers = publisher.num_subscribers(&publication.topic);
    match publisher.publish(&publication.topic, message) {
        Ok(()) => Ok(answer::json(&json!({ "subscribers": subscribers }))),
        Err(error @ PublishError::Full) => Err(Problem::unavailable(error.to_string())),
        Err(error) => Err(Problem::invalid(error)),
    }
}

/// The message of a publication, framed.
fn prepare(publication: &Publication) -> Result<Prepared, Problem> {
    match publication {
        Publication {
            text: Some(text),
            json: None,
            base64: None,
            ..
        } => Ok(Prepared::new(Message::Text(text))),
        Publication {
            text: None,
            json: Some(value),
            base64: None,
            ..
        } => Ok(Prepared::new(Message::Text(&value.to_string()))),
        Publication {
            text: None,
            json: None,
            base64: Some(bytes),
            ..
        } => {
            let bytes = BASE64_STANDARD.decode(bytes);
            let bytes = bytes.map_err(|error| Problem::invalid(format!("base64: {error}")))?;
            Ok(Prepared::new(Message::Binary(&bytes)))
        }
        _ => Err(Problem::invalid("give the message once: as text, json or base64")),
    }
}

async fn topics(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let mut list: Vec<_> = api.publisher()?.topics().collect();
    list.sort();
    let list: Vec<_> = list
        .iter()
        .map(|(topic, count)| json!({ "topic": topic.as_str(), "subscribers": count }))
        .collect();
    Ok(answer::json(&json!({ "topics": list })))
}

async fn connections(State(api): State<Arc<Api>>) -> Response {
    let mut list: Vec<(u64, Value)> = Vec::new();
    for client in api.server.clients() {
        let info = client.connection();
        list.push((info.id, connection(info.id, Some(&info.peer), client.route())));
    }
    for socket in api.server.sockets().await {
        let value = connection(socket.id(), socket.peer_address(), Some(socket.route()));
        list.push((socket.id(), value));
    }
    list.sort_by_key(|(id, _)| *id);
    let list: Vec<_> = list.into_iter().map(|(_, value)| value).collect();
    answer::json(&json!({ "connections": list }))
}

fn connection(id: u64, peer: Option<&sockeye::server::Address>, route: Option<&str>) -> Value {
    json!({ "id": id, "peer": peer.map(ToString::to_string), "route": route })
}

/// The words for a client that is disconnected.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LastWords {
    code: Option<u16>,
    #[serde(default)]
    reason: String,
}

async fn disconnect(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    words: Result<Query<LastWords>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let id: u64 = id
        .parse()
        .map_err(|_| Problem::invalid("a connection is named by its number"))?;
    let Query(words) = words.map_err(Problem::invalid)?;
    let code = match words.code {
        None => CloseCode::NORMAL,
        Some(code) => {
            CloseCode::new(code).ok_or_else(|| Problem::invalid("this code may not be in a Close frame"))?
        }
    };
    // For a clear error before anything is done.
    proto::CloseFrame::new(code, &words.reason).map_err(Problem::invalid)?;
    if let Some(client) = api
        .server
        .clients()
        .into_iter()
        .find(|client| client.connection().id == id)
    {
        client
            .sender()
            .start_close(code, &words.reason)
            .map_err(Problem::invalid)?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let sockets = api.server.sockets().await;
    let socket = sockets.into_iter().find(|socket| socket.id() == id);
    let closed = socket.is_some_and(|socket| socket.handle().close(code, &words.reason).is_ok());
    if closed {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::no_connection(id))
    }
}
