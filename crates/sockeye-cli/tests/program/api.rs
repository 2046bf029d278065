//! The API, by its own description: each operation and each answer of it is asked for.

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::Value;
use sockeye::{CloseCode, Message, WebSocket};

use crate::support::{PATIENCE, Response, Server};

const TOKEN: &str = "correct-horse-battery-staple";
const MAX_MESSAGE: usize = 10_000;

fn start(flags: &[&str]) -> (Server, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().expect("there is room");
    writeln!(file, "{TOKEN}").expect("there is room");
    let path = file.path().to_str().expect("it is UTF-8").to_owned();
    let limit = MAX_MESSAGE.to_string();
    let mut all = vec!["--api-token-file", &path, "--max-message-size", &limit];
    all.extend(flags);
    (Server::start(&all), file)
}

/// What is asked, and what comes.
struct Asked {
    /// As in the description.
    operation: &'static str,
    status: u16,
    response: Response,
}

fn ask(server: &Server, method: &str, path: &str, headers: &str, body: &str) -> Response {
    let length = body.len();
    server.request(&format!(
        "{method} {path}\r\nContent-Length: {length}\r\n{headers}\r\n\r\n{body}"
    ))
}

fn with_token(server: &Server, method: &str, path: &str, body: &str) -> Response {
    let headers = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json");
    ask(server, method, path, &headers, body)
}

async fn join(server: &Server, path: &str) -> WebSocket {
    let url = format!("ws://{}{path}", server.authority());
    sockeye::connect(url).await.expect("the server accepts")
}

async fn next(socket: &mut WebSocket) -> Option<Message> {
    let received = tokio::time::timeout(PATIENCE, socket.recv()).await;
    received.expect("something comes").expect("it is not lost")
}

fn body(response: &Response) -> Value {
    assert_eq!(
        response.header("content-type"),
        "application/json",
        "{response:?}"
    );
    serde_json::from_str(&response.body).expect("it is JSON")
}

/// Whether a value is as a schema of the description has it; of JSON Schema, as much as that uses.
fn check(description: &Value, schema: &Value, value: &Value) {
    if let Some(name) = schema["$ref"].as_str() {
        let path = name.strip_prefix('#').expect("it is here");
        return check(description, description.pointer(path).expect(name), value);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{value} is no {kinds:?}");
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(
            value.get(name.as_str().unwrap()).is_some(),
            "{value} has no {name}"
        );
    }
    if let Some(properties) = schema["properties"].as_object() {
        for (name, value) in value.as_object().into_iter().flatten() {
            check(description, properties.get(name).expect(name), value);
        }
    }
    for value in value.as_array().into_iter().flatten() {
        check(description, &schema["items"], value);
    }
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(value), "{value} is none of {values:?}");
    }
}

#[tokio::test]
async fn every_operation_answers_as_described() {
    let (server, _file) = start(&["--topics", "subscribe"]);
    let mut fish = join(&server, "/topics/fish").await;
    let _echo = join(&server, "/").await;
    // The connection is listed when its handshake is over; it is subscribed then as well.
    while body(&with_token(&server, "GET", "/api/topics", ""))["topics"][0]["subscribers"] != 1 {}

    let description = body(&server.get("/api/openapi.json"));
    let publish = |text: &str| with_token(&server, "POST", "/api/publish", text);
    let mut asked = vec![
        Asked {
            operation: "describe",
            status: 200,
            response: server.get("/api/openapi.json"),
        },
        Asked {
            operation: "publish",
            status: 200,
            response: publish(r#"{"topic":"fish","text":"salmon"}"#),
        },
        Asked {
            operation: "publish",
            status: 200,
            response: publish(r#"{"topic":"fish","json":{"name":"salmon"}}"#),
        },
        Asked {
            operation: "publish",
            status: 200,
            response: publish(r#"{"topic":"fish","base64":"AAEC"}"#),
        },
        Asked {
            operation: "publish",
            status: 415,
            response: ask(
                &server,
                "POST",
                "/api/publish",
                &format!("Authorization: Bearer {TOKEN}\r\nContent-Type: text/plain"),
                r#"{"topic":"fish","text":"salmon"}"#,
            ),
        },
        Asked {
            operation: "publish",
            status: 413,
            response: publish(&format!(
                r#"{{"topic":"fish","text":"{}"}}"#,
                "x".repeat(MAX_MESSAGE + 1)
            )),
        },
        Asked {
            operation: "publish",
            status: 413,
            response: publish(&" ".repeat(10 * MAX_MESSAGE)),
        },
    ];
    for invalid in [
        "",
        "[]",
        r#"{"topic":"fish"}"#,
        r#"{"topic":"","text":"x"}"#,
        r#"{"topic":"a/+","text":"x"}"#,
        r#"{"topic":"fish","text":"x","json":1}"#,
        r#"{"topic":"fish","text":"x","more":1}"#,
        r#"{"topic":"fish","base64":"?"}"#,
    ] {
        asked.push(Asked {
            operation: "publish",
            status: 400,
            response: publish(invalid),
        });
    }
    for (operation, method, path) in [
        ("publish", "POST", "/api/publish"),
        ("listTopics", "GET", "/api/topics"),
        ("listConnections", "GET", "/api/connections"),
        ("disconnect", "DELETE", "/api/connections/1"),
    ] {
        for headers in ["X: y", "Authorization: Bearer wrong-horse-battery-staple"] {
            asked.push(Asked {
                operation,
                status: 401,
                response: ask(&server, method, path, headers, ""),
            });
        }
    }
    let connections = with_token(&server, "GET", "/api/connections", "");
    let list = body(&connections)["connections"].as_array().unwrap().clone();
    let routes: Vec<_> = list.iter().map(|one| one["route"].as_str().unwrap()).collect();
    assert_eq!(routes, ["/topics/{*topic}", "/"]);
    let id = list[0]["id"].as_u64().unwrap();
    let close = |path: &str| with_token(&server, "DELETE", &format!("/api/connections/{path}"), "");
    asked.extend([
        Asked {
            operation: "listTopics",
            status: 200,
            response: with_token(&server, "GET", "/api/topics", ""),
        },
        Asked {
            operation: "listConnections",
            status: 200,
            response: connections,
        },
        Asked {
            operation: "disconnect",
            status: 400,
            response: close("first"),
        },
        Asked {
            operation: "disconnect",
            status: 400,
            response: close(&format!("{id}?code=1006")),
        },
        Asked {
            operation: "disconnect",
            status: 400,
            response: close(&format!("{id}?reason={}", "x".repeat(124))),
        },
        Asked {
            operation: "disconnect",
            status: 404,
            response: close("1000000"),
        },
        Asked {
            operation: "disconnect",
            status: 204,
            response: close(&format!("{id}?code=4001&reason=enough")),
        },
    ]);

    let mut answered = BTreeSet::new();
    for Asked {
        operation,
        status,
        response,
    } in &asked
    {
        assert_eq!(response.status, *status, "{operation}: {response:?}");
        answered.insert((operation.to_string(), status.to_string()));
    }
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            for (status, response) in operation["responses"].as_object().unwrap() {
                // Full mailboxes cannot be had from outside.
                let is_asked = status == "503" || answered.remove(&(id.to_owned(), status.clone()));
                assert!(is_asked, "{method} {path}: nothing was answered with {status}");
                let response = match response["$ref"].as_str() {
                    Some(name) => description.pointer(name.strip_prefix('#').unwrap()).unwrap(),
                    None => response,
                };
                let schema = &response["content"]["application/json"]["schema"];
                for one in asked.iter().filter(|one| one.operation == id) {
                    if one.status.to_string() == *status && !schema.is_null() {
                        check(&description, schema, &body(&one.response));
                    }
                }
            }
        }
    }
    assert!(answered.is_empty(), "not in the description: {answered:?}");

    assert_eq!(next(&mut fish).await, Some("salmon".into()));
    assert_eq!(next(&mut fish).await, Some(r#"{"name":"salmon"}"#.into()));
    assert_eq!(next(&mut fish).await, Some(vec![0, 1, 2].into()));
    assert_eq!(next(&mut fish).await, None);
    let info = fish.close_info().expect("it has ended");
    assert_eq!((info.code, &info.reason[..]), (4001, "enough"));
}

#[tokio::test]
async fn an_async_connection_is_listed_and_closed_like_any() {
    let (server, _file) = start(&[]);
    let mut echo = join(&server, "/any/path").await;
    let list = body(&with_token(&server, "GET", "/api/connections", ""))["connections"].clone();
    let id = list[0]["id"].as_u64().unwrap();
    let closed = with_token(&server, "DELETE", &format!("/api/connections/{id}"), "");
    assert_eq!(closed.status, 204);
    assert_eq!(next(&mut echo).await, None);
    let info = echo.close_info().expect("it has ended");
    assert_eq!(info.code, CloseCode::NORMAL.get());
}

#[test]
fn without_a_token_there_is_no_api() {
    let server = Server::start(&[]);
    // What is not there is a dump of the request, as everywhere.
    let answer = server.get("/api/topics");
    assert!(
        answer.header("content-type").starts_with("text/plain"),
        "{answer:?}"
    );
}

#[test]
fn other_paths_and_methods_are_problems_too() {
    let (server, _file) = start(&[]);
    for (method, path, status) in [
        ("GET", "/api/fish", 404),
        ("GET", "/api/publish", 405),
        ("PUT", "/api/topics", 405),
    ] {
        let response = with_token(&server, method, path, "");
        assert_eq!(response.status, status, "{method} {path}");
        assert!(body(&response)["error"]["message"].is_string());
    }
}

#[test]
fn the_api_may_have_an_address_of_its_own() {
    let (server, _file) = start(&["--topics", "subscribe", "--api-listen", "127.0.0.1:0"]);
    let line = server.logged("the API listens");
    let address = line.split("address=").nth(1).expect(&line).trim();
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    write!(
        stream,
        "GET /api/topics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // And not where everybody is.
    let elsewhere = with_token(&server, "GET", "/api/topics", "");
    assert!(
        elsewhere.header("content-type").starts_with("text/plain"),
        "{elsewhere:?}"
    );
}
