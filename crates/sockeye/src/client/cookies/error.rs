//! Why a cookie is not taken.

/// Why a cookie was not taken into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The URL is not one of `ws`, `wss`, `http` or `https`.
    #[error("a cookie needs the URL of a server, ws:// or wss://")]
    Url,
    /// It is not a cookie, or has control characters.
    #[error("this is not a cookie")]
    Syntax,
    /// It is larger than [`CookieLimits::cookie_bytes`](super::CookieLimits::cookie_bytes).
    #[error("the cookie is larger than the limit")]
    TooLarge,
    /// It is for a domain that the server does not belong to.
    #[error("the cookie is for another domain")]
    Domain,
    /// It is for a domain under which anybody can have a name, such as `co.uk`.
    #[error("the cookie is for a public suffix")]
    PublicSuffix,
    /// It is `Secure`, or would replace a cookie that is, and came over an unencrypted connection.
    #[error("a secure cookie cannot be set over an unencrypted connection")]
    Insecure,
    /// Its name begins with `__Host-` or `__Secure-`, and its attributes do not keep what that promises.
    #[error("the cookie does not keep what the prefix of its name promises")]
    Prefix,
}
