//! One request: instructions and allocations, which repeat where times do not.

use std::fs;

use anyhow::Result;

use crate::Setting;
use crate::callgrind::CallgrindHost;
use crate::figures::Row;
use crate::hosts::{Application, service};

/// Requests of one count: three instances' share of them, so that the start of instances has its part as well.
const REQUESTS: usize = 3 * 128;

/// Counts of each path, after one that is not looked at.
const COUNTS: usize = 3;

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("1000.bin"), vec![b'x'; 1000])?;
    // On one thread, so that the counts do not depend on who wakes whom.
    // And all of it there: below valgrind every turn takes so long that it would go on in threads for guests that
    // compute.
    let mut tables = "[limits]\nthreads = 1\ncompute-threads = 0\n".to_string();
    // A request that is seen and not kept, as nearly all are under load. Below valgrind every one would be slow, and so
    // few come in a second that all would be kept.
    tables += "[telemetry]\nsample-per-second = 0\nslow = \"1h\"\n";
    tables += &service(setting, "p3", "hello-p3", "");
    tables += &service(setting, "p2", "hello-p2", "");
    tables += &service(setting, "p2-reused", "hello-p2", "reuse = 1000000\n");
    tables += &format!("[service.files]\nstatic = \"{}\"\n", folder.path().display());
    let application = Application::new(setting, &tables)?;
    // The code is compiled here, not below valgrind.
    application.serve().await?.stop().await?;
    let mut host = CallgrindHost::start(&application).await?;
    let mut rows = Vec::new();
    for (name, path) in [
        ("p3 hello", "/p3/"),
        ("p2 hello", "/p2/"),
        ("p2 hello, reuse allowed", "/p2-reused/"),
        ("1 kB file", "/files/1000.bin"),
    ] {
        host.count(&application, path, REQUESTS).await?;
        let mut costs = Vec::new();
        for _ in 0..COUNTS {
            costs.push(host.count(&application, path, REQUESTS).await?);
        }
        keep(setting, &host, name)?;
        let instructions = costs.iter().map(|costs| costs.instructions).collect();
        let allocations = costs.iter().map(|costs| costs.allocations).collect();
        rows.push(Row::new(name, "instructions", instructions));
        rows.push(Row::new(name, "allocations", allocations));
    }
    host.stop().await?;
    Ok(rows)
}

/// Keep the last count beside the figures: `callgrind_annotate` tells from it where the instructions go.
fn keep(setting: &Setting, host: &CallgrindHost, name: &str) -> Result<()> {
    let file = format!("callgrind-{}.out", name.replace([' ', ','], "-"));
    fs::copy(host.last_dump(), setting.run.json.with_file_name(file))?;
    Ok(())
}
