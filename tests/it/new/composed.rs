//! A service with a middleware and with what serves an import of it, made as `docs/composition.md` shows it: the files are
//! those of the page.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{BUILD, empty, good, keep};
use wasm_host_tests::client;
use wasm_host_tests::host::{Host, root};

/// What the page has between two lines of three backticks, in order.
fn blocks(page: &str) -> Vec<&str> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| Some(block.split_once('\n')?.1)).collect()
}

/// The block that begins so, without that line.
fn block<'p>(blocks: &[&'p str], begins: &str) -> &'p str {
    let mut found = blocks.iter().filter_map(|block| block.strip_prefix(begins));
    let block = found.next();
    assert!(block.is_some(), "the page has no block that begins with {begins}");
    block.unwrap()
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}: {text}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

async fn priced(host: &Host, key: &str) -> (u16, String) {
    let reply = client::send(&host.address, "GET", "/tea", &[("authorization", key)], "").await;
    (reply.status.as_u16(), reply.text().to_owned())
}

#[tokio::test]
async fn a_service_is_made_with_its_parts_as_the_page_says() {
    let page = fs::read_to_string(root().join("docs/composition.md")).unwrap();
    let blocks = blocks(&page);
    let app = empty();
    good(&app, &["new", "shop", "--lang", "rust"]).await;
    let folder = app.path().join("shop");
    let _held = keep("new/rust", &folder);
    let service = folder.join("services/shop");
    for (comment, path) in [
        ("#", "auth/Cargo.toml"),
        ("#", "prices/Cargo.toml"),
        ("//", "prices/src/lib.rs"),
        ("//", "src/lib.rs"),
    ] {
        let text = block(&blocks, &format!("{comment} services/shop/{path}\n"));
        fs::create_dir_all(service.join(path).parent().unwrap()).unwrap();
        fs::write(service.join(path), text).unwrap();
    }
    fs::create_dir(service.join("auth/src")).unwrap();
    let middleware = blocks.iter().find(|block| block.contains("middleware::next(")).unwrap();
    fs::write(service.join("auth/src/lib.rs"), middleware).unwrap();
    let manifest = service.join("Cargo.toml");
    edit(&manifest, "[dependencies]\n", "[dependencies]\nwit-bindgen = \"0.61\"\n");
    edit(&manifest, "[workspace]\n", &format!("[workspace]\n{}", block(&blocks, "[workspace]\n")));
    let file = folder.join("wasm-host.toml");
    let parts = block(&blocks, "middleware = [\"target/");
    edit(&file, "route = ", &format!("middleware = [\"target/{parts}route = "));
    edit(&file, "\"build\", ", "\"build\", \"--workspace\", ");
    let app = app.before("cd shop");
    let release = folder.join("target/wasm32-wasip2/release");
    for part in ["auth", "prices"] {
        // Of an earlier run: what is not there yet is for the build to make.
        let _ = fs::remove_file(release.join(format!("{part}.wasm")));
    }
    let said = good(&app, &["build"]).await;
    assert!(said.contains("release/auth.wasm") && said.contains("release/prices.wasm"), "{said}");
    good(&app, &["check"]).await;
    let host = app.serve_with(&["wasm-host.toml", "--watch"]).await;
    let refused = host.get("/tea").await;
    assert_eq!(refused.status, 401, "{}", host.log());
    let priced_at = |price: &str| (200, format!("tea costs {price}\n"));
    assert_eq!(priced(&host, "me").await, priced_at("300"), "{}", host.log());
    // A part is built by the build of its service, and takes its place alone.
    edit(&service.join("prices/src/lib.rs"), "100 *", "200 *");
    let serves = async {
        while priced(&host, "me").await != priced_at("600") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let served = tokio::time::timeout(BUILD, serves).await;
    assert!(served.is_ok(), "{}", host.log());
    assert_eq!(host.get("/tea").await.status, 401);
    let history = good(&app, &["history", "shop", "--format", "json"]).await;
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let history = history.as_array().unwrap();
    let digest = |record: &serde_json::Value, name: &str| {
        let mut parts = record["parts"].as_array().unwrap().iter();
        parts.find(|part| part["name"] == name).unwrap()["digest"].clone()
    };
    let (first, last) = (history.first().unwrap(), history.last().unwrap());
    assert_ne!(digest(first, "prices"), digest(last, "prices"));
    assert_eq!(digest(first, "auth"), digest(last, "auth"));
}
