//! The host's own image: the program, what it is linked to, and the few files that it reads of a system. Nothing else:
//! no shell, no package.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::image::Image;
use crate::layer::Draft;
use crate::libraries::Program;
use crate::place::{FILE, FOLDER, HTTP_PORT, PROGRAM, STATE, STATE_FOLDER, USER};

/// One of the places where a system's authorities are looked for.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Characters of a line of PEM.
const PEM_LINE: usize = 64;

/// The image of the program that runs here, and whether it has authorities: a machine may have none.
///
/// # Errors
/// The program, or what it is linked to, cannot be read.
pub fn image(version: &str) -> Result<(Image, bool)> {
    let (layer, has_authorities) = layer()?;
    let mut image = Image::new(run());
    for (key, value) in [
        ("title", "wasm-host"),
        ("description", "A host for applications made of WebAssembly components"),
        ("licenses", "Apache-2.0"),
        ("version", version),
    ] {
        image.label(key, value);
    }
    image.add(layer.build()?, "wasm-host image base");
    Ok((image, has_authorities))
}

/// How a container of it begins and ends. What is behind the program may be said anew by whoever starts it.
fn run() -> Map<String, Value> {
    let file = format!("{FOLDER}/{FILE}");
    let listen = format!("0.0.0.0:{HTTP_PORT}");
    let run = json!({
        "Cmd": ["serve", file, "--listen", listen, "--state", STATE_FOLDER],
        "Entrypoint": [PROGRAM],
        "Env": ["PATH=/"],
        "ExposedPorts": { format!("{HTTP_PORT}/tcp"): {} },
        "StopSignal": "SIGTERM",
        // By number: Kubernetes does not look up names to tell that it is not root.
        "User": format!("{USER}:{USER}"),
        "Volumes": { STATE: {} },
        "WorkingDir": FOLDER,
    });
    match run {
        Value::Object(run) => run,
        _ => Map::new(),
    }
}

fn layer() -> Result<(Draft, bool)> {
    let mut layer = Draft::default();
    let Program { bytes, libraries } = Program::own()?;
    layer.program(PROGRAM, bytes);
    for (place, bytes) in libraries {
        layer.program(place, bytes);
    }
    let user = |name: &str, id: u32, home: &str| format!("{name}:x:{id}:{id}::{home}:/nologin\n");
    let users = user("root", 0, "/") + &user("wasm-host", USER, STATE);
    layer.bytes("/etc/passwd", users);
    layer.bytes("/etc/group", format!("root:x:0:\nwasm-host:x:{USER}:\n"));
    // Names of the machine itself first, then what its name servers say.
    layer.bytes("/etc/nsswitch.conf", "hosts: files dns\n");
    let authorities = authorities();
    let has_authorities = !authorities.is_empty();
    if has_authorities {
        layer.bytes(AUTHORITIES, authorities);
    }
    layer.folder(FOLDER);
    layer.owned_folder(STATE, 0o755, USER);
    layer.owned_folder("/tmp", 0o1777, 0);
    Ok((layer, has_authorities))
}

/// Whom the system trusts, each once, in an order that has nothing to do with its files.
fn authorities() -> String {
    let mut all = rustls_native_certs::load_native_certs().certs;
    all.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
    all.dedup();
    let mut text = String::new();
    for certificate in all {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(&certificate);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_image_is_the_same_each_time_and_runs_as_nobody() {
        let (image, _) = image("1.2.3").unwrap();
        let (again, _) = super::image("1.2.3").unwrap();
        assert_eq!(image.digest(), again.digest());
        let run = image.run().unwrap();
        assert_eq!(run["User"], "65532:65532");
        assert_eq!(run["Labels"]["org.opencontainers.image.version"], "1.2.3");
        assert_eq!(run["Entrypoint"], json!(["/wasm-host"]));
        let (other, _) = super::image("1.2.4").unwrap();
        assert_ne!(image.digest(), other.digest());
    }
}
