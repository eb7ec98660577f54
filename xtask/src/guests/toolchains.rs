//! Components of other people's toolchains that come from PyPI: folders with a `build.py` that writes the component
//! to the file it is given. What is in them is their business; here it is only decided when it has to run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::guests::{is_up_to_date, made};
use crate::shell::{self, MINUTE};
use crate::{project, python, web};

/// The folder whose folders are components.
const PARENT: &str = "tests/toolchains";

/// The tools, in a folder of their own: a virtual environment would need a package of Debian's.
fn tools() -> PathBuf {
    project::root().join("target/toolchains")
}

/// Installs the tools, unless those that are named now are there.
pub(crate) fn install() -> Result<()> {
    python::install(PARENT, &tools()).map(|_| ())
}

/// A component that a `build.py` makes.
fn all(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut guests = Vec::new();
    for folder in fs::read_dir(root.join(PARENT))? {
        let folder = folder?;
        if folder.path().join("build.py").is_file() {
            guests.push((folder.file_name().to_string_lossy().into_owned(), folder.path()));
        }
    }
    guests.sort();
    Ok(guests)
}

/// Builds those whose sources are newer than their component; returns how many that were.
pub(crate) fn build() -> Result<usize> {
    let root = project::root();
    let shared =
        [root.join(PARENT).join(python::REQUIREMENTS), root.join(PARENT).join("building.py")];
    let mut newest_shared = SystemTime::UNIX_EPOCH;
    for file in &shared {
        newest_shared = newest_shared.max(fs::metadata(file)?.modified()?);
    }
    let mut built = 0;
    for (name, folder) in all(&root)? {
        let component = project::components().join(format!("{name}.wasm"));
        if is_up_to_date(&component, newest_shared.max(web::newest_source(&folder)?)) {
            continue;
        }
        let mut python = Command::new("python3");
        python.arg("build.py").arg(&component).current_dir(&folder).env("PYTHONPATH", tools());
        python.env("PYTHONDONTWRITEBYTECODE", "1");
        shell::shown(&mut python, 10 * MINUTE).with_context(|| format!("component {name}"))?;
        made(&component)?;
        built += 1;
    }
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_components_of_other_toolchains_are_found() {
        let found = all(&project::root()).unwrap();
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["hello-c", "hello-py-p2", "hello-py-p3", "spin-py"]);
    }

    #[test]
    fn every_tool_is_of_one_version() {
        let path = project::root().join(PARENT).join(python::REQUIREMENTS);
        for line in fs::read_to_string(path).unwrap().lines() {
            assert!(line.contains("=="), "{line}");
        }
    }
}
