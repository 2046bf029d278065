//! The client's side: make a request, read the response, check it.
//!
//! 1. [`Target`] says where to connect, and whether over TLS.
//! 2. [`Request`] holds what is asked for, and becomes bytes or an [`http::Request`].
//! 3. [`ResponseReader`] finds the final response in what was received.
//! 4. [`Request::verify`] enforces RFC 6455 §4.1 on it. After a status other than 101 the response may have a
//!    body, which follows the head as HTTP says.

mod request;
mod response_reader;
mod target;
mod verify;

pub use request::{Request, RequestError};
pub use response_reader::{ResponseHead, ResponseReader};
pub use target::{InvalidTarget, Target};
pub use verify::ResponseError;
