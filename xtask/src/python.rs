//! Packages of PyPI, in folders of their own: a virtual environment would need a package of Debian's.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::project;
use crate::shell::{self, MINUTE};

/// What a folder needs, each of one version.
pub(crate) const REQUIREMENTS: &str = "requirements.txt";

/// Whether pip is there to install them.
pub(crate) fn has_pip() -> bool {
    shell::answer(Command::new("python3").args(["-m", "pip", "--version"])).is_some()
}

/// Installs what a folder of the project needs, unless what it names now is there. Says whether it was not.
pub(crate) fn install(folder: &str, target: &Path) -> Result<bool> {
    with(folder, target, &[])
}

/// The same for a folder that names all that it needs, where packages name more than is used of them.
pub(crate) fn install_as_listed(folder: &str, target: &Path) -> Result<bool> {
    with(folder, target, &["--no-deps"])
}

fn with(folder: &str, target: &Path, options: &[&str]) -> Result<bool> {
    let requirements = project::root().join(folder).join(REQUIREMENTS);
    let wanted = fs::read(&requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    // Written last, so an interrupted installation is not taken for a whole one.
    let installed = target.join(REQUIREMENTS);
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(false);
    }
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-compile", "--target"]);
    pip.arg(target).args(options).arg("--requirement").arg(&requirements);
    shell::quiet(&format!("pip install of {folder}"), &mut pip, 10 * MINUTE).with_context(
        || {
            format!(
                "cannot install what {folder} needs; try `pip install -r {folder}/{REQUIREMENTS}`"
            )
        },
    )?;
    fs::write(installed, wanted)?;
    Ok(true)
}
