//! All reading of files for the configuration.
//!
//! It exists so that the rest is pure and one place shows what is touched: the application file, files named by
//! `${file:...}`, certificates with their keys, and whether paths exist. It must not know what the files mean, and it
//! reports a problem without any content of a file.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use super::diagnostic::{Problem, quoted};
use wasm_host_limits as limits;

/// The content of a secret file, without the newline that editors put at its end.
pub fn secret(path: &Path) -> Result<String, Problem> {
    let content = text(path, limits::SECRET_FILE_BYTES).map_err(|cause| {
        Problem::new(
            format!("cannot read the secret file {}: {cause}", quoted(&path.display().to_string())),
            "create it, or correct the path",
        )
    })?;
    let content = content.strip_suffix('\n').unwrap_or(&content);
    Ok(content.strip_suffix('\r').unwrap_or(content).to_owned())
}

/// The text of a certificate or of a key.
pub fn pem(path: &Path) -> Result<String, Problem> {
    text(path, limits::http::PEM_BYTES).map_err(|cause| {
        Problem::new(
            format!("cannot read the PEM file {}: {cause}", quoted(&path.display().to_string())),
            "create it, or correct the path",
        )
    })
}

pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

pub fn is_folder(path: &Path) -> bool {
    path.is_dir()
}

/// The names in a folder; none if it cannot be read.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn text(path: &Path, bytes_max: u64) -> Result<String, String> {
    utf8(beginning(path, bytes_max)?, bytes_max)
}

/// As much of a file as shows that it is too long.
///
/// # Errors
/// Why it cannot be read, in words.
pub fn beginning(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let file = fs::File::open(path).map_err(|error| cause(&error))?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| cause(&error))?;
    Ok(bytes)
}

/// # Errors
/// It is too long, or no text, in words.
pub fn utf8(bytes: Vec<u8>, bytes_max: u64) -> Result<String, String> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length > bytes_max) {
        return Err(format!("it has more than {bytes_max} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

fn cause(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
