//! A Markdown document taken apart.

use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The folder of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is in a folder")
}

/// The parts of a document that the tests look at.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    /// Level and text of each heading.
    pub(crate) headings: Vec<(u8, String)>,
    /// Targets of links and images.
    pub(crate) links: Vec<String>,
    /// Language and content of each block of code.
    pub(crate) code: Vec<(String, String)>,
    /// Rows and columns of each table, its head included.
    pub(crate) tables: Vec<(usize, usize)>,
    /// The cells of each row of each table, heads included.
    pub(crate) rows: Vec<Vec<Cell>>,
    /// Code within text.
    pub(crate) literals: Vec<String>,
}

/// A cell of a table.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    /// All of its text.
    pub(crate) text: String,
    /// The code in it.
    pub(crate) literals: Vec<String>,
}

impl Page {
    /// Reads the document at this path below the root.
    pub(crate) fn read(path: impl AsRef<Path>) -> Self {
        let path = root().join(path);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut page = Self {
            path,
            ..Self::default()
        };
        page.take_apart(&text);
        page
    }

    fn take_apart(&mut self, text: &str) {
        let mut in_heading = false;
        let mut in_code = false;
        let mut in_cell = false;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    in_heading = true;
                    self.headings.push((level as u8, String::new()));
                }
                Event::End(TagEnd::Heading(_)) => in_heading = false,
                Event::Start(Tag::CodeBlock(kind)) => {
                    in_code = true;
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.into_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    self.code.push((language, String::new()));
                }
                Event::End(TagEnd::CodeBlock) => in_code = false,
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    self.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Table(columns)) => self.tables.push((0, columns.len())),
                Event::Start(Tag::TableHead | Tag::TableRow) => {
                    if let Some((rows, _)) = self.tables.last_mut() {
                        *rows += 1;
                    }
                    self.rows.push(Vec::new());
                }
                Event::Start(Tag::TableCell) => {
                    in_cell = true;
                    if let Some(row) = self.rows.last_mut() {
                        row.push(Cell::default());
                    }
                }
                Event::End(TagEnd::TableCell) => in_cell = false,
                Event::Code(text) => {
                    if in_cell && let Some(cell) = self.cell() {
                        cell.text.push_str(&text);
                        cell.literals.push(text.to_string());
                    }
                    if in_heading && let Some((_, heading)) = self.headings.last_mut() {
                        heading.push_str(&text);
                    }
                    self.literals.push(text.into_string());
                }
                Event::Text(text) if in_cell => {
                    if let Some(cell) = self.cell() {
                        cell.text.push_str(&text);
                    }
                }
                Event::Text(text) if in_code => {
                    if let Some((_, code)) = self.code.last_mut() {
                        code.push_str(&text);
                    }
                }
                Event::Text(text) if in_heading => {
                    if let Some((_, heading)) = self.headings.last_mut() {
                        heading.push_str(&text);
                    }
                }
                // `<picture>` and `<img>`, where Markdown has no words for what is meant.
                Event::Html(html) | Event::InlineHtml(html) => self.links.extend(attributes(&html)),
                _ => {}
            }
        }
    }

    /// The cell that is being read.
    fn cell(&mut self) -> Option<&mut Cell> {
        self.rows.last_mut()?.last_mut()
    }

    /// Whether the document has a heading with this anchor.
    pub(crate) fn has_anchor(&self, anchor: &str) -> bool {
        self.headings.iter().any(|(_, heading)| slug(heading) == anchor)
    }
}

/// The values of `src`, `srcset` and `href`.
fn attributes(html: &str) -> Vec<String> {
    ["src=\"", "srcset=\"", "href=\""]
        .iter()
        .flat_map(|name| html.split(*name).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}

/// The anchor that mdBook and code hosts give a heading.
fn slug(heading: &str) -> String {
    heading
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// Every Markdown document below a folder of the repository.
pub(crate) fn below(folder: &str) -> Vec<Page> {
    let mut pages = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(Page::read(path));
            }
        }
    }
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    pages
}
