//! Templates: `{{name}}` stands for a value, and the lines between `{{#name}}` and `{{/name}}` for themselves where the
//! name is switched on. A file of which nothing is left is not made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, include_dir};

use crate::NewFile;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/files");

/// The end of their names, so that no tool takes them for what they become.
const ENDING: &str = ".tmpl";

/// What templates are filled with.
pub(crate) struct Values {
    texts: BTreeMap<String, String>,
    on: Vec<String>,
}

impl Values {
    pub(crate) fn new<'a>(
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
        on: &[&str],
    ) -> Self {
        let texts = texts.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self { texts: texts.collect(), on: on.iter().map(|&key| key.to_owned()).collect() }
    }
}

/// All files of the templates in a folder, below another one.
pub(crate) fn folder(name: &str, below: &str, values: &Values) -> Vec<NewFile> {
    let mut files = Vec::new();
    let Some(folder) = FILES.get_dir(name) else { return files };
    for (path, text) in texts(folder) {
        let text = filled(text, values);
        if text.trim().is_empty() {
            continue;
        }
        let path = path.strip_prefix(name).unwrap_or(path);
        let path = path.to_string_lossy();
        let path = path.strip_suffix(ENDING).unwrap_or(&path);
        // A dot would hide it from readers here, and from packages.
        let path = if path == "gitignore" { ".gitignore" } else { path };
        files.push(NewFile::text(PathBuf::from(below).join(path), text));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Every text of a folder and those below, with its path.
pub(crate) fn texts<'d>(folder: &'d Dir<'d>) -> Vec<(&'d Path, &'d str)> {
    let mut found = Vec::new();
    let mut entries: Vec<&DirEntry<'_>> = folder.entries().iter().collect();
    while let Some(entry) = entries.pop() {
        match entry {
            DirEntry::Dir(folder) => entries.extend(folder.entries()),
            DirEntry::File(file) => {
                found.extend(file.contents_utf8().map(|text| (file.path(), text)))
            }
        }
    }
    found.sort();
    found
}

fn filled(text: &str, values: &Values) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut off: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let mark = line.trim();
        if let Some(key) = named(mark, "{{#") {
            if off.is_none() && !values.on.iter().any(|on| on == key) {
                off = Some(key);
            }
        } else if let Some(key) = named(mark, "{{/") {
            if off == Some(key) {
                off = None;
            }
        } else if off.is_none() {
            filled.push_str(&with_values(line, values));
        }
    }
    filled
}

/// The name in a mark that begins so.
fn named<'t>(mark: &'t str, begin: &str) -> Option<&'t str> {
    mark.strip_prefix(begin)?.strip_suffix("}}")
}

fn with_values(line: &str, values: &Values) -> String {
    let mut line = line.to_owned();
    for (key, value) in &values.texts {
        line = line.replace(&format!("{{{{{key}}}}}"), value);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_lines_and_parts_that_are_off_are_left_out() {
        let values = Values::new([("name", "shop")], &["on"]);
        let text =
            "{{name}} {x}\n{{#off}}\na\n{{#on}}\nb\n{{/on}}\n{{/off}}\n  {{#on}}\nc\n{{/on}}\n";
        assert_eq!(filled(text, &values), "shop {x}\nc\n");
    }
}
