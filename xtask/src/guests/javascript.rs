//! Components in JavaScript: folders with a `package.json` whose `npm run build -- FILE` writes the
//! component. What is in them is npm's business; here it is only decided when it has to run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::guests::{is_up_to_date, made};
use crate::shell::{self, MINUTE};
use crate::{project, web};

/// The folders whose folders are components. Cargo takes everything in `tests/guests` for a crate.
const PARENTS: [&str; 2] = ["components", "tests/javascript"];

/// Of the repository, every such component is built from these as well.
const SHARED_SOURCES: &str = "wit";

/// A component that npm builds.
#[derive(Debug, PartialEq)]
pub(crate) struct Guest {
    /// The folder's name and the component's.
    name: String,
    pub(crate) folder: PathBuf,
}

/// Every folder beside the crates that is a package of npm.
pub(crate) fn all(root: &Path) -> Vec<Guest> {
    let folders = PARENTS.iter().filter_map(|parent| fs::read_dir(root.join(parent)).ok());
    let mut guests: Vec<_> = folders
        .flatten()
        .flatten()
        .filter(|folder| folder.path().join("package.json").is_file())
        .map(|folder| Guest {
            name: folder.file_name().to_string_lossy().into_owned(),
            folder: folder.path(),
        })
        .collect();
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    guests
}

/// Builds those whose sources are newer than their component; returns how many that were.
pub(crate) fn build() -> Result<usize> {
    let root = project::root();
    let mut built = 0;
    for Guest { name, folder } in all(&root) {
        let component = project::components().join(format!("{name}.wasm"));
        let newest =
            web::newest_source(&folder)?.max(web::newest_source(&root.join(SHARED_SOURCES))?);
        if is_up_to_date(&component, newest) {
            continue;
        }
        let mut npm = Command::new("npm");
        npm.args(["run", "build", "--"]).arg(&component).current_dir(&folder);
        npm.env("npm_config_update_notifier", "false");
        shell::shown(&mut npm, 10 * MINUTE).with_context(|| format!("component {name}"))?;
        made(&component)?;
        built += 1;
    }
    Ok(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_components_of_npm_are_found_and_no_crates() {
        let found = all(&project::root());
        let names: Vec<_> = found.iter().map(|guest| guest.name.as_str()).collect();
        assert!(names.contains(&"hello-js"), "{names:?}");
        assert!(!names.contains(&"weather"), "{names:?}");
    }
}
