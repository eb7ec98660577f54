//! A folder of files as browsers, proxies and download managers find it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use wasm_host_tests::client::{self, Reply};
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};

/// A site below `/docs`, and the same one at `/`.
struct Site {
    host: Host,
    folder: PathBuf,
}

const BROWSER: (&str, &str) =
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

async fn site() -> Site {
    let app = App::new(
        "name = \"site\"\n[service.docs]\nstatic = \"site\"\n[service.pages]\nstatic = \"site\"\nroute = \"/\"\n",
    );
    let folder = app.path().join("site");
    for sub in ["assets", "guide", ".well-known"] {
        fs::create_dir_all(folder.join(sub)).unwrap();
    }
    for (name, content) in [
        ("index.html", "<h1>page</h1>"),
        ("guide/index.html", "<a href=\"next.html\">next</a>"),
        ("guide/next.html", "next"),
        ("assets/app-Bx3kQ9aZ.js", "console.log(1)"),
        ("assets/app-Bx3kQ9aZ.js.br", "brotli"),
        ("main.ts", "const n: number = 1"),
        ("logo.svg", "<svg/>"),
        ("photo.png", "png"),
        (".env", "secret"),
        (".well-known/security.txt", "Contact: us"),
    ] {
        fs::write(folder.join(name), content).unwrap();
    }
    Site { host: app.serve().await, folder }
}

impl Site {
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        client::send(&self.host.address, "GET", path, headers, "").await
    }

    async fn page(&self, path: &str) -> Reply {
        self.get(path, &[BROWSER]).await
    }
}

// Fault (The machine): a file that changes during a download in parts | sends all of the new one | 200 instead of 206 | nothing
#[tokio::test]
async fn a_download_goes_on_only_where_it_is_still_the_same_file() {
    let site = site().await;
    let tag = site.get("/index.html", &[]).await.header("etag").to_string();
    let part = [("range", "bytes=4-7"), ("if-range", &tag)];
    let same = site.get("/index.html", &part).await;
    assert_eq!((same.status.as_u16(), same.text()), (206, "page"));
    assert_eq!(same.header("content-range"), "bytes 4-7/13");
    fs::write(site.folder.join("index.html"), "<h2>book</h2>").unwrap();
    let other = site.get("/index.html", &part).await;
    assert_eq!((other.status.as_u16(), other.text()), (200, "<h2>book</h2>"));
    assert_eq!(other.header("content-range"), "");
}

#[tokio::test]
async fn ranges_of_unknown_units_and_several_at_once_are_the_whole_file() {
    let site = site().await;
    for range in ["lines=1-2", "bytes=0-1,4-5", "bytes=0-1, -2"] {
        let reply = site.get("/index.html", &[("range", range)]).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "<h1>page</h1>"), "{range}");
    }
    let beyond = site.get("/index.html", &[("range", "bytes=13-")]).await;
    assert_eq!((beyond.status.as_u16(), beyond.header("content-range")), (416, "bytes */13"));
    let head = [("range", "bytes=4-7")];
    let head = client::send(&site.host.address, "HEAD", "/index.html", &head, "").await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, "13"));
}

#[tokio::test]
async fn an_answer_that_nothing_has_changed_has_what_the_whole_one_would() {
    let site = site().await;
    let path = "/assets/app-Bx3kQ9aZ.js";
    for coding in ["br", "identity"] {
        let whole = site.get(path, &[("accept-encoding", coding)]).await;
        assert_eq!(whole.status, 200);
        assert_eq!(whole.header("vary"), "accept-encoding");
        let has = [("accept-encoding", coding), ("if-none-match", whole.header("etag"))];
        let again = site.get(path, &has).await;
        assert_eq!((again.status.as_u16(), again.text()), (304, ""));
        for name in ["etag", "vary", "cache-control", "last-modified"] {
            assert!(!again.header(name).is_empty(), "{name}");
            assert_eq!(again.header(name), whole.header(name), "{name}");
        }
    }
}

#[tokio::test]
async fn content_of_the_same_size_and_time_is_seen_to_be_new() {
    let site = site().await;
    let path = site.folder.join("index.html");
    let tag = site.get("/", &[]).await.header("etag").to_string();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    // In place, and by a rename over it.
    for (name, content) in [("index.html", "<h2>page</h2>"), ("next", "<h3>page</h3>")] {
        fs::write(site.folder.join(name), content).unwrap();
        let file = File::options().write(true).open(site.folder.join(name)).unwrap();
        file.set_modified(time).unwrap();
        if name == "next" {
            fs::rename(site.folder.join(name), &path).unwrap();
        }
        let reply = site.get("/", &[("if-none-match", &tag)]).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, content));
        assert_ne!(reply.header("etag"), tag);
    }
}

#[tokio::test]
async fn texts_say_their_characters_and_typescript_is_no_video() {
    let site = site().await;
    for (path, expected) in [
        ("/", "text/html; charset=utf-8"),
        ("/assets/app-Bx3kQ9aZ.js", "text/javascript; charset=utf-8"),
        ("/logo.svg", "image/svg+xml; charset=utf-8"),
        ("/main.ts", "text/typescript; charset=utf-8"),
        ("/photo.png", "image/png"),
    ] {
        assert_eq!(site.get(path, &[]).await.header("content-type"), expected, "{path}");
    }
}

#[tokio::test]
async fn links_beside_a_page_work_for_whoever_forgets_the_last_slash() {
    let site = site().await;
    for (path, location, inside) in [
        ("/docs", "./docs/", "/docs/"),
        ("/docs?x=1", "./docs/?x=1", "/docs/?x=1"),
        ("/docs/guide", "./guide/", "/docs/guide/"),
        ("/guide", "./guide/", "/guide/"),
    ] {
        let reply = site.page(path).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (301, location), "{path}");
        assert_eq!(site.page(inside).await.status, 200, "{inside}");
    }
    assert_eq!(site.get("/docs/guide/next.html", &[]).await.text(), "next");
}

#[tokio::test]
async fn the_address_that_is_printed_is_the_page() {
    let site = site().await;
    site.host.logs("\ndocs ").await;
    let log = site.host.log();
    let line = log.lines().find(|line| line.starts_with("docs ")).expect("a row of the table");
    let address = line.split_whitespace().last().unwrap();
    let path = address.strip_prefix(&format!("http://{}", site.host.address)).unwrap();
    assert_eq!(path, "/docs/");
    assert_eq!(site.page(path).await.text(), "<h1>page</h1>");
}

#[tokio::test]
async fn a_deep_link_is_the_page_and_a_missing_file_is_not_there() {
    let site = site().await;
    for path in ["/user/john.doe", "/chat/7", "/docs/package/next.js"] {
        let page = site.page(path).await;
        assert_eq!((page.status.as_u16(), page.text()), (200, "<h1>page</h1>"), "{path}");
        assert_eq!(page.header("vary"), "accept");
        assert_eq!(site.get(path, &[("accept", "*/*")]).await.status, 404, "{path}");
    }
    // Who opens a script whose folder is there gets no page, either.
    assert_eq!(site.page("/assets/gone.js").await.status, 404);
    assert_eq!(site.get("/gone.css", &[("accept", "text/css,*/*;q=0.1")]).await.status, 404);
}

#[tokio::test]
async fn what_is_well_known_is_served_when_it_is_there_and_never_the_page() {
    let site = site().await;
    assert_eq!(site.page("/.well-known/security.txt").await.text(), "Contact: us");
    for path in ["/.well-known/change-password", "/.well-known/gone.txt", "/.env", "/.git/config"] {
        assert_eq!(site.page(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn health_is_the_page_s_in_a_browser_and_the_host_s_for_a_probe() {
    let site = site().await;
    assert_eq!(site.page("/docs/health").await.text(), "<h1>page</h1>");
    let probe = site.get("/docs/health", &[]).await.json();
    assert_eq!((&probe["status"], &probe["service"]), (&"healthy".into(), &"docs".into()));
}

// Fault (The machine): a static folder that is led elsewhere, or replaced | serves what is there by then | its answer | nothing
#[tokio::test]
async fn a_folder_that_is_a_link_may_be_led_elsewhere_while_it_is_served() {
    let app = App::new("name = \"site\"\n[service.pages]\nstatic = \"current\"\nroute = \"/\"\n");
    let folder = app.path().to_path_buf();
    for version in ["one", "two"] {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("index.html"), version).unwrap();
    }
    symlink("one", folder.join("current")).unwrap();
    // Nothing by way of a link inside it, though.
    symlink(folder.join("one/index.html"), folder.join("two/before.html")).unwrap();
    let host = app.serve().await;
    assert_eq!(host.get("/").await.text(), "one");
    symlink("two", folder.join("next")).unwrap();
    fs::rename(folder.join("next"), folder.join("current")).unwrap();
    assert_eq!(host.get("/").await.text(), "two");
    assert_eq!(host.get("/before.html").await.status, 404);
    fs::remove_dir_all(folder.join("one")).unwrap();
    assert_eq!(host.get("/").await.text(), "two");
}

#[tokio::test]
async fn files_are_only_read_and_who_tries_more_is_told_how() {
    let site = site().await;
    for method in ["POST", "PUT", "DELETE"] {
        let reply = client::send(&site.host.address, method, "/index.html", &[], "").await;
        assert_eq!((reply.status.as_u16(), reply.header("allow")), (405, "GET, HEAD"), "{method}");
    }
}

#[tokio::test]
async fn a_file_that_breaks_off_is_told_in_the_log_with_its_service() {
    let site = site().await;
    let file = File::create(site.folder.join("large.bin")).unwrap();
    file.set_len(64_000_000).unwrap();
    let mut answer = client::open(&site.host.address, "GET", "/docs/large.bin", &[], "").await;
    assert!(answer.next().await.unwrap().is_some());
    file.set_len(1000).unwrap();
    assert!(answer.rest().await.is_err());
    site.host.logs("a file broke off while it was sent").await;
    let log = site.host.log();
    assert!(log.contains("service=docs"), "{log}");
}

// Fault (The machine): more requests for files than a static service may have at once | sends as many, and tells the rest to come back | 503 with `Retry-After` | nothing
#[tokio::test]
async fn a_static_service_has_so_many_requests_at_once_and_counts_them() {
    let app = App::new(
        "name = \"site\"\n[service.pages]\nstatic = \"site\"\nroute = \"/\"\nconcurrent = 1\nqueue = 0\n",
    );
    let folder = app.path().join("site");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("small.txt"), "small").unwrap();
    // More than all buffers on its way hold, so that it ends only when it is read.
    File::create(folder.join("large.bin")).unwrap().set_len(64 * 1024 * 1024).unwrap();
    let host = app.serve().await;
    let counts = async || {
        let service = host.service("pages").await;
        ["in_flight", "served", "failed", "cancelled"].map(|key| service[key].as_u64().unwrap())
    };
    assert_eq!(host.get("/small.txt").await.text(), "small");
    assert_eq!(host.get("/none.txt").await.status, 404);
    eventually("both to be counted", async || (counts().await == [0, 2, 0, 0]).then_some(())).await;
    let mut read = client::open(&host.address, "GET", "/large.bin", &[], "").await;
    assert_eq!(counts().await, [1, 2, 0, 0]);
    let busy = host.get("/small.txt").await;
    assert_eq!((busy.status.as_u16(), busy.header("retry-after")), (503, "1"));
    assert!(busy.text().contains("The service pages is busy"), "{}", busy.text());
    read.rest().await.unwrap();
    eventually("the place to be free", async || (counts().await[0] == 0).then_some(())).await;
    assert_eq!(counts().await, [0, 3, 0, 0]);
    drop(client::open(&host.address, "GET", "/large.bin", &[], "").await);
    eventually("the departure", async || (counts().await == [0, 3, 0, 1]).then_some(())).await;
}
