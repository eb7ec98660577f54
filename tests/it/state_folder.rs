//! What the host finds in its state folder is checked before it is believed, and is never somebody else's.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use wasm_host_tests::host::App;

const ONE: &str = r#"
name = "state"

[service.hello]
component = "$(hello-p3)"
route = "/"
"#;

/// The compiled code of the only component.
fn code(state: &Path) -> PathBuf {
    let mut entries = fs::read_dir(state.join("code")).unwrap();
    entries.next().unwrap().unwrap().path()
}

// Fault (The machine): compiled code that is damaged on disk, by a bit or more | notices it, tells it, compiles again | its answer | nothing
#[tokio::test]
async fn compiled_code_that_was_damaged_is_made_anew_and_told() {
    let app = App::new(ONE);
    let host = app.serve().await;
    let state = host.state();
    host.stop().await;
    let whole = fs::read(code(&state)).unwrap();
    for part in [10, 3, 2] {
        let mut damaged = whole.clone();
        damaged[whole.len() / part] ^= 1;
        fs::write(code(&state), damaged).unwrap();
        let host = app.serve().await;
        assert_eq!(host.get("/").await.status, 200);
        let (_, log) = host.stop().await;
        assert!(log.contains("is of no use and is made anew"), "{log}");
    }
    let (_, log) = app.serve().await.stop().await;
    assert!(!log.contains("made anew"), "{log}");
}

// Fault (The machine): compiled code that is cut short while it runs | goes on with its copy in memory | its answer | nothing
#[tokio::test]
async fn compiled_code_that_is_cut_short_while_it_runs_harms_nobody() {
    let app = App::new(ONE);
    app.serve().await.stop().await;
    let host = app.serve().await;
    fs::File::options().write(true).open(code(&host.state())).unwrap().set_len(0).unwrap();
    for path in ["/", "/other"] {
        assert_eq!(host.get(path).await.status, 200);
    }
    assert_eq!(host.stop().await.0.code(), Some(0));
}

/// Start a host that must not start, and give what it says.
async fn refused(app: &App) -> String {
    let free = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let output = app.run(&[&["serve"][..], &free[..]].concat()).await;
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

// Fault (The machine): a state folder that others may write to | does not start, and names what to do | - | nothing
#[tokio::test]
async fn a_state_folder_that_others_may_write_to_is_refused() {
    let app = App::new(ONE);
    let state = app.path().join(".wasm-host");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let told = refused(&app).await;
    assert!(told.contains("others may write to the folder"), "{told}");
    assert!(told.contains("chmod go-w"), "{told}");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
}

// Fault (The machine): links in the state folder | does not follow them, names them | - | nothing
#[tokio::test]
async fn links_in_the_state_folder_are_not_followed() {
    let app = App::new(ONE);
    let state = app.path().join(".wasm-host");
    let (precious, folder) = (app.path().join("precious"), app.path().join("folder"));
    fs::write(&precious, "kept").unwrap();
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&state).unwrap();

    symlink(&precious, state.join("host.lock")).unwrap();
    let told = refused(&app).await;
    assert!(told.contains("host.lock"), "{told}");
    assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");

    fs::remove_file(state.join("host.lock")).unwrap();
    symlink(&folder, state.join("versions")).unwrap();
    let told = refused(&app).await;
    assert!(told.contains("versions is a link"), "{told}");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o755);
}
