//! What the documents of the repository promise each other: links that lead somewhere, a guide that is whole,
//! translations that are equal, lists that are those of the code.

mod api_table;
mod guide;
mod links;
mod lists;
mod page;
mod translations;
mod unsafe_code;
