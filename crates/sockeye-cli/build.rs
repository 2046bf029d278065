//! Lists the files of the console page, so that the program carries them inside.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let web = manifest
        .join("web")
        .canonicalize()
        .expect("crates/sockeye-cli/web is a link to the folder web");
    let mut files = vec![("/".to_owned(), web.join("index.html"))];
    collect(&web.join("console"), "/console", &mut files);
    files.sort();

    let mut table = String::from("&[\n");
    for (url, path) in files {
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(
            table,
            "    ({url:?}, include_bytes!({:?})),",
            path.display().to_string()
        )
        .expect("memory");
    }
    table.push(']');
    println!("cargo::rerun-if-changed={}", web.join("console").display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("console_files.rs"), table).expect("OUT_DIR can be written");
}

fn collect(folder: &Path, url: &str, files: &mut Vec<(String, PathBuf)>) {
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("the folder can be read");
        let name = entry.file_name().into_string().expect("file names are UTF-8");
        let (path, url) = (entry.path(), format!("{url}/{name}"));
        if path.is_dir() {
            collect(&path, &url, files);
        } else {
            files.push((url, path));
        }
    }
}
