use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use flate2::read::GzDecoder;

use super::*;

fn named(what: What, written: &str) -> Named {
    Named { what, written: written.to_owned(), line: 3, column: 1 }
}

/// An application with one thing of every kind, in a new folder.
fn folder(mode: u32, tick: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(tick);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    };
    let names =
        ["web/index.html", "web/assets/app.js", "web/.well-known/x", "web/.env", "web/a/b/c"];
    // In another order, which is another one on disk, too.
    let names: Vec<_> =
        if tick.is_multiple_of(2) { names.into() } else { names.into_iter().rev().collect() };
    names.into_iter().for_each(|name| put(name, name));
    put("target/components/weather.wasm", "weather");
    put("components/weather/src/lib.rs", "source");
    put("parts/one.wasm", "one");
    put("sql/init.sql", "select 1");
    put("tls/key.pem", "s3cret");
    put("web/key.pem", "s3cret, too");
    symlink("assets/app.js", folder.path().join("web/link.js")).unwrap();
    symlink("/etc/passwd", folder.path().join("web/passwd")).unwrap();
    symlink("../../assets", folder.path().join("web/a/b/assets")).unwrap();
    folder
}

fn all() -> Vec<Named> {
    vec![
        named(What::Component, "./parts/../parts/one.wasm"),
        named(What::Crate, "weather"),
        named(What::Folder, "web"),
        named(What::Script, "sql/init.sql"),
        named(What::PrivateKey, "tls/key.pem"),
        named(What::SecretFile, "web/key.pem"),
        named(What::SecretFile, "/run/secrets/db"),
        named(What::Certificate, "/etc/tls/cert.pem"),
        named(What::Variable, "TOKEN"),
        named(What::Variable, "TOKEN"),
    ]
}

fn application<'a>(folder: &'a Path, named: &'a [Named]) -> Application<'a> {
    Application {
        file: "wasm-host.toml",
        text: "name = \"x\"\n",
        folder,
        named,
        state_dir: Path::new("/nonexistent"),
        pins: Some(b"pins".to_vec()),
        brought_along: vec![("1.wasm".to_owned(), b"of a registry".to_vec())],
    }
}

/// Path, mode, owner, and content or target of each entry.
fn entries(draft: &Draft) -> Vec<(String, u32, u64, String)> {
    let layer = draft.build().unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(&layer.bytes[..]));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let header = entry.header().clone();
        assert_eq!(header.mtime().unwrap(), 0);
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        if let Some(link) = entry.link_name().unwrap() {
            text = format!("-> {}", link.display());
        }
        (path, header.mode().unwrap(), header.uid().unwrap(), text)
    });
    entries.collect()
}

fn paths(draft: &Draft) -> Vec<String> {
    entries(draft).into_iter().map(|(path, ..)| path).collect()
}

#[test]
fn what_the_file_names_is_there_at_the_same_paths_and_secrets_are_not() {
    let folder = folder(0o600, 2);
    let named = all();
    let packed = application(folder.path(), &named).pack().unwrap();
    assert_eq!(
        paths(&packed.application),
        [
            "app",
            "app/components",
            "app/components/weather",
            "app/parts",
            "app/parts/one.wasm",
            "app/sql",
            "app/sql/init.sql",
            "app/target",
            "app/target/components",
            "app/target/components/registry",
            "app/target/components/registry/1.wasm",
            "app/target/components/weather.wasm",
            "app/wasm-host.lock",
            "app/wasm-host.toml",
        ]
    );
    let files = entries(&packed.files);
    let find = |path: &str| files.iter().find(|entry| entry.0 == path).cloned();
    let js = ("app/web/assets/app.js".to_owned(), 0o644, 0, "web/assets/app.js".to_owned());
    assert_eq!(find("app/web/assets/app.js"), Some(js));
    assert!(find("app/web/.well-known/x").is_some());
    assert_eq!(find("app/web/link.js").unwrap().3, "-> assets/app.js");
    assert_eq!(find("app/web/a/b/assets").unwrap().3, "-> ../../assets");
    assert_eq!(find("app/web").unwrap().1, 0o755);
    for left_out in ["app/web/.env", "app/web/passwd", "app/web/key.pem"] {
        assert_eq!(find(left_out), None);
    }
    for draft in [&packed.application, &packed.files] {
        assert!(!entries(draft).iter().any(|entry| entry.3.contains("s3cret")));
    }
    let outside: Vec<_> = packed.outside.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        outside,
        ["/etc/tls/cert.pem", "/app/tls/key.pem", "/app/web/key.pem", "/run/secrets/db", "TOKEN"]
    );
}

#[test]
fn the_same_files_are_the_same_layers_wherever_they_lie_and_whoever_may_read_them() {
    let digests = |mode, tick| {
        let folder = folder(mode, tick);
        let named = all();
        let packed = application(folder.path(), &named).pack().unwrap();
        let layers = [packed.application.build().unwrap(), packed.files.build().unwrap()];
        layers.map(|layer| (layer.descriptor.digest, layer.diff_id))
    };
    assert_eq!(digests(0o600, 2), digests(0o755, 1_700_000_001));
}

#[test]
fn all_that_cannot_be_in_an_image_is_told_at_once() {
    let folder = folder(0o644, 2);
    let named = [
        named(What::Script, "/etc/hostname"),
        named(What::Authorities, "../ca.pem"),
        named(What::Crate, "unbuilt"),
        named(What::Folder, "nowhere"),
        named(What::PublicKey, "web"),
        named(What::PrivateKey, "tls/key.pem"),
        named(What::Certificate, "tls/key.pem"),
    ];
    let wrong = application(folder.path(), &named).pack().unwrap_err();
    let told: Vec<_> = wrong.iter().map(ToString::to_string).collect();
    let told = told.join("\n");
    assert_eq!(wrong.len(), 6, "{told}");
    for (count, part) in [
        (2, "is not below the folder of the application file"),
        (1, "'target/components/unbuilt.wasm' cannot be read"),
        (1, "cargo xtask guests"),
        (1, "nowhere cannot be read"),
        (1, "'web' is not a file"),
        (1, "'tls/key.pem' is a secret elsewhere in the file"),
    ] {
        assert_eq!(told.matches(part).count(), count, "{part}: {told}");
    }
    assert!(told.contains("wasm-host.toml:3:1"), "{told}");
}
