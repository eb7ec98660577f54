//! Files that containers are given from the user's folders: paths are as seen from the file that says them.

use std::fs;
use std::path::{Path, PathBuf};

use super::run;
use wasm_host_tests::host::App;
use wasm_host_tests::tls::Authority;

/// An application with certificate and key, in the folder `shop`.
fn app() -> App {
    let app = App::new("");
    let folder = app.path().join("shop");
    fs::create_dir_all(folder.join("tls")).unwrap();
    let text = "name = \"shop\"\n[http]\ntls = { certificate = \"tls/cert.pem\", key = \"tls/key.pem\" }\n[postgres.a]\n\
                init = \"a.sql\"\n[service.page]\nstatic = \"web\"\nroute = \"/\"\n[service.a]\ncomponent = \"a.wasm\"\n\
                postgres = \"a\"\n";
    let own = Authority::new().sign(&["localhost"]);
    for (path, text) in [
        ("wasm-host.toml", text),
        ("tls/cert.pem", &own.certificate),
        ("tls/key.pem", &own.key),
        ("a.sql", "select 1;\n"),
        ("a.wasm", ""),
    ] {
        fs::write(folder.join(path), text).unwrap();
    }
    fs::create_dir(folder.join("web")).unwrap();
    app
}

/// The files that a text in `folder` says are mounted: those of the sources that are paths.
fn sources(text: &str, folder: &Path) -> Vec<PathBuf> {
    let sources = text.lines().filter_map(|line| {
        let (key, value) = line.trim_start_matches(['-', ' ']).split_once(": ")?;
        let is_source = key.trim_matches('"') == "source";
        is_source.then(|| value.trim_matches(['"', ',']))
    });
    let files = sources.filter(|source| source.contains(['/', '.']));
    files.map(|source| folder.join(source).canonicalize().expect(source)).collect()
}

// Fault (Deployment): files for containers are written to another folder than that of the application | mounts certificate and key from where they are | nothing | nothing
#[tokio::test]
async fn certificate_and_key_are_found_from_wherever_the_file_is() {
    let app = app();
    let key = app.path().join("shop/tls/key.pem").canonicalize().unwrap();
    for output in ["compose.yaml", "out/deep/compose.yaml", "shop/compose.yaml"] {
        run(&app, &["deploy", "compose", "shop/wasm-host.toml", "--output", output]).await;
        let path = app.path().join(output);
        let found = sources(&fs::read_to_string(&path).unwrap(), path.parent().unwrap());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.contains(&key), "{output}: {found:?}");
    }
    run(&app, &["manifest", "shop/wasm-host.toml", "--output", "out/m"]).await;
    let folder = app.path().join("out/m");
    let found = sources(&fs::read_to_string(folder.join("manifest.json")).unwrap(), &folder);
    // The application file, the init script, the script for the role, certificate and key.
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(found.contains(&key), "{found:?}");
}
