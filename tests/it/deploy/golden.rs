//! What is written, to the letter: for the reference application, and for one with everything in it. With
//! `WASM_HOST_BLESS` set in the environment, what is written becomes what is expected.

use std::fs;
use std::path::Path;

use super::{files, rich, run};
use wasm_host_tests::host::{App, root};

const BLESS: &str = "WASM_HOST_BLESS";

/// Made by chance, once.
const MADE: &str = "secrets.env";

/// Compares all files below a folder with those that were written before.
#[track_caller]
fn check(name: &str, folder: &Path) {
    let mut text = String::new();
    for (path, content) in files(folder).into_iter().filter(|(path, _)| !path.ends_with(MADE)) {
        text.push_str(&format!("=== {path}\n{content}"));
        if !text.ends_with('\n') {
            text.push_str("\n(no end of line)\n");
        }
    }
    let golden = root().join("tests/it/deploy/golden").join(format!("{name}.txt"));
    if std::env::var_os(BLESS).is_some() {
        fs::write(&golden, &text).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    let differs = expected.lines().zip(text.lines()).find(|(expected, found)| expected != found);
    assert!(
        expected == text,
        "{name} is not as it was ({BLESS}=1 makes it so), first in {differs:?}, {} lines and {} before",
        text.lines().count(),
        expected.lines().count()
    );
}

/// Writes all forms of an application and compares them.
async fn all_forms(app: &App, file: &str, name: &str) {
    let forms: [(&str, &[&str]); 6] = [
        ("manifest", &["manifest", file, "--output", "manifest"]),
        ("kubernetes", &["deploy", "kubernetes", file, "--output", "kubernetes"]),
        ("helm", &["deploy", "helm", file, "--output", "helm"]),
        ("compose", &["deploy", "compose", file, "--output", "compose/compose.yaml"]),
        ("podman", &["deploy", "podman", file, "--output", "podman"]),
        ("systemd", &["deploy", "systemd", file, "--output", "systemd"]),
    ];
    for (form, arguments) in forms {
        run(app, arguments).await;
        // Passwords are made by chance.
        for made in ["compose/.env", "podman/values.secrets.yaml"] {
            let _ = fs::remove_file(app.path().join(made));
        }
        check(&format!("{name}-{form}"), &app.path().join(form));
    }
}

#[tokio::test]
async fn the_reference_application_is_written_as_it_was() {
    let app = App::new("");
    let file = root().join("wasm-host.toml");
    all_forms(&app, file.to_str().unwrap(), "reference").await;
}

#[tokio::test]
async fn an_application_with_everything_is_written_as_it_was() {
    all_forms(&rich(), "wasm-host.toml", "rich").await;
}

#[tokio::test]
async fn an_image_is_the_one_of_the_command() {
    let app = rich();
    let told = run(&app, &["manifest", "--image", "other.example/app@sha256:0123abcd"]).await;
    assert!(told.contains(r#""image": "other.example/app@sha256:0123abcd""#), "{told}");
    let ended = app.run(&["manifest", "--image", "no image"]).await;
    assert_eq!(ended.status.code(), Some(64));
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(told.contains("--image: 'no image' is not the reference of an image"), "{told}");
}
