//! `wasm-host wit`: the interfaces that a service is granted.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, anyhow};

use crate::cli::{self, BindingsLang};
use crate::exit::Exit;
use wasm_host_capabilities as capability;
use wasm_host_config::{ComponentConfig, Config};
use wasm_host_system::{output, whole};
use wasm_host_templates::bindings::{self, Bound, GENERATED, Unbound};
use wasm_host_templates::wit::{self, Granted, Style, WRITTEN};

/// Where a service has its interfaces, below the folder of its sources.
const FOLDER: &str = "wit";

/// What says that a folder is a module of Go.
const GO_MODULE: &str = "go.mod";

/// Print them, or write them to a folder.
///
/// # Errors
/// [`Exit::Usage`] if there is no such service, or the folder has something else; [`Exit::Failed`] if it cannot be
/// written.
pub fn wit(args: &cli::Wit) -> Result<(), Exit> {
    let usage = |text: String| Exit::Usage(format!("wasm-host: error: {text}"));
    // Secrets need not be here.
    let environment = |name: &str| std::env::var(name).ok();
    let (config, _) = Config::read_elsewhere(&args.application, &environment)?;
    let name = &args.service;
    let service = config.services.get(name).ok_or_else(|| {
        let names: Vec<&str> = config.services.keys().map(String::as_str).collect();
        usage(format!("there is no service {name}, only {}", names.join(", ")))
    })?;
    let component = service
        .component()
        .ok_or_else(|| usage(format!("the service {name} has files and no component")))?;
    let place = args.output.clone().or_else(|| Some(component.sources.as_ref()?.join(FOLDER)));
    let style = args.style(place.as_deref().and_then(style));
    let capabilities = capabilities(component);
    let granted = granted(component, &capabilities);
    let Some(folder) = &args.output else {
        output::show(&wit::text(name, style, granted));
        return Ok(());
    };
    let bindings = match &args.bindings {
        Some(folder) => {
            let package = go_package(folder);
            let language = match args.lang.unwrap_or_else(|| language(folder)) {
                BindingsLang::C => Bound::C,
                BindingsLang::Go => Bound::Go(package.as_deref().ok_or_else(|| {
                    usage(format!(
                        "there is no go.mod in {} or above, which says what the packages of the bindings are called; \
                         `go mod init NAME` makes one",
                        folder.display()
                    ))
                })?),
            };
            let files = bindings::of(language, name, style, granted).map_err(unbound)?;
            for (path, _) in &files {
                is_written_here(&folder.join(path), &GENERATED)?;
            }
            Some((folder, files))
        }
        None => None,
    };
    write(folder, &wit::files(name, style, granted))?;
    if let Some((folder, files)) = bindings {
        put(folder, &files)?;
    }
    output::show(&format!("{name}: {}\n", folder.join("world.wit").display()));
    Ok(())
}

/// The keys of what it is granted, each once, in the order of all capabilities.
fn capabilities(component: &ComponentConfig) -> Vec<&'static str> {
    let has = |key: &&str| component.grants.resources.iter().any(|(granted, _)| granted == key);
    capability::ALL.iter().map(|capability| capability.key()).filter(has).collect()
}

fn granted<'a>(component: &ComponentConfig, capabilities: &'a [&'a str]) -> Granted<'a> {
    Granted {
        capabilities,
        configuration: !component.configuration.is_empty(),
        calls: !component.grants.services.is_empty() || component.outbound.is_some(),
    }
}

fn unbound(error: Unbound) -> Exit {
    match error {
        Unbound::GoWaits => Exit::Usage(format!("wasm-host: error: {error}")),
        Unbound::Damaged(_) => Error::new(error).into(),
    }
}

/// The language of a service with its bindings in a folder.
fn language(folder: &Path) -> BindingsLang {
    let has = |folder: &Path| folder.join(GO_MODULE).is_file();
    match has(folder) || has(whole::folder_of(folder)) {
        true => BindingsLang::Go,
        false => BindingsLang::C,
    }
}

/// The package of Go that a folder is: the module that it belongs to, with its place in it.
fn go_package(folder: &Path) -> Option<String> {
    let folder = std::path::absolute(folder).ok()?;
    let (above, text) = folder
        .ancestors()
        .find_map(|above| Some((above, fs::read_to_string(above.join(GO_MODULE)).ok()?)))?;
    let module = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    let below = folder.strip_prefix(above).ok()?;
    Some(Path::new(module.trim().trim_matches('"')).join(below).display().to_string())
}

/// The style of interfaces that are there.
fn style(folder: &Path) -> Option<Style> {
    Style::of(&fs::read_to_string(folder.join("world.wit")).ok()?)
}

/// Write all of it, in place of what this command wrote before and of nothing else.
fn write(folder: &Path, files: &[(PathBuf, String)]) -> Result<(), Exit> {
    let world = folder.join("world.wit");
    let deps = folder.join("deps");
    if !is_written_here(&world, &[WRITTEN])? && deps.exists() {
        let deps = deps.display();
        return Err(Exit::Usage(format!(
            "wasm-host: error: {deps} is there without a world of `wasm-host wit` beside it; give another folder, or \
             remove it"
        )));
    }
    // What is not granted any more is no part of it. Packages of the service's own stay.
    for package in wit::folders() {
        let package = deps.join(package);
        if package.is_dir() {
            fs::remove_dir_all(&package)
                .with_context(|| format!("cannot replace {}", package.display()))?;
        }
    }
    put(folder, files)?;
    Ok(())
}

/// Whether a file is there that begins as one of those that this command writes.
///
/// # Errors
/// It is there and begins otherwise, or cannot be read.
fn is_written_here(path: &Path, begins: &[&str]) -> Result<bool, Exit> {
    match fs::read(path) {
        Ok(text) if begins.iter().any(|begin| text.starts_with(begin.as_bytes())) => Ok(true),
        Ok(_) => Err(Exit::Usage(format!(
            "wasm-host: error: {} was written by somebody else and is left alone; give another folder, or remove it",
            path.display()
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(anyhow!("cannot read {}: {error}", path.display()).into()),
    }
}

fn put(folder: &Path, files: &[(PathBuf, String)]) -> anyhow::Result<()> {
    for (path, text) in files {
        let path = folder.join(path);
        let parent = whole::folder_of(&path);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        whole::write(&path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_host_templates::wit::Wasi;

    fn granted(postgres: bool) -> Vec<(PathBuf, String)> {
        let capabilities: &[&str] = if postgres { &["postgres"] } else { &[] };
        wit::files("a", Style::ASYNC, Granted { capabilities, ..Granted::default() })
    }

    #[test]
    fn interfaces_take_the_place_of_older_ones_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("wit");
        assert!(write(&place, &granted(true)).is_ok());
        assert!(place.join("deps/postgres/postgres.wit").is_file());
        assert!(write(&place, &granted(false)).is_ok());
        assert!(!place.join("deps/postgres").exists());
        fs::create_dir(place.join("deps/mine")).unwrap();
        assert!(write(&place, &granted(true)).is_ok());
        assert!(place.join("deps/mine").is_dir(), "a package of its own was removed");
        assert_eq!(style(&place), Some(Style::ASYNC));
        fs::write(place.join("world.wit"), "package mine:own;").unwrap();
        assert!(matches!(write(&place, &granted(true)), Err(Exit::Usage(_))));
        fs::remove_file(place.join("world.wit")).unwrap();
        assert!(matches!(write(&place, &granted(true)), Err(Exit::Usage(_))));
        assert!(place.join("deps/http/http.wit").is_file());
    }

    #[test]
    fn a_source_of_the_service_is_no_older_form_of_its_bindings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.c");
        assert!(matches!(is_written_here(&path, &GENERATED), Ok(false)));
        let style = Style { wasi: Wasi::P2, is_blocking: true };
        for language in [Bound::C, Bound::Go("service/bindings")] {
            for (name, text) in bindings::of(language, "a", style, Granted::default()).unwrap() {
                let path = folder.path().join(name);
                fs::create_dir_all(whole::folder_of(&path)).unwrap();
                fs::write(&path, text).unwrap();
                let is_ours = is_written_here(&path, &GENERATED);
                assert!(matches!(is_ours, Ok(true)), "{}", path.display());
            }
        }
        fs::write(&path, "#include \"service.h\"").unwrap();
        assert!(matches!(is_written_here(&path, &GENERATED), Err(Exit::Usage(_))));
    }

    #[test]
    fn a_package_of_go_is_called_by_its_module_and_its_place_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let bindings = folder.path().join("shop/gen/bindings");
        fs::create_dir_all(&bindings).unwrap();
        assert_eq!(language(&bindings), BindingsLang::C);
        fs::write(folder.path().join("shop/go.mod"), "module example.com/shop\n\ngo 1.25\n")
            .unwrap();
        assert_eq!(go_package(&bindings).as_deref(), Some("example.com/shop/gen/bindings"));
        assert_eq!(language(&bindings), BindingsLang::C);
        assert_eq!(language(&folder.path().join("shop/gen")), BindingsLang::Go);
        let of_0_3 = bindings::of(Bound::Go("x"), "a", Style::BLOCKING, Granted::default());
        assert!(matches!(of_0_3, Err(Unbound::GoWaits)));
    }
}
