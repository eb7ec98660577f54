//! Instructions and allocations of single requests, counted by valgrind: the same on a busy machine and on an
//! idle one, which no clock is.
//!
//! Below valgrind the pool of instances cannot be reserved, so instances are allocated one by one; what is counted of
//! an instance's start is therefore more than in real life.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::client::Client;
use crate::hosts::{Application, MARK};
use crate::process::Server;

/// Functions that are an allocation, of every allocator that the host may have.
const ALLOCATIONS: [&str; 12] = [
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
    "mi_malloc",
    "mi_zalloc",
    "mi_realloc",
    "mi_malloc_aligned",
    "mi_zalloc_aligned",
    "mi_realloc_aligned",
    "mi_calloc",
];

/// How long one answer may take; valgrind makes everything fifty times slower.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host below valgrind.
pub(crate) struct CallgrindHost {
    server: Server,
    output: PathBuf,
    dumps: usize,
}

/// What one request costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Costs {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

impl CallgrindHost {
    pub(crate) async fn start(application: &Application) -> Result<Self> {
        let output = application.path().join("callgrind.out");
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--instr-atstart=no", "--quiet"]);
        valgrind.arg(format!("--callgrind-out-file={}", output.display()));
        valgrind.arg(format!("--vgdb-prefix={}", application.path().join("vgdb").display()));
        let mut command = application.command(Some(valgrind));
        let server = Server::start(&mut command, MARK).await.context("valgrind and the host")?;
        let counted = Self { server, output, dumps: 0 };
        counted.tell(application.path(), "instrumentation on").await?;
        Ok(counted)
    }

    /// Count `requests` of `path`, one after the other.
    pub(crate) async fn count(
        &mut self,
        application: &Application,
        path: &str,
        requests: usize,
    ) -> Result<Costs> {
        let mut client = Client::connect(&self.server.address).await?;
        self.tell(application.path(), "zero").await?;
        for _ in 0..requests {
            tokio::time::timeout(PATIENCE, client.get(path)).await??;
        }
        self.tell(application.path(), "dump").await?;
        self.dumps += 1;
        let dump = self.output.with_extension(format!("out.{}", self.dumps));
        let text = fs::read_to_string(&dump).with_context(|| format!("{}", dump.display()))?;
        let requests = requests as f64;
        let costs = read(&text).with_context(|| format!("{}", dump.display()))?;
        Ok(Costs {
            instructions: costs.instructions / requests,
            allocations: costs.allocations / requests,
        })
    }

    /// The file of the last count, for `callgrind_annotate`.
    pub(crate) fn last_dump(&self) -> PathBuf {
        self.output.with_extension(format!("out.{}", self.dumps))
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.server.stop().await
    }

    async fn tell(&self, folder: &Path, word: &str) -> Result<()> {
        let told = Command::new("vgdb")
            .arg(format!("--pid={}", self.server.pid()?))
            .arg(format!("--vgdb-prefix={}", folder.join("vgdb").display()))
            .args(word.split(' '))
            .output();
        let told = tokio::time::timeout(PATIENCE, told).await.context("vgdb")??;
        if !told.status.success() {
            bail!("`vgdb {word}` failed: {}", String::from_utf8_lossy(&told.stderr));
        }
        Ok(())
    }
}

/// The sums of a dump.
fn read(text: &str) -> Result<Costs> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let (mut total, mut allocations) = (None, 0.0);
    let mut called = "";
    for line in text.lines() {
        if let Some(sum) = line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")) {
            total = sum.trim().parse::<f64>().ok().or(total);
        } else if let Some(rest) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            // A name is spelled out once, and is a number from then on.
            let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            if line.starts_with('c') {
                called = names.get(number).copied().unwrap_or_default();
            }
        } else if let Some(calls) = line.strip_prefix("calls=") {
            // Callgrind tells recursion levels apart by a suffix.
            let name = called.split(['\'', '@']).next().unwrap_or_default();
            if ALLOCATIONS.contains(&name) {
                let count = calls.split(' ').next().unwrap_or_default();
                allocations += count.parse::<f64>().unwrap_or_default();
            }
        }
    }
    let instructions = total.filter(|total| *total > 0.0).context("nothing was counted")?;
    Ok(Costs { instructions, allocations })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_allocators_are_counted_by_name_and_by_number() {
        let dump = "events: Ir\nfn=(1) work\n12 100\ncfn=(2) malloc\ncalls=3 0\n12 60\n\
                    fn=(3) other\n5 7\ncfn=(2)\ncalls=4 0\n5 80\ncfn=(4) free\ncalls=9 0\n5 9\n\
                    totals: 256\n";
        assert_eq!(read(dump).unwrap(), Costs { instructions: 256.0, allocations: 7.0 });
        assert!(read("events: Ir\n").is_err());
    }
}
