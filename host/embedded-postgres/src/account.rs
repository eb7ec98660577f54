//! Which user the server runs as. Postgres refuses to run as root, so a root host needs another
//! user, and that user needs folders it can reach.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use anyhow::Context;
use tokio::process::Command;

/// A user of this machine without special rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Nothing if the host is not root: the server then runs as the user who runs the host.
    pub(super) fn choose() -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read `/etc/passwd`")?;
        ["postgres", "nobody"].iter().find_map(|name| find(&users, name)).map(Some).context(
            "Postgres cannot run as root, and there is neither a user `postgres` nor `nobody`; \
             run the host as another user, or create one of the two",
        )
    }

    /// Run `command` as this user, with none of the host's groups.
    pub(super) fn apply(self, command: &mut Command) {
        // As root, setting the user also drops the supplementary groups (std documents that).
        command.uid(self.uid).gid(self.gid);
    }

    #[cfg(test)]
    pub(super) fn std_command(self, program: &str) -> std::process::Command {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new(program);
        command.uid(self.uid).gid(self.gid);
        command
    }

    /// Make a file or folder the user's own, but nothing that it only links to.
    pub(super) fn give(self, path: &Path) -> anyhow::Result<()> {
        lchown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give {} to the server's user", super::shown(path)))
    }

    /// Whether the user may pass through `folder` and everything above it.
    pub(super) fn can_reach(self, folder: &Path) -> bool {
        folder.ancestors().all(|folder| {
            fs::metadata(folder).is_ok_and(|folder| {
                let bit = match folder {
                    _ if folder.uid() == self.uid => 0o100,
                    _ if folder.gid() == self.gid => 0o010,
                    _ => 0o001,
                };
                folder.mode() & bit != 0
            })
        })
    }
}

/// A user's line is `name:password:uid:gid:…`.
fn find(users: &str, name: &str) -> Option<Account> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then_some(Account { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "root:x:0:0::/root:/bin/sh\nxpostgres:x:1:1::/:/\npostgres:x:101:104::/:/\n";
        assert_eq!(find(users, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(find(users, "root"), None);
        assert_eq!(find(users, "nobody"), None);
    }
}
