//! Hello: what a request costs when the guest does next to nothing. The very same component files run
//! under `wasmtime serve` and under this host.

use anyhow::Result;

use super::{Subject, compare, take_turns};
use crate::Setting;
use crate::figures::{Bar, Row};
use crate::hosts::{Application, component, service};
use crate::process::{self, Server};
use crate::twins;

/// Requests of one instance where reuse is raised: more than any round has.
const REUSE: &str = "1000000";

const HYPER: &str = "hyper";
const P3: &str = "host, p3";
const P3_UNSEEN: &str = "host, p3, telemetry off";
const P3_REUSED: &str = "host, p3, reuse raised";
const P2: &str = "host, p2";
const P2_REUSED: &str = "host, p2, reuse allowed";

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    let reused = format!("reuse = {REUSE}\n");
    let tables = [
        service(setting, "p3", "hello-p3", ""),
        service(setting, "p3-reused", "hello-p3", &reused),
        service(setting, "p2", "hello-p2", ""),
        service(setting, "p2-reused", "hello-p2", &reused),
    ];
    let application = Application::new(setting, &tables.concat())?;
    let host = application.serve().await?;
    let blind = service(setting, "p3", "hello-p3", "") + "[telemetry]\nenabled = false\n";
    let blind = Application::new(setting, &blind)?;
    let unseen = blind.serve().await?;
    let native = Server::start(&mut process::twin(&["hello"])?, twins::MARK).await?;

    let mut subjects = vec![
        Subject::new(HYPER, &native.address, "/"),
        Subject::new(P3, &host.address, "/p3/"),
        Subject::new(P3_UNSEEN, &unseen.address, "/p3/"),
        Subject::new(P3_REUSED, &host.address, "/p3-reused/"),
        Subject::new(P2, &host.address, "/p2/"),
        Subject::new(P2_REUSED, &host.address, "/p2-reused/"),
    ];
    let mut peers = Vec::new();
    for (name, guest, reused) in [
        ("wasmtime serve, p3", "hello-p3", false),
        ("wasmtime serve, p3, reuse raised", "hello-p3", true),
        ("wasmtime serve, p2", "hello-p2", false),
        ("wasmtime serve, p2, reuse raised", "hello-p2", true),
    ] {
        if let Some(peer) = peer(setting, guest, reused).await? {
            subjects.push(Subject::new(name, &peer.address, "/"));
            peers.push(peer);
        }
    }
    let mut rows = take_turns(setting.effort, &subjects).await?;
    compare(&mut rows, P3, "wasmtime serve, p3", Some(Bar::AtLeast(1.4)));
    compare(&mut rows, P3, HYPER, Some(Bar::AtLeast(0.38)));
    compare(&mut rows, P3, P3_UNSEEN, Some(Bar::AtLeast(0.95)));
    compare(&mut rows, P3_REUSED, "wasmtime serve, p3, reuse raised", None);
    compare(&mut rows, P3_REUSED, HYPER, None);
    compare(&mut rows, P2, "wasmtime serve, p2", None);
    compare(&mut rows, P2, HYPER, None);
    compare(&mut rows, P2_REUSED, "wasmtime serve, p2, reuse raised", None);
    compare(&mut rows, P2_REUSED, HYPER, Some(Bar::AtLeast(0.55)));
    for peer in peers {
        peer.stop().await?;
    }
    native.stop().await?;
    unseen.stop().await?;
    host.stop().await?;
    Ok(rows)
}

/// `wasmtime serve` as its documentation says to run it.
async fn peer(setting: &Setting, guest: &str, reused: bool) -> Result<Option<Server>> {
    let Some(wasmtime) = &setting.run.wasmtime else { return Ok(None) };
    let mut command = process::program(wasmtime);
    command.args(["serve", "-S", "cli", "-O", "pooling-allocator=y", "--addr", "127.0.0.1:0"]);
    if reused {
        command.args(["--max-instance-reuse-count", REUSE]);
    }
    command.arg(component(setting, guest));
    Server::start(&mut command, "Serving HTTP on ").await.map(Some)
}
