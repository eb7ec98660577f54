//! What an export has, read as any other program would.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use serde_json::Value;

/// The files of a zip file, by name.
pub fn files(zip: &[u8]) -> BTreeMap<String, String> {
    let mut zip = zip::ZipArchive::new(Cursor::new(zip)).expect("a zip file");
    let mut files = BTreeMap::new();
    for number in 0..zip.len() {
        let mut file = zip.by_index(number).expect("a file");
        let (name, mut text) = (file.name().expect("a name").into_owned(), String::new());
        file.read_to_string(&mut text).expect("text");
        files.insert(name, text);
    }
    files
}

/// The values of lines.
pub fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}
