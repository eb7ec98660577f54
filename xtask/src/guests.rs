//! Building the components: the crates that become WebAssembly files.
//!
//! They need the standard library for wasm32-wasip2. Where rustup has it or can fetch it, that is
//! one cargo call. A machine that reaches Debian's archive and nothing else can build it from
//! Debian's source package with Debian's compiler. Which of the two is used is decided here, and
//! said. Nothing else in the project knows that there are two.

pub(crate) mod javascript;
pub(crate) mod toolchains;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{self, MINUTE};
use crate::{apt, project};

const TARGET: &str = "wasm32-wasip2";

/// Debian's compiler, cargo, source of std and C library for this target.
pub(crate) const DEBIAN: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc"];

/// Rustup is given a minute: fetching takes seconds where there is a network.
const FETCH_LIMIT: Duration = MINUTE;

/// A failed fetch is not tried again for a day.
const RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What can build components on this machine.
pub(crate) enum Toolchain {
    /// The active toolchain has std for the target.
    Active,
    /// Debian's compiler builds std. The folders have the linker, which only rustup's toolchain
    /// brings.
    Debian { linker: PathBuf, because: String },
}

impl Toolchain {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Active => format!("{TARGET} of the active toolchain"),
            Self::Debian { because, .. } => {
                format!("Debian's compiler and its source of std, because {because}")
            }
        }
    }
}

/// Chooses the toolchain. Debian's may still lack packages: see [`DEBIAN`].
pub(crate) fn toolchain() -> Result<Toolchain> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "sysroot"]).current_dir(project::root());
    let sysroot = shell::answer(&mut rustc)
        .context("`rustc --print sysroot` fails; install Rust from https://rustup.rs")?;
    let rustlib = Path::new(&sysroot).join("lib/rustlib");
    let std = rustlib.join(TARGET).join("lib");
    if std.is_dir() {
        return Ok(Toolchain::Active);
    }
    let because = match fetch(&sysroot) {
        Ok(()) if std.is_dir() => return Ok(Toolchain::Active),
        Ok(()) => format!("`rustup target add {TARGET}` did not add it to the active toolchain"),
        Err(error) => error.to_string(),
    };
    if !apt::available() {
        bail!(
            "components need std for {TARGET}, but {because}; \
             run `rustup target add {TARGET}` where there is a network"
        );
    }
    let linker = linker(&rustlib).with_context(|| {
        format!(
            "components need std for {TARGET}, but {because}; building it with Debian's packages \
             needs the linker wasm-component-ld, which is not in {}: \
             install Rust from https://rustup.rs",
            rustlib.display()
        )
    })?;
    Ok(Toolchain::Debian { linker, because })
}

/// Lets rustup fetch the target. Remembers a failure, because where it fails it may take the whole
/// deadline to do so.
fn fetch(sysroot: &str) -> Result<()> {
    if shell::find("rustup").is_none() {
        bail!("there is no rustup to fetch {TARGET}");
    }
    let note = project::notes().join("rustup-failed");
    let age = fs::metadata(&note).and_then(|data| data.modified()).ok();
    let recent = age.and_then(|at| at.elapsed().ok()).is_some_and(|age| age < RETRY_AFTER);
    if recent
        && let Some((failed, reason)) = fs::read_to_string(&note).ok().as_deref().and_then(|n| {
            let (sysroot, reason) = n.split_once('\n')?;
            Some((sysroot.to_owned(), reason.to_owned()))
        })
        && failed == sysroot
    {
        bail!("{reason}");
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", TARGET]).current_dir(project::root()).env("RUST_BACKTRACE", "0");
    let Err(error) = shell::quiet(&format!("rustup target add {TARGET}"), &mut add, FETCH_LIMIT)
    else {
        return Ok(());
    };
    let reason = format!("rustup could not fetch it ({})", cause(&format!("{error:#}")));
    fs::write(&note, format!("{sysroot}\n{reason}"))?;
    bail!("{reason}")
}

/// The part of rustup's output that says what went wrong; what led to it follows after a colon.
fn cause(output: &str) -> &str {
    let mut lines = output.lines().map(str::trim);
    let error = lines.find_map(|line| line.strip_prefix("error: "));
    let line = error.or(output.lines().next()).unwrap_or_default();
    line.split(": ").next().unwrap_or(line)
}

/// The folder of `wasm-component-ld` below `lib/rustlib/<host>/bin`.
fn linker(rustlib: &Path) -> Option<PathBuf> {
    let hosts = fs::read_dir(rustlib).ok()?;
    let mut folders = hosts.flatten().map(|host| host.path().join("bin"));
    folders.find(|folder| folder.join("wasm-component-ld").is_file())
}

/// A crate that is compiled to a component.
#[derive(Debug, PartialEq)]
pub(crate) struct Guest {
    pub(crate) package: String,
    /// Below the root, for messages.
    pub(crate) folder: String,
}

/// Every crate below `components` and `tests/guests` that makes a dynamic library.
pub(crate) fn all(root: &Path) -> Result<Vec<Guest>> {
    let mut guests = Vec::new();
    for parent in ["components", "tests/guests"] {
        let Ok(folders) = fs::read_dir(root.join(parent)) else {
            continue;
        };
        for folder in folders.flatten() {
            let Ok(manifest) = fs::read_to_string(folder.path().join("Cargo.toml")) else {
                continue;
            };
            let place = format!("{parent}/{}", folder.file_name().to_string_lossy());
            if !makes_library(&manifest) {
                continue;
            }
            let package = package_name(&manifest)
                .with_context(|| format!("{place}/Cargo.toml has no package name"))?;
            guests.push(Guest { package, folder: place });
        }
    }
    guests.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(guests)
}

fn makes_library(manifest: &str) -> bool {
    manifest
        .lines()
        .any(|line| line.split('#').next().is_some_and(|code| code.contains("\"cdylib\"")))
}

fn package_name(manifest: &str) -> Option<String> {
    let package = manifest.lines().skip_while(|line| line.trim() != "[package]").skip(1);
    let name = package.take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "name").then_some(value)
    })?;
    name.split('"').nth(1).map(str::to_owned)
}

/// Where they are built. A folder of their own: the two compilers would otherwise throw each other's work away.
fn target() -> PathBuf {
    project::root().join("target/guests")
}

/// The one build of the components: another selection would use other features of their dependencies.
pub(crate) fn cargo(toolchain: &Toolchain, guests: &[Guest]) -> Command {
    let mut cargo = command(toolchain);
    cargo.args(["build", "--locked", "--lib", "--target", TARGET, "--profile", "guest"]);
    cargo.arg("--target-dir").arg(target());
    for guest in guests {
        cargo.args(["--package", &guest.package]);
    }
    cargo
}

/// Builds every component; returns a remark on what was done.
pub(crate) fn build(toolchain: &Toolchain) -> Result<String> {
    let guests = all(&project::root())?;
    if guests.is_empty() {
        bail!("no crate below components/ has `crate-type = [\"cdylib\"]`");
    }
    shell::shown(&mut cargo(toolchain, &guests), 60 * MINUTE)?;

    let finished = project::components();
    fs::create_dir_all(&finished)?;
    let mut changed = 0;
    for guest in &guests {
        let library = guest.package.replace('-', "_");
        let built = target().join(TARGET).join("guest").join(format!("{library}.wasm"));
        let name = format!("{}.wasm", guest.package);
        let published = publish(&built, &finished.join(name));
        changed += usize::from(published.with_context(|| format!("component {}", guest.folder))?);
    }
    Ok(format!("{} of {} changed, with {}", changed, guests.len(), toolchain.describe()))
}

/// Copies a component to its final place, whole or not at all, and only if it differs: a host that
/// watches the folder must not reload what did not change, nor read half a file.
fn publish(built: &Path, place: &Path) -> Result<bool> {
    let new = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(place).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    let partial = place.with_extension("partial");
    fs::write(&partial, new)?;
    fs::rename(&partial, place)?;
    Ok(true)
}

/// Whether a component that another program built is newer than its sources.
fn is_up_to_date(component: &Path, newest: SystemTime) -> bool {
    let made = fs::metadata(component).and_then(|data| data.modified()).ok();
    made.is_some_and(|made| newest <= made)
}

/// What another program was to build is there, and of now.
fn made(component: &Path) -> Result<()> {
    ensure!(component.is_file(), "the build made no {}", component.display());
    // A build may leave a file alone that would be the same, and so keep its old time.
    fs::File::options().append(true).open(component)?.set_modified(SystemTime::now())?;
    Ok(())
}

/// The cargo call of a toolchain, free of settings that are meant for native code.
fn command(toolchain: &Toolchain) -> Command {
    let mut cargo = match toolchain {
        Toolchain::Active => project::cargo(),
        Toolchain::Debian { .. } => Command::new("/usr/bin/cargo"),
    };
    cargo.current_dir(project::root());
    project::forget_this_package(&mut cargo);
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"] {
        cargo.env_remove(name);
    }
    let Toolchain::Debian { linker, .. } = toolchain else {
        return cargo;
    };
    // `cargo xtask` runs below rustup's cargo, which names its own programs and libraries to
    // everything it starts. Debian's compiler must see none of them.
    for name in [
        "CARGO",
        "LD_LIBRARY_PATH",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTDOC",
        "RUSTUP_TOOLCHAIN",
    ] {
        cargo.env_remove(name);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    // At the end: rustup's folder has an `lld` and an `objcopy` that are not for native code.
    let folders = std::env::split_paths(&path).chain([linker.clone(), linker.join("gcc-ld")]);
    cargo.env("PATH", std::env::join_paths(folders).unwrap_or(path));
    cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    cargo.env("RUSTFLAGS", "-L native=/usr/lib/wasm32-wasi -Clink-self-contained=no");
    cargo.arg("-Zbuild-std=std,panic_abort");
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_components_of_this_repository_are_found() {
        let found = all(&project::root()).unwrap();
        let packages: Vec<_> = found.iter().map(|guest| guest.package.as_str()).collect();
        assert!(packages.contains(&"weather"), "{packages:?}");
        assert!(packages.contains(&"demo-ollama"), "{packages:?}");
        assert!(!packages.contains(&"wasm-host-guest"), "a library, no component: {packages:?}");
    }

    #[test]
    fn only_a_dynamic_library_is_a_component() {
        assert!(makes_library("[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n"));
        assert!(makes_library("[lib]\ncrate-type = [\n    \"cdylib\",\n]\n"));
        assert!(!makes_library("[lib]\n# crate-type = [\"cdylib\"]\n"));
    }

    #[test]
    fn the_name_is_the_package_s_not_the_library_s() {
        let manifest = "[lib]\nname = \"other\"\n\n[package]\nversion = \"1\"\nname = \"a-b\"\n";
        assert_eq!(package_name(manifest).as_deref(), Some("a-b"));
        assert_eq!(package_name("[package]\n[lib]\nname = \"x\"\n"), None);
    }

    #[test]
    fn an_unchanged_component_keeps_its_file() {
        let folder = std::env::temp_dir().join(format!("xtask-publish-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (built, place) = (folder.join("built.wasm"), folder.join("place.wasm"));
        fs::write(&built, "one").unwrap();
        assert!(publish(&built, &place).unwrap());
        let first = fs::metadata(&place).unwrap().modified().unwrap();
        assert!(!publish(&built, &place).unwrap());
        assert_eq!(fs::metadata(&place).unwrap().modified().unwrap(), first);
        fs::write(&built, "two").unwrap();
        assert!(publish(&built, &place).unwrap());
        assert_eq!(fs::read(&place).unwrap(), b"two");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_cause_is_rustup_s_error_or_else_the_deadline() {
        let output =
            "`rustup` ended with 1\n   info: a\n   error: no network: refused\n   Caused by:";
        assert_eq!(cause(output), "no network");
        assert_eq!(cause("`rustup` took too long\n   info: a"), "`rustup` took too long");
    }
}
