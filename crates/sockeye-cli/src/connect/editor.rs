//! The line editor: history, completion, and messages of several lines.

use std::path::PathBuf;

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::config::CompletionType;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::{FileHistory, History, SearchDirection};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Cmd, Config, Context, Editor, Helper, KeyCode, KeyEvent, Modifiers};
use tokio::sync::mpsc;

use super::command::{self, COMMANDS};
use super::options::ConnectOptions;
use super::{history, json};
use crate::payload;

const PROMPT: &str = "> ";

/// Most earlier messages that are offered.
const MAX_OFFERED: usize = 50;

/// Most characters of an earlier message in the list of those that are offered.
const OFFERED_SHOWN: usize = 60;

/// What comes from the keyboard.
#[derive(Debug)]
pub(super) enum Typed {
    Line(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D, or the terminal is gone.
    End,
}

/// Reads lines. Behind one that may begin the end, it waits to be told to go on: a program that is about to end must not
/// change the modes of the terminal once more.
#[derive(Debug)]
pub(super) struct Keyboard {
    typed: mpsc::Receiver<Typed>,
    waits: bool,
    proceed: std::sync::mpsc::Sender<()>,
}

impl Keyboard {
    /// What is typed next; `None` after the end.
    pub(super) async fn next(&mut self) -> Option<Typed> {
        let typed = self.typed.recv().await;
        self.waits = typed.as_ref().is_some_and(Typed::may_close);
        typed
    }

    /// Reads on, if it waits.
    pub(super) fn proceed(&mut self) {
        if std::mem::take(&mut self.waits) {
            // The thread has ended with the keyboard, which `next` tells.
            let _ = self.proceed.send(());
        }
    }
}

impl Typed {
    /// Whether this may begin the end, behind which no further line is read.
    fn may_close(&self) -> bool {
        match self {
            Self::Line(line) => command::may_close(line),
            Self::Interrupt | Self::End => true,
        }
    }
}

/// The line editor with its history.
pub(super) struct LineEditor {
    editor: Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
}

/// The line editor, where this terminal can have one.
pub(super) fn editor(options: &ConnectOptions) -> Option<LineEditor> {
    let config = Config::builder()
        .max_history_size(history::MAX_LINES)
        .ok()?
        // As in a shell: a line that begins with a space is not kept.
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .build();
    let mut editor = Editor::with_history(config.clone(), FileHistory::with_config(&config)).ok()?;
    editor.set_helper(Some(Assistant {
        files: FilenameCompleter::new(),
        json: options.checks_json() && options.binary.is_none(),
    }));
    editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
    let history = (!options.no_history).then(history::file).flatten();
    if let Some(file) = &history {
        // There is none the first time; one that cannot be read begins anew.
        let _ = editor.load_history(file);
    }
    Some(LineEditor { editor, history })
}

impl LineEditor {
    pub(super) fn printer(&mut self) -> rustyline::Result<impl rustyline::ExternalPrinter + use<>> {
        self.editor.create_external_printer()
    }

    /// Reads in a thread of its own, to the end.
    pub(super) fn read(mut self) -> Keyboard {
        let (sender, typed) = mpsc::channel(1);
        let (proceed, go_on) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            loop {
                let typed = match self.editor.readline(PROMPT) {
                    Ok(line) => {
                        self.remember(&line);
                        Typed::Line(joined(&line))
                    }
                    Err(ReadlineError::Interrupted) => Typed::Interrupt,
                    Err(ReadlineError::Signal(_)) => continue,
                    Err(_) => Typed::End,
                };
                let (last, waits) = (matches!(typed, Typed::End), typed.may_close());
                if sender.blocking_send(typed).is_err() || last || (waits && go_on.recv().is_err()) {
                    return;
                }
            }
        });
        Keyboard {
            typed,
            waits: false,
            proceed,
        }
    }

    /// Keeps a line, and writes it at once: the program may end at any moment.
    fn remember(&mut self, line: &str) {
        if line.len() <= history::MAX_LINE
            && self.editor.add_history_entry(line).is_ok_and(|added| added)
            && let Some(file) = &self.history
        {
            // A disk that is full must not keep anybody from talking.
            let _ = self.editor.append_history(file);
        }
    }
}

/// A line without the marks of [`Assistant::validate`]: a backslash before a line feed.
fn joined(line: &str) -> String {
    line.replace("\\\n", "\n")
}

/// What knows how lines go on.
struct Assistant {
    files: FilenameCompleter,
    /// Messages have to be JSON, so one that is incomplete goes on.
    json: bool,
}

impl Helper for Assistant {}

impl Highlighter for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if goes_on(context.input(), self.json) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

fn goes_on(input: &str, json: bool) -> bool {
    input.ends_with('\\') || (json && json::is_structured(input) && json::is_incomplete(input))
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = &line[..at];
        if let Some(path) = before.strip_prefix("/file ") {
            let start = at - path.len();
            let (offset, pairs) = self.files.complete_path(path, path.len())?;
            return Ok((start + offset, pairs));
        }
        if before.starts_with('/') && !before.starts_with("//") && !before.contains(' ') {
            return Ok((0, commands(before)));
        }
        Ok((0, earlier(before, context.history())))
    }
}

fn commands(before: &str) -> Vec<Pair> {
    COMMANDS
        .iter()
        .filter(|(name, ..)| name.starts_with(before))
        .map(|(name, arguments, _)| Pair {
            display: (*name).to_owned(),
            replacement: if arguments.is_empty() {
                (*name).to_owned()
            } else {
                format!("{name} ")
            },
        })
        .collect()
}

/// Earlier lines that begin the same, the newest first.
fn earlier(before: &str, history: &dyn History) -> Vec<Pair> {
    let mut found: Vec<Pair> = Vec::new();
    if before.is_empty() {
        return found;
    }
    for index in (0..history.len()).rev() {
        let Ok(Some(result)) = history.get(index, SearchDirection::Reverse) else {
            continue;
        };
        let entry = result.entry;
        if entry.starts_with(before) && found.iter().all(|pair| pair.replacement != entry) {
            found.push(Pair {
                display: shortened(&entry),
                replacement: entry.into_owned(),
            });
        }
        if found.len() == MAX_OFFERED {
            break;
        }
    }
    found
}

fn shortened(entry: &str) -> String {
    let line = payload::one_line(entry);
    match line.char_indices().nth(OFFERED_SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[Pair]) -> Vec<&str> {
        pairs.iter().map(|pair| pair.replacement.as_str()).collect()
    }

    #[test]
    fn commands_are_completed() {
        assert_eq!(names(&commands("/h")), ["/headers", "/help"]);
        assert_eq!(names(&commands("/pi")), ["/ping "]);
    }

    #[test]
    fn earlier_messages_are_completed_the_newest_first_and_once() {
        let mut history = FileHistory::new();
        for line in ["hello", "help me", "other", "hello"] {
            history.add(line).unwrap();
        }
        assert_eq!(names(&earlier("hel", &history)), ["hello", "help me"]);
        assert_eq!(names(&earlier("", &history)), [""; 0]);
    }

    #[test]
    fn the_list_shows_the_beginning_of_a_long_message_in_one_line() {
        assert_eq!(shortened("a\nb"), "a\\nb");
        let shown = shortened(&"é".repeat(100));
        assert_eq!(shown.chars().count(), OFFERED_SHOWN + 1);
    }

    #[test]
    fn a_line_goes_on_after_a_backslash_and_within_json() {
        assert!(goes_on("a\\", false));
        assert!(!goes_on("{\"a\":", false));
        assert!(goes_on("{\"a\":", true));
        assert!(!goes_on("{\"a\":1}", true));
        assert!(!goes_on("/ping", true));
        assert_eq!(joined("a\\\nb\nc"), "a\nb\nc");
    }
}
