//! Puts the package of Go into the program that bindings in Go stand on. The crate that generates them brings it along, and
//! offers it as files only.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const GENERATOR: &str = "wit-bindgen-go";

/// What of the package is no description of it.
const PARTS: [&str; 3] = ["go.mod", "LICENSE", "wit"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    let package = generator()?.join("src/pkg");
    let place = PathBuf::from(env::var("OUT_DIR")?).join("go");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    for part in PARTS {
        copy(&package.join(part), &place.join(part))?;
    }
    Ok(())
}

/// The folder of the generator's crate, wherever cargo has its sources.
fn generator() -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo.args(["metadata", "--format-version", "1", "--filter-platform"]);
    let asked = cargo.arg(env::var("TARGET")?).output()?;
    if !asked.status.success() {
        return Err(String::from_utf8_lossy(&asked.stderr).into());
    }
    // One word of it is no reason for a reader of JSON, which all that is built by build scripts would wait for.
    let metadata = String::from_utf8(asked.stdout)?;
    let manifests = metadata.split("\"manifest_path\":\"").skip(1);
    let mut folders = manifests.filter_map(|rest| Path::new(rest.split('"').next()?).parent());
    let is_generator = |folder: &&Path| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(GENERATOR).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let folder = folders.find(is_generator);
    Ok(folder.ok_or("cargo does not know where the generator of bindings is")?.to_owned())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return fs::write(to, fs::read(from)?);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
