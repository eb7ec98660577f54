//! Puts the files that npm built below `web/dashboard/dist` into the program. Without them there is one page, which says
//! so: a build with cargo alone needs no npm.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let built = here.join("../../web/dashboard/dist");
    let mut files = Vec::new();
    // Cargo looks again at each build for a folder that is not there, and builds all that stands on this crate anew.
    fs::create_dir_all(&built)?;
    println!("cargo:rerun-if-changed={}", built.display());
    collect(&built, &mut files)?;
    files.sort();
    let mut table = String::from("pub(crate) static FILES: &[Asset] = &[\n");
    for file in files.iter().filter(|file| !is_packed(file)) {
        let path = file.strip_prefix(&built)?.display().to_string();
        let packed = PathBuf::from(format!("{}.gz", file.display()));
        let gzip = match files.contains(&packed) {
            true => format!("Some(include_bytes!({:?}))", packed.display().to_string()),
            false => "None".to_owned(),
        };
        writeln!(
            table,
            "    Asset {{ path: {path:?}, bytes: include_bytes!({:?}), gzip: {gzip} }},",
            file.display().to_string()
        )?;
    }
    table.push_str("];\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("files.rs"), table)?;
    Ok(())
}

/// A file that stands beside the one that it is made of.
fn is_packed(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "gz" || end == "br")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}
