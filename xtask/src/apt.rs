//! Installing Debian packages, for machines where a missing tool can simply be installed.
//!
//! It must never surprise: it asks for no password, starts no service, and where it may not
//! install it says which command a person has to run.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::shell::{self, MINUTE};

/// Postgres' package makes and starts a database of its own unless this file says no. Only the
/// programs are wanted, so the file says no during the installation and is then put back.
const POSTGRES_SCRIPT: &str = r#"
conf=/etc/postgresql-common/createcluster.conf
default=/usr/share/postgresql-common/createcluster.conf
mkdir -p /etc/postgresql-common
if [ -e "$conf" ]; then cp -p "$conf" "$conf.before"; fi
echo 'create_main_cluster = false' > "$conf"
UCF_FORCE_CONFFOLD=1 apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$1"
status=$?
if [ -e "$conf.before" ]; then mv "$conf.before" "$conf"
elif [ -e "$default" ]; then cp "$default" "$conf"; rm -f "$conf.ucf-dist"
else rm -f "$conf"; fi
exit $status
"#;

/// The packages of servers start them, and have them start with the machine, unless this policy says no. Only their
/// programs are wanted.
const SERVER_SCRIPT: &str = r#"
policy=/usr/sbin/policy-rc.d
restore() { rm -f "$policy"; if [ -e "$policy.before" ]; then mv "$policy.before" "$policy"; fi; }
if [ -e "$policy" ]; then mv "$policy" "$policy.before"; fi
trap restore EXIT
trap 'exit 1' INT TERM
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"
apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$1" || exit
update-rc.d "$1" disable || true
"#;

pub(crate) fn available() -> bool {
    shell::find("apt-get").is_some() && shell::find("dpkg-query").is_some()
}

/// Those of `packages` that are not installed.
pub(crate) fn missing(packages: &[&'static str]) -> Vec<&'static str> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${Package} ${db:Status-Status}\n"]).args(packages);
    // It fails when one of them is unknown, and still lists the others.
    let listed = query.output().map(|output| output.stdout).unwrap_or_default();
    let listed = String::from_utf8_lossy(&listed);
    let installed = |package: &str| listed.lines().any(|l| l == format!("{package} installed"));
    packages.iter().copied().filter(|package| !installed(package)).collect()
}

/// Refreshes the package lists, once before the first installation. One source that is down is no
/// reason to stop: what cannot be installed then says so itself.
pub(crate) fn update() {
    if let Ok(mut update) = as_root() {
        let _ = shell::quiet("apt-get update", update.args(["apt-get", "update"]), 5 * MINUTE);
    }
}

pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let words = packages.join(" ");
    let installed = as_root().and_then(|mut install| {
        install.args(["apt-get", "install", "-y", "--no-install-recommends"]);
        install.args(["-o", "DPkg::Lock::Timeout=120"]).args(packages);
        shell::quiet(&format!("apt-get install {words}"), &mut install, 15 * MINUTE)
    });
    installed.map_err(|error| {
        anyhow!(
            "cannot install {words}: {error:#}\nrun this as root: \
             apt-get update && apt-get install -y --no-install-recommends {words}"
        )
    })
}

/// Installs the newest Postgres server that the distribution has, without a running database.
pub(crate) fn install_postgres() -> Result<()> {
    let mut search = Command::new("apt-cache");
    let names = shell::answer(search.args(["search", "--names-only", "^postgresql-[0-9]+$"]));
    let package = newest_postgres(&names.unwrap_or_default())
        .context("apt knows no package postgresql-<version>")?;
    let title = format!("apt-get install {package} (without creating a database)");
    let mut install = as_root()?;
    install.args(["sh", "-c", POSTGRES_SCRIPT, "sh", &package]);
    shell::quiet(&title, &mut install, 15 * MINUTE)
}

/// Installs the package of a server, which is not started.
pub(crate) fn install_server(package: &str) -> Result<()> {
    let mut install = as_root()?;
    install.args(["sh", "-c", SERVER_SCRIPT, "sh", package]);
    let what = format!("apt-get install {package} (without starting it)");
    shell::quiet(&what, &mut install, 15 * MINUTE)
}

fn newest_postgres(search: &str) -> Option<String> {
    let versions = search.lines().filter_map(|line| {
        let (name, _) = line.split_once(' ')?;
        name.strip_prefix("postgresql-")?.parse::<u32>().ok()
    });
    versions.max().map(|version| format!("postgresql-{version}"))
}

/// `env ...`, as root: directly, or through a sudo that does not ask.
fn as_root() -> Result<Command> {
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let mut command = if root {
        Command::new("env")
    } else if shell::answer(Command::new("sudo").args(["-n", "true"])).is_some() {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "env"]);
        sudo
    } else {
        bail!("installing packages needs root, and sudo asks for a password here");
    };
    command.arg("DEBIAN_FRONTEND=noninteractive");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_server_is_chosen_by_number() {
        let search = "postgresql-9 - old\npostgresql-15 - server\npostgresql-13-rum - no\n";
        assert_eq!(newest_postgres(search).as_deref(), Some("postgresql-15"));
        assert_eq!(newest_postgres(""), None);
    }
}
