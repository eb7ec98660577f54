//! Who asks, and over what.

use std::fs;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use wasm_host_tests::registry::{PASSWORD, USER, skopeo};
use wasm_host_tests::tls::{Authority, Secure};
use wasm_host_tests::upstream::{Step, Upstream, json};

use super::*;

/// A file of credentials as Docker writes it. `password` in base64, with the user.
fn login(app: App, address: &str, auth: &str) -> App {
    let text = format!(r#"{{"auths": {{"{address}": {{"auth": "{auth}"}}}}}}"#);
    fs::write(app.path().join("config.json"), text).unwrap();
    let folder = app.path().to_str().unwrap().to_owned();
    app.env("REGISTRY_AUTH_FILE", "").env("XDG_RUNTIME_DIR", "").env("DOCKER_CONFIG", &folder)
}

/// `anna:s3cret` and `anna:wrong`.
const RIGHT: &str = "YW5uYTpzM2NyZXQ=";
const WRONG: &str = "YW5uYTp3cm9uZw==";

// Fault (Registries): credentials that are wrong, or missing | does not start, with how to log in | - | nothing
#[tokio::test]
async fn a_registry_lets_in_who_is_logged_in() {
    let registry = Registry::with_login().await;
    let address = &registry.address;
    let nobody = app(address, "1");
    let file = component("version-one");
    let reference = format!("{address}/{REPOSITORY}:1");
    let arguments = ["push", &reference, file.to_str().unwrap(), "--plain-http"];
    let refused_push = told(&nobody.run(&arguments).await, Some(1));
    let unknown = format!(
        "the registry {address} lets nobody unknown at {address}/{REPOSITORY} ('authentication required'); log in with `docker \
         login {address}`"
    );
    assert!(refused_push.contains(&unknown), "{refused_push}");
    let wrong = login(app(address, "1"), address, WRONG);
    let refused_push = told(&wrong.run(&arguments).await, Some(1));
    let refuses =
        format!("the registry {address} refuses the credentials for {address}/{REPOSITORY}");
    assert!(refused_push.contains(&refuses), "{refused_push}");

    let right = login(app(address, "1"), address, RIGHT);
    push(&right, address, "one", "1").await;
    assert!(told(&right.run(&["check"]).await, Some(0)).contains("ok, 1 service"));
    assert!(refused(&nobody).await.contains(&unknown));
    let refused = refused(&wrong).await;
    assert!(refused.contains(&refuses) && !refused.contains(WRONG), "{refused}");

    // The application file may have them, from the environment.
    let keys = format!("username = \"{USER}\"\npassword = \"${{PASSWORD}}\"\n");
    let own = app_with(address, "1", &keys).env("PASSWORD", PASSWORD);
    assert!(told(&own.run(&["check"]).await, Some(0)).contains("ok, 1 service"));
}

#[tokio::test]
async fn a_credential_helper_is_asked() {
    let registry = Registry::with_login().await;
    let address = &registry.address;
    let app = login(app(address, "1"), address, RIGHT);
    push(&app, address, "one", "1").await;
    let answer = format!(r#"{{"ServerURL":"x","Username":"{USER}","Secret":"{PASSWORD}"}}"#);
    helper(&app, &format!("[ \"$1\" = get ] && [ \"$(cat)\" = {address} ] && echo '{answer}'"));
    let text =
        format!(r#"{{"auths": {{"{address}": {{}}}}, "credHelpers": {{"{address}": "test"}}}}"#);
    fs::write(app.path().join("config.json"), text).unwrap();
    let path = format!("{}:{}", app.path().display(), std::env::var("PATH").unwrap());
    let app = app.env("PATH", &path);
    assert!(told(&app.run(&["check"]).await, Some(0)).contains("ok, 1 service"));
    helper(&app, "echo the keychain is locked; exit 1");
    fs::remove_dir_all(app.path().join(".wasm-host")).unwrap();
    let refused = refused(&app).await;
    let expected = format!(
        "the credential helper docker-credential-test: it says 'the keychain is locked'; try `echo {address} | \
         docker-credential-test get`"
    );
    assert!(refused.contains(&expected), "{refused}");
}

/// A credential helper named `test`, in the application's folder. Another process writes it: a program that this one has
/// open to write, which a process that is being started has as well for a moment, cannot be run.
fn helper(app: &App, script: &str) {
    let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > docker-credential-test && chmod 755 docker-credential-test";
    let mut shell = Command::new("sh");
    shell.args(["-c", write, "sh", script]).current_dir(app.path());
    assert!(shell.status().unwrap().success());
}

/// As the public registries do it: another server gives a token for one purpose, to clients that log in there.
#[tokio::test]
async fn a_token_is_asked_for_where_a_registry_wants_one() {
    let (registry, digest, _) = stocked().await;
    let image = format!("docker://{}/{REPOSITORY}:1", registry.address);
    let manifest = skopeo(&["inspect", "--tls-verify=false", "--raw", &image]).await;
    let blob = fs::read(component("version-one")).unwrap();
    let address = Arc::new(OnceLock::<String>::new());
    let server = Upstream::start({
        let address = address.clone();
        move |request| {
            let (head, request) = (request.to_ascii_lowercase(), request.to_owned());
            let has = |line: &str| head.contains(&format!("\r\n{}", line.to_ascii_lowercase()));
            let answer = |status: &str, headers: &str, body: &[u8]| {
                let head =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
                vec![Step::Send([head.as_bytes(), body].concat())]
            };
            let scope = "scope=repository%3Ashop%2Fapp%3Apull&service=test";
            if request.starts_with(&format!("GET /token?{scope} ")) {
                return match has(&format!("authorization: Basic {RIGHT}\r\n")) {
                    true => answer("200 OK", "", br#"{"token":"t0ken","expires_in":60}"#),
                    false => answer("401 Unauthorized", "", b""),
                };
            }
            if !has("authorization: Bearer t0ken\r\n") {
                let realm = format!("http://{}/token", address.get().unwrap());
                let wanted =
                    format!("www-authenticate: Bearer realm=\"{realm}\",service=\"test\"\r\n");
                return answer("401 Unauthorized", &wanted, b"");
            }
            match request.split('/').nth(4).unwrap_or_default() {
                "manifests" => answer("200 OK", "", manifest.as_bytes()),
                _ => answer("200 OK", "", &blob),
            }
        }
    })
    .await;
    let own = server.url.strip_prefix("http://").unwrap().to_owned();
    address.set(own.clone()).unwrap();
    let right = login(app(&own, "1"), &own, RIGHT);
    let checked = told(&right.run(&["check"]).await, Some(0));
    assert!(
        checked.contains("ok, 1 service") && pinned(right.path()).contains(&digest),
        "{checked}"
    );
    let wrong = login(app(&own, "1"), &own, WRONG);
    let refused = refused(&wrong).await;
    assert!(refused.contains(&format!("the registry {own} refuses the credentials")), "{refused}");
}

// Fault (Registries): a registry in clear text that was not asked for | refuses it, with the line that asks for it | - | nothing
#[tokio::test]
async fn clear_text_is_spoken_only_where_it_was_asked_for() {
    let (registry, ..) = stocked().await;
    let address = &registry.address;
    let app = app(address, "1");
    rewrite(&app, "plain-http = true", "plain-http = false");
    let expected = format!(
        "the registry {address} speaks HTTP without encryption; if it is meant to, write plain-http = true below \
         [registry.\"{address}\"] in the application file\n"
    );
    let refused = refused(&app).await;
    assert!(refused.contains(&expected), "{refused}");
    // These read no application file.
    let file = component("version-one");
    let reference = format!("oci://{address}/{REPOSITORY}:1");
    let expected =
        "speaks HTTP without encryption; if it is meant to, give --plain-http\n".to_owned();
    for command in [
        &["push", &reference, file.to_str().unwrap()][..],
        &["pull", &reference],
        &["inspect", &reference],
    ] {
        let refused = told(&app.run(command).await, Some(1));
        assert!(refused.contains(&expected), "{command:?}: {refused}");
    }
}

#[tokio::test]
async fn a_registry_with_an_authority_of_ones_own_is_trusted_when_it_is_named() {
    let authority = Authority::new();
    let registry = Registry::with_tls(&authority.sign(&["127.0.0.1"])).await;
    let address = &registry.address;
    let app = app_with(address, "1", "ca = \"ca.pem\"\n");
    fs::write(app.path().join("ca.pem"), &authority.pem).unwrap();
    rewrite(&app, "plain-http = true", "plain-http = false");
    let refused_first = refused(&app).await;
    assert!(refused_first.contains("('manifest unknown')"), "{refused_first}");
    rewrite(&app, "ca = \"ca.pem\"", "");
    let refused = refused(&app).await;
    let expected = format!("the registry {address} cannot be trusted: ");
    assert!(refused.contains(&expected), "{refused}");
    assert!(
        refused.contains(&format!("name it with ca = \"FILE.pem\" below [registry.\"{address}\"]")),
        "{refused}"
    );
    // Commands that read no application file have an option for it.
    let file = component("version-one");
    let reference = format!("oci://{address}/{REPOSITORY}:2");
    let commands: [&[&str]; 3] = [
        &["push", &reference, file.to_str().unwrap()],
        &["pull", &reference, "-o", "back.wasm"],
        &["inspect", &reference],
    ];
    for command in commands {
        let refused = told(&app.run(command).await, Some(1));
        assert!(refused.contains("name it with --ca FILE.pem\n"), "{command:?}: {refused}");
        told(&app.run(&[command, &["--ca", "ca.pem"]].concat()).await, Some(0));
    }
    let wrong =
        told(&app.run(&[commands[2], &["--ca", "wasm-host.toml"]].concat()).await, Some(64));
    assert!(wrong.contains("error: --ca wasm-host.toml: "), "{wrong}");
}

// Fault (Registries): a registry that sends the host on to a place in clear text | does not follow, and sends no credentials there | - | nothing
#[tokio::test]
async fn nothing_leads_from_an_encrypted_registry_to_clear_text() {
    let authority = Authority::new();
    let elsewhere = Upstream::start(|_| vec![Step::Send(json("200 OK", "{}"))]).await;
    for (answer, expected) in [
        (
            format!("307 Temporary Redirect\r\nlocation: {}/stolen", elsewhere.url),
            "is not followed: it sends on to a place without encryption",
        ),
        (
            format!("401 x\r\nwww-authenticate: Bearer realm=\"{}/token\"", elsewhere.url),
            "wants credentials sent without encryption, to '127.0.0.1'; ",
        ),
    ] {
        let script = move |_: &str| {
            let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            vec![Step::Send(text.into_bytes())]
        };
        let behind = Upstream::start(script).await;
        let secure = Secure::start(&authority.sign(&["127.0.0.1"]), &behind.url).await;
        let app = app_with(&secure.address, "1", "ca = \"ca.pem\"\n");
        let app = login(app, &secure.address, RIGHT);
        fs::write(app.path().join("ca.pem"), &authority.pem).unwrap();
        rewrite(&app, "plain-http = true", "plain-http = false");
        let refused = refused(&app).await;
        assert!(refused.contains(expected), "{refused}");
        assert!(secure.handshakes() > 0);
    }
    // Nor does an upload go there.
    let location = elsewhere.url.clone();
    let behind = Upstream::start(move |request| {
        let answer = match request.starts_with("POST ") {
            true => format!("202 Accepted\r\nlocation: {location}/upload"),
            false => "404 Not Found".to_owned(),
        };
        vec![Step::Send(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").into_bytes())]
    })
    .await;
    let secure = Secure::start(&authority.sign(&["127.0.0.1"]), &behind.url).await;
    let app = app(&secure.address, "1");
    fs::write(app.path().join("ca.pem"), &authority.pem).unwrap();
    let (reference, file) = (format!("{}/x:1", secure.address), component("version-one"));
    let push = ["push", &reference, file.to_str().unwrap(), "--ca", "ca.pem"];
    let refused = told(&app.run(&push).await, Some(1));
    let expected =
        "wants the upload sent without encryption, to '127.0.0.1'; if a proxy speaks TLS for it";
    assert!(refused.contains(expected), "{refused}");
    assert!(elsewhere.requests().is_empty(), "{:?}", elsewhere.requests());
}

// Fault (Registries): a registry that sends the host on to another server, which asks for credentials | gives it none | - | nothing
#[tokio::test]
async fn credentials_are_for_the_registry_and_not_for_where_it_sends_on_to() {
    // It names itself as the server of tokens.
    let elsewhere = Upstream::start(|head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let answer = format!(
            "HTTP/1.1 401 x\r\nwww-authenticate: Bearer realm=\"http://{host}/token\"\r\n\
             www-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\n\r\n"
        );
        vec![Step::Send(answer.into_bytes())]
    })
    .await;
    let location = format!("{}/blob", elsewhere.url);
    let registry = Upstream::start(move |_| {
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
        );
        vec![Step::Send(answer.into_bytes())]
    })
    .await;
    let address = registry.url.trim_start_matches("http://").to_owned();
    let app = login(app_with(&address, "1", ""), &address, RIGHT);
    let refused = refused(&app).await;
    assert!(refused.contains(&address), "{refused}");
    let asked = elsewhere.requests();
    assert!(asked.iter().any(|request| request.contains("/blob")), "{asked:?}");
    for request in asked {
        assert!(!request.contains("/token"), "{request}");
        assert!(!request.to_lowercase().contains("authorization"), "{request}");
    }
}
