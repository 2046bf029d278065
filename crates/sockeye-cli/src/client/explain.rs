//! Why there is no connection, in one line.

use crate::error::{Failure, chain};
use crate::payload;

/// Most characters of the body of a refusal that are shown.
const REFUSAL_SHOWN: usize = 200;

/// Why there is no connection.
pub(crate) fn explain(error: &sockeye::Error) -> Failure {
    if error.is_config() {
        return Failure::usage(chain(error));
    }
    Failure::new(why(error))
}

/// The same as text.
fn why(error: &sockeye::Error) -> String {
    // Servers that refuse often say why in the body.
    let said = error.refusal().and_then(|refusal| {
        let body = String::from_utf8_lossy(&refusal.body);
        let line = body.lines().map(str::trim).find(|line| !line.is_empty())?;
        let beginning: String = line.chars().take(REFUSAL_SHOWN).collect();
        let more = if beginning.len() < line.len() { " …" } else { "" };
        Some(payload::one_line(&beginning) + more)
    });
    let said = said.map_or_else(String::new, |said| format!(": {said}"));
    let text = chain(error);
    let hint = if text.contains("UnknownIssuer") {
        "; --ca names one to trust, --insecure accepts any"
    } else {
        ""
    };
    format!("{text}{hint}{said}")
}
