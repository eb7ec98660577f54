//! A new service in the application file, at its end.
//!
//! Between the questions on a terminal and their answers the file may be saved by an editor, or by another command like
//! this one: it is read again just before it is written, and what is in it then is kept.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use toml::Table;

use super::usage;
use crate::exit::Exit;
use wasm_host_config::Config;
use wasm_host_settings::Source;
use wasm_host_settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use wasm_host_system::whole;
use wasm_host_templates::{Language, Service, With, application};

/// An application file.
pub(super) struct Application {
    text: String,
    pub(super) table: Table,
}

/// Read it.
///
/// # Errors
/// [`Exit::Usage`] if there is none, or it is no TOML.
pub(super) fn read(file: &Path, language: Language) -> Result<Application, Exit> {
    let text = fs::read_to_string(file).map_err(|error| {
        usage(&format!(
            "there is no application here: {}: {error}; make one with `wasm-host new NAME --lang {}`",
            file.display(),
            language.name()
        ))
    })?;
    let table = text
        .parse()
        .map_err(|_| usage(&format!("{} is wrong; `wasm-host check` says how", file.display())))?;
    Ok(Application { text, table })
}

/// Whether a new service can have this name, and so can what is made for it.
pub(super) fn is_free(table: &Table, name: &str, with: With) -> Result<(), String> {
    let kinds = [("service", true), ("postgres", with.postgres), ("keyvalue", with.keyvalue)];
    for (kind, _) in kinds.into_iter().filter(|(_, is_made)| *is_made) {
        if table.get(kind).and_then(|tables| tables.get(name)).is_some() {
            return Err(format!("the application has a [{kind}.{name}]; choose another name"));
        }
    }
    Ok(())
}

/// Write a service at the end of the file.
///
/// # Errors
/// [`Exit::Usage`] if what is in the file by now is wrong with it, or another command like this writes to it;
/// [`Exit::Failed`] if it cannot be written. Then it is as it was.
pub(super) fn service(file: &Path, folder: &Path, service: &Service<'_>) -> Result<(), Exit> {
    let _turn = turn(folder)?;
    let Application { text, table } = read(file, service.language)?;
    is_free(&table, service.name, service.with).map_err(|why| usage(&why))?;
    let model_server = table.get("ollama").and_then(toml::Value::as_table);
    let model_server = model_server.and_then(|tables| tables.keys().next().map(String::as_str));
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    let longer = text.clone() + end + &application::added(service, model_server);
    check(file, folder, &text, &longer)?;
    replace(file, &longer).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}

/// While it is held, no other command like this writes to the file.
fn turn(folder: &Path) -> Result<Option<File>, Exit> {
    let Ok(folder) = File::open(folder) else { return Ok(None) };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => {
            Err(usage("another `wasm-host add` writes to the application file; try again"))
        }
        // Not every file system has locks. There the file is at least read just before it is written.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Whether what was added is right: the route may be taken, say. What was wrong before is for `check` to say, and secrets
/// need not be here.
fn check(file: &Path, folder: &Path, before: &str, now: &str) -> Result<(), Exit> {
    let known = errors(file, folder, before);
    let new = errors(file, folder, now).into_iter().filter(|error| !known.contains(error));
    match Vec::from_iter(new) {
        new if new.is_empty() => Ok(()),
        new => Err(Diagnostics::new(new).into()),
    }
}

fn errors(file: &Path, folder: &Path, text: &str) -> Vec<Diagnostic> {
    let environment = |name: &str| std::env::var(name).ok();
    let file = file.display().to_string();
    let folder = if folder == Path::new(".") { Path::new("") } else { folder };
    let source = Source { text, file: &file, folder, environment: &environment };
    match Config::parse_elsewhere(&source) {
        Ok(_) => Vec::new(),
        Err(wrong) => {
            wrong.iter().filter(|found| found.severity == Severity::Error).cloned().collect()
        }
    }
}

/// Put another text in the place of the file: behind the link, where it is one, with the rights and the owner that it
/// has.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let place = fs::canonicalize(file)?;
    let is = fs::metadata(&place)?;
    let name = place.file_name().ok_or_else(|| anyhow!("it has no name"))?.to_string_lossy();
    let mut partial = whole::partial(whole::folder_of(&place), &format!(".{name}."), 0o600)?;
    partial.write_all(text.as_bytes())?;
    // Only root can give files away. For another user that may write here the file is its own, as an editor makes it.
    let _ = fchown(partial.as_file(), Some(is.uid()), Some(is.gid()));
    partial.as_file().set_permissions(Permissions::from_mode(is.mode() & 0o7777))?;
    Ok(whole::put(partial, &place)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cart(route: &'static str) -> Service<'static> {
        let (language, with) = (Language::Python, With::default());
        Service { application: "market", name: "cart", language, route, with }
    }

    fn application(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        // As `place::put` has it before this.
        fs::create_dir_all(folder.path().join("services/cart")).unwrap();
        let file = folder.path().join("wasm-host.toml");
        fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn what_is_elsewhere_or_was_wrong_before_is_no_reason_to_add_nothing() {
        let text = "name = \"market\"\n[postgres.main]\nurl = \"${NOT_SET_HERE_URL}\"\n\
                    [service.shop]\ncomponent = \"not-built.wasm\"\nroute = \"/\"\npostgres = \"main\"\n";
        let (folder, file) = application(text);
        assert!(service(&file, folder.path(), &cart("/cart")).is_ok());
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("not-built.wasm") && text.contains("[service.cart]"), "{text}");
        // Which is there by now.
        assert!(matches!(service(&file, folder.path(), &cart("/other")), Err(Exit::Usage(_))));
        let (folder, file) = application("name = \"market\"\n");
        fs::create_dir(folder.path().join("s")).unwrap();
        let text = "name = \"market\"\n[service.shop]\nstatic = \"s\"\nroute = \"/cart\"\n";
        fs::write(&file, text).unwrap();
        assert!(service(&file, folder.path(), &cart("/cart")).is_err(), "one route for two");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }

    #[test]
    fn a_link_stays_one_and_rights_stay_what_they_are() {
        let (folder, file) = application("name = \"market\"");
        let behind = folder.path().join("elsewhere.toml");
        fs::rename(&file, &behind).unwrap();
        std::os::unix::fs::symlink(&behind, &file).unwrap();
        fs::set_permissions(&behind, Permissions::from_mode(0o640)).unwrap();
        assert!(service(&file, folder.path(), &cart("/cart")).is_ok());
        assert!(file.symlink_metadata().unwrap().is_symlink());
        assert!(
            fs::read_to_string(&behind).unwrap().contains("name = \"market\"\n\n[service.cart]")
        );
        assert_eq!(fs::metadata(&behind).unwrap().permissions().mode() & 0o777, 0o640);
        let _held = turn(folder.path()).ok().unwrap();
        assert!(turn(folder.path()).is_err());
    }
}
