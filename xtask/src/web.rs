//! Building the pages with npm, each only when one of its files is newer than its last build.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Result, ensure};

use crate::project;
use crate::shell::{self, MINUTE};

/// What a build starts from is everything but what it makes, what npm installs, test cases, and the other page.
const NOT_SOURCES: [&str; 4] = ["cases", "dashboard", "dist", "node_modules"];

/// Builds the application's page and the dashboard; returns a remark on what was done.
pub(crate) fn build() -> Result<String> {
    let (page, dashboard) = (build_page(&project::web())?, build_dashboard()?);
    Ok(format!("{page}, dashboard {dashboard}"))
}

/// The dashboard is in the program, so it is built before that.
pub(crate) fn build_dashboard() -> Result<String> {
    build_page(&project::dashboard())
}

fn build_page(web: &Path) -> Result<String> {
    let page = web.join("dist/index.html");
    let built = fs::metadata(&page).and_then(|data| data.modified()).ok();
    if built.is_some_and(|built| newest_source(web).is_ok_and(|source| source <= built)) {
        return Ok("up to date".to_owned());
    }
    shell::shown(npm(&["run", "build"]).current_dir(web), 10 * MINUTE)?;
    ensure!(page.is_file(), "`npm run build` made no {}", page.display());
    Ok("built".to_owned())
}

pub(crate) fn npm(args: &[&str]) -> Command {
    let mut npm = Command::new("npm");
    npm.args(args).current_dir(project::web()).env("npm_config_update_notifier", "false");
    npm
}

/// Folders count too: removing a file changes nothing but its folder.
pub(crate) fn newest_source(folder: &Path) -> io::Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        if !data.is_dir() {
            newest = newest.max(data.modified()?);
        } else if !NOT_SOURCES.iter().any(|name| entry.file_name() == *name) {
            newest = newest.max(data.modified()?).max(newest_source(&entry.path())?);
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_and_packages_are_no_sources() {
        let web = std::env::temp_dir().join(format!("xtask-web-{}", std::process::id()));
        for folder in ["src/deep", "dist", "node_modules/x"] {
            fs::create_dir_all(web.join(folder)).unwrap();
        }
        let later = SystemTime::now() + std::time::Duration::from_secs(3600);
        for output in ["dist/index.html", "node_modules/x/index.js"] {
            fs::File::create(web.join(output)).unwrap().set_modified(later).unwrap();
        }
        assert!(newest_source(&web).unwrap() < later);
        fs::File::create(web.join("src/deep/a.ts")).unwrap().set_modified(later).unwrap();
        assert_eq!(newest_source(&web).unwrap(), later);
        fs::remove_dir_all(&web).unwrap();
    }
}
