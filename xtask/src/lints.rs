//! The compiler with the lints, as cargo runs it for the crates of this project.
//!
//! What cargo checks is no use to what it builds: `cargo clippy` reads all dependencies first, which takes ten minutes
//! on two processors, and a build after it begins anew. So lints come with a build, on the dependencies of that build.
//! Of this project's own crates no code is made for it: others are linted by what they declare. Crates that run while
//! cargo builds are the exception, and so they may depend on no crate of this project.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::{project, shell};

/// Names the compiler with the lints, and says that this program is asked to run it.
const COMPILER: &str = "WASM_HOST_LINTS";

/// Makes a `cargo build` lint this project's crates instead of building them.
pub(crate) fn lint(build: &mut Command) -> Result<()> {
    let this = env::current_exe().context("cannot tell where this program is")?;
    build.env("RUSTC_WORKSPACE_WRAPPER", this);
    build.env(COMPILER, project::beside_cargo("clippy-driver"));
    // As `cargo clippy` hands them over.
    build.env("CLIPPY_ARGS", ["-D", "warnings", ""].join("__CLIPPY_HACKERY__"));
    Ok(())
}

/// Stands in for the compiler, where it is one that cargo runs for [`lint`].
pub(crate) fn compile() -> Option<Result<ExitCode>> {
    let compiler = env::var_os(COMPILER)?;
    Some(run(Path::new(&compiler), env::args_os().skip(1).collect()))
}

fn run(compiler: &Path, args: Vec<OsString>) -> Result<ExitCode> {
    let mut command = Command::new(compiler);
    let lossless: Option<Vec<_>> = args.iter().map(|arg| arg.to_str().map(str::to_owned)).collect();
    let own = lossless.as_deref().and_then(Unit::of);
    match &own {
        Some(unit) => command.args(unit.arguments(&|path| path.is_file())),
        None => command.args(&args),
    };
    let status =
        command.status().with_context(|| format!("cannot start {}", shell::name(&command)))?;
    if let Some(stand_in) = own.filter(|_| status.success()).and_then(|unit| unit.stand_in()) {
        fs::write(&stand_in, "").with_context(|| format!("cannot write {}", stand_in.display()))?;
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, Into::into))
}

/// One crate of which no code is wanted.
struct Unit<'a> {
    args: &'a [String],
}

impl<'a> Unit<'a> {
    /// None for questions to the compiler and for what cargo is about to run.
    fn of(args: &'a [String]) -> Option<Self> {
        let unit = Self { args };
        let name = unit.value("--crate-name")?;
        let runs = name.starts_with("build_script_")
            || unit.values("--crate-type").any(|kind| kind == "proc-macro");
        let makes_code = args.iter().any(|arg| arg.starts_with("--emit=") && arg.contains("link"));
        (makes_code && !runs).then_some(unit)
    }

    fn values(&self, option: &str) -> impl Iterator<Item = &'a str> {
        let args = self.args.windows(2);
        args.filter_map(move |pair| match pair {
            [name, value] if name == option => Some(value.as_str()),
            _ => None,
        })
    }

    fn value(&self, option: &str) -> Option<&'a str> {
        self.values(option).next()
    }

    /// The same, but for what is declared only, also of the crates that it uses.
    fn arguments(&self, is_file: &dyn Fn(&Path) -> bool) -> Vec<String> {
        let mut before = "";
        let mut changed = Vec::new();
        for arg in self.args {
            changed.push(if arg.starts_with("--emit=") {
                "--emit=dep-info,metadata".to_owned()
            } else if before == "--extern" {
                declared(arg, is_file)
            } else {
                arg.clone()
            });
            before = arg;
        }
        changed
    }

    /// Cargo takes a crate for up to date if there is what it asked for. An empty file does, but none where other
    /// builds have the same name for it: those of programs, and of libraries that are no crate's alone.
    fn stand_in(&self) -> Option<PathBuf> {
        let name = self.value("--crate-name")?;
        let own = self.values("-C").find_map(|option| option.strip_prefix("extra-filename="))?;
        let folder = Path::new(self.value("--out-dir")?);
        if self.args.iter().any(|arg| arg == "--test") {
            return Some(folder.join(format!("{name}{own}")));
        }
        let is_library = self.values("--crate-type").all(|kind| kind == "lib" || kind == "rlib");
        is_library.then(|| folder.join(format!("lib{name}{own}.rlib")))
    }
}

/// `name=…/libname.rlib` as the file beside it that says what the library declares, if there is one.
fn declared(external: &str, is_file: &dyn Fn(&Path) -> bool) -> String {
    let place = external.rsplit_once('=').filter(|(_, path)| path.ends_with(".rlib"));
    let metadata = place.map(|(name, path)| (name, Path::new(path).with_extension("rmeta")));
    match metadata {
        Some((name, metadata)) if is_file(&metadata) => format!("{name}={}", metadata.display()),
        _ => external.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &str = "/bin/rustc --crate-name engine --edition=2024 src/lib.rs --crate-type lib \
        --emit=dep-info,metadata,link -C extra-filename=-1 --out-dir /t --extern log=/t/liblog-2.rmeta";
    const TEST: &str = "/bin/rustc --crate-name engine src/lib.rs --emit=dep-info,link --test -C extra-filename=-3 \
        --out-dir /t --extern log=/t/liblog-2.rlib --extern noprelude:c=/t/libc.rlib --extern derive=/t/libderive.so";

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn changed(text: &str) -> Option<String> {
        let args = words(text);
        Unit::of(&args)
            .map(|unit| unit.arguments(&|path| path != Path::new("/t/libc.rmeta")).join(" "))
    }

    fn stand_in(text: &str) -> Option<PathBuf> {
        Unit::of(&words(text)).and_then(|unit| unit.stand_in())
    }

    #[test]
    fn no_code_is_made_and_none_is_needed() {
        let test = changed(TEST).unwrap();
        assert!(test.contains("--emit=dep-info,metadata --test"), "{test}");
        assert!(test.contains("--extern log=/t/liblog-2.rmeta"), "{test}");
        assert!(test.contains("--extern noprelude:c=/t/libc.rlib"), "has no such file: {test}");
        assert!(test.ends_with("--extern derive=/t/libderive.so"), "{test}");
        assert!(changed(LIBRARY).unwrap().contains("--emit=dep-info,metadata -C"));
    }

    #[test]
    fn what_cargo_runs_is_made() {
        assert_eq!(changed("rustc -vV"), None);
        assert_eq!(changed("rustc - --crate-name ___ --print=cfg"), None);
        assert_eq!(changed(&LIBRARY.replace("--crate-type lib", "--crate-type proc-macro")), None);
        assert_eq!(changed(&LIBRARY.replace("engine", "build_script_build")), None);
    }

    #[test]
    fn cargo_finds_what_no_other_build_has_the_name_of() {
        assert_eq!(stand_in(LIBRARY).unwrap(), Path::new("/t/libengine-1.rlib"));
        assert_eq!(stand_in(TEST).unwrap(), Path::new("/t/engine-3"));
        assert_eq!(stand_in(&LIBRARY.replace("--crate-type lib", "--crate-type bin")), None);
        assert_eq!(stand_in(&LIBRARY.replace("type lib", "type rlib --crate-type cdylib")), None);
        assert_eq!(stand_in(&LIBRARY.replace("-C extra-filename=-1", "")), None);
    }
}
