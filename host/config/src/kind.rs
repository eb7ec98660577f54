//! Reading an application file, and telling it from what people most often hand over instead.
//!
//! It exists because a text that is no application file at all has an error in nearly every line, and none of them
//! says what is wrong. It must not say anything about a file that may be meant as one.

use std::path::Path;

use toml::de::DeTable;

use wasm_host_limits::APPLICATION_FILE_BYTES;
use wasm_host_settings::diagnostic::{Problem, nearest, quoted};
use wasm_host_settings::disk::{self, beginning, utf8};

/// How every WebAssembly file begins.
const WASM: &[u8] = b"\0asm";

const HINT: &str =
    "give an application file, such as wasm-host.toml, or a component, whose name ends in .wasm";

/// The text of the application file.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    let shown = quoted(&path.display().to_string());
    if disk::is_folder(path) {
        return Err(Problem::new(
            format!("{shown} is a folder"),
            "name the application file in it",
        ));
    }
    let problem = |cause| {
        Problem::new(
            format!("cannot read the application file: {cause}"),
            "name another one, as in wasm-host serve path/to/wasm-host.toml",
        )
    };
    let bytes = beginning(path, APPLICATION_FILE_BYTES).map_err(problem)?;
    match of_bytes(path, &bytes) {
        Some(other) => Err(other),
        None => utf8(bytes, APPLICATION_FILE_BYTES).map_err(problem),
    }
}

/// What these bytes are, if they are no text of an application file.
fn of_bytes(path: &Path, bytes: &[u8]) -> Option<Problem> {
    let shown = quoted(&path.display().to_string());
    bytes.starts_with(WASM).then(|| {
        Problem::new(
            format!("{shown} is WebAssembly, and taken for an application file"),
            "give it a name that ends in .wasm, or name the application file that serves it",
        )
    })
}

/// The same for a text.
pub(super) fn of_text(path: &Path, text: &str) -> Option<Problem> {
    let (tables, errors) = DeTable::parse_recoverable(text);
    // For one that is empty or has nothing but slips in its own keys, each is reported.
    let known = super::resolve::keys();
    let mut keys = tables.get_ref().keys().map(|key| key.get_ref());
    let meant =
        text.trim().is_empty() || keys.any(|key| nearest(key, known.iter().copied()).is_some());
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    let why = match errors.iter().filter_map(|error| error.span()).map(|span| span.start).min() {
        // A text about application files has examples of them.
        Some(at) if !is_toml || !meant => {
            let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
            format!("line {line} is not TOML")
        }
        None if !meant => format!("it has none of {}", known.join(", ")),
        _ => return None,
    };
    let shown = quoted(&path.display().to_string());
    Some(Problem::new(format!("{shown} is taken for an application file and is none: {why}"), HINT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, text: &str) -> Option<String> {
        of_text(Path::new(name), text).map(|problem| problem.message)
    }

    #[test]
    fn a_text_that_is_no_application_file_is_one_sentence() {
        let readme = "# Title\n\nSome words.\n```toml\n[service.a]\ncomponent = \"a\"\n```\n";
        assert!(told("README.md", readme).unwrap().ends_with("line 3 is not TOML"));
        assert!(told("notes.toml", "just words\n").unwrap().ends_with("line 1 is not TOML"));
        let other = told("Cargo.toml", "[package]\nversion = \"1\"\n").unwrap();
        assert!(other.contains("it has none of name, http"), "{other}");
        assert!(of_bytes(Path::new("hello"), b"\0asm\x0d\0\x01\0").is_some());
    }

    #[test]
    fn what_may_be_meant_as_one_is_told_line_by_line() {
        for text in ["", "# nothing yet\n[service.a]\n", "[servce.a]\n", "name = \n[http]\nx\n"] {
            assert_eq!(told("wasm-host.toml", text), None, "{text}");
        }
        assert_eq!(told("app.conf", "name = \"a\"\n"), None);
        assert!(of_bytes(Path::new("a.toml"), b"name = \"a\"").is_none());
    }
}
