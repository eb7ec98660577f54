use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::*;
use wasm_host_limits::http::FILE_KEPT_BYTES;
use wasm_host_service::admission::{Admission, Gate};

/// Requests that a folder here serves at once, and requests that wait.
const AT_ONCE: usize = 3;
const IN_LINE: usize = 4;

fn traffic() -> Traffic {
    let gate = Gate::new(AT_ONCE, 0);
    Traffic::new(Admission::new(AT_ONCE, IN_LINE, Duration::from_secs(10), gate))
}

struct Folder {
    _dir: tempfile::TempDir,
    files: Files,
}

fn folder() -> Folder {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("dist");
    fs::create_dir_all(root.join("assets")).unwrap();
    fs::write(root.join("index.html"), "<h1>page</h1>").unwrap();
    fs::write(root.join(".env"), "secret").unwrap();
    fs::write(root.join("assets/app-Bx3kQ9aZ.js"), "console.log(1)").unwrap();
    fs::write(root.join("assets/app-Bx3kQ9aZ.js.br"), "brotli").unwrap();
    fs::write(root.join("assets/app-Bx3kQ9aZ.js.gz"), "gzip").unwrap();
    fs::write(dir.path().join("outside.txt"), "outside").unwrap();
    symlink(dir.path().join("outside.txt"), root.join("link.txt")).unwrap();
    symlink(dir.path().join("outside.txt"), root.join("index.html.br")).unwrap();
    let files = Files::new("react", &root, traffic(), Arc::default()).unwrap();
    Folder { _dir: dir, files }
}

fn request(method: &str, headers: &[(&str, &str)]) -> Request<()> {
    request_at("/whatever/", method, headers)
}

fn request_at(path: &str, method: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

impl Folder {
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        self.files.serve(&request("GET", headers), path, None).await.unwrap()
    }

    async fn refused(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Kind {
        self.files.serve(&request(method, headers), path, None).await.unwrap_err().kind
    }
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_file_has_a_type_a_tag_and_a_date() {
    let folder = folder();
    let response = folder.get("/index.html", &[]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    assert!(response.headers().contains_key("last-modified"));
    let tag = response.headers()["etag"].to_str().unwrap().to_string();
    assert_eq!(text(response).await, "<h1>page</h1>");
    let again = folder.get("/", &[("if-none-match", &tag)]).await;
    assert_eq!(again.status(), 304);
}

#[tokio::test]
async fn a_range_is_a_part() {
    let response = folder().get("/index.html", &[("range", "bytes=4-7")]).await;
    assert_eq!(response.status(), 206);
    assert_eq!(response.headers()["content-range"], "bytes 4-7/13");
    assert_eq!(response.headers()["content-length"], "4");
    assert_eq!(text(response).await, "page");
}

#[tokio::test]
async fn a_range_of_what_has_changed_is_all_of_it() {
    let folder = folder();
    let tag = folder.get("/", &[]).await.headers()["etag"].to_str().unwrap().to_string();
    for (validator, status) in [(&*tag, 206), ("\"other\"", 200), (&format!("W/{tag}"), 200)] {
        let headers = [("range", "bytes=4-7"), ("if-range", validator)];
        assert_eq!(folder.get("/index.html", &headers).await.status(), status, "{validator}");
    }
}

#[tokio::test]
async fn ranges_that_nobody_understands_and_several_at_once_are_all_of_it() {
    let folder = folder();
    for range in ["lines=1-2", "bytes=0-1,3-4", "bytes=x"] {
        let response = folder.get("/index.html", &[("range", range)]).await;
        assert_eq!(response.status(), 200, "{range}");
        assert!(!response.headers().contains_key("content-range"));
        assert_eq!(text(response).await, "<h1>page</h1>");
    }
    let headers = request("HEAD", &[("range", "bytes=4-7")]);
    let head = folder.files.serve(&headers, "/index.html", None).await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], "13");
}

#[tokio::test]
async fn what_cannot_be_had_is_not_kept_for_ever() {
    let folder = folder();
    let path = "/assets/app-Bx3kQ9aZ.js";
    let beyond = folder.get(path, &[("range", "bytes=99-")]).await;
    assert_eq!(beyond.status(), 416);
    assert_eq!(beyond.headers()["content-range"], "bytes */14");
    let other = folder.get(path, &[("if-match", "\"other\"")]).await;
    assert_eq!(other.status(), 412);
    for response in [beyond, other] {
        assert_eq!(response.headers()["cache-control"], "no-cache");
        assert!(!response.headers().contains_key("content-encoding"));
    }
}

#[tokio::test]
async fn what_a_client_has_already_comes_with_all_that_keeps_it_alive() {
    let folder = folder();
    for (path, encoding) in [("/assets/app-Bx3kQ9aZ.js", "br"), ("/index.html", "identity")] {
        let whole = folder.get(path, &[("accept-encoding", encoding)]).await;
        let tag = whole.headers()["etag"].to_str().unwrap();
        let has = [("accept-encoding", encoding), ("if-none-match", tag)];
        let again = folder.get(path, &has).await;
        assert_eq!(again.status(), 304);
        for name in ["etag", "cache-control", "vary", "last-modified"] {
            assert_eq!(again.headers().get(name), whole.headers().get(name), "{path}: {name}");
        }
        assert!(!again.headers().contains_key("content-length"));
    }
    let copies = folder.get("/assets/app-Bx3kQ9aZ.js", &[]).await;
    assert_eq!(copies.headers()["vary"], "accept-encoding");
}

#[tokio::test]
async fn content_that_changes_has_another_tag_whatever_its_size_and_time() {
    let folder = folder();
    let path = folder.files.folder.join("index.html");
    let old = folder.get("/", &[]).await.headers()["etag"].clone();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "<h2>page</h2>").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let new = folder.get("/", &[("if-none-match", old.to_str().unwrap())]).await;
    assert_eq!(new.status(), 200);
    assert_ne!(new.headers()["etag"], old);
    assert_eq!(text(new).await, "<h2>page</h2>");
}

#[tokio::test]
async fn a_file_from_before_all_dates_is_served_without_one() {
    let folder = folder();
    let file = fs::File::options().write(true).open(folder.files.folder.join("index.html"));
    let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
    file.unwrap().set_modified(before).unwrap();
    let response = folder.get("/", &[("if-modified-since", "Sun, 06 Nov 1994 12:00:00 GMT")]).await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("last-modified"));
}

#[tokio::test]
async fn a_large_file_comes_whole_and_in_parts() {
    let folder = folder();
    let content: Vec<u8> = (0..2_500_000_u32).map(|at| (at % 251) as u8).collect();
    fs::write(folder.files.folder.join("large"), &content).unwrap();
    let whole = folder.get("/large", &[]).await.into_body().collect().await.unwrap().to_bytes();
    assert!(whole == content);
    let part = folder.get("/large", &[("range", "bytes=300000-900000")]).await;
    assert!(part.into_body().collect().await.unwrap().to_bytes() == content[300_000..=900_000]);
}

#[tokio::test]
async fn a_file_that_becomes_shorter_meanwhile_is_a_body_that_breaks() {
    let folder = folder();
    let path = folder.files.folder.join("large");
    fs::write(&path, vec![b'.'; 2_500_000]).unwrap();
    let response = folder.get("/large", &[]).await;
    fs::File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_hashed_name_is_kept_for_ever_and_sent_compressed() {
    let folder = folder();
    let path = "/assets/app-Bx3kQ9aZ.js";
    let brotli = folder.get(path, &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(brotli.headers()["content-encoding"], "br");
    assert_eq!(brotli.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(text(brotli).await, "brotli");
    assert_eq!(text(folder.get(path, &[("accept-encoding", "gzip")]).await).await, "gzip");
    assert_eq!(text(folder.get(path, &[]).await).await, "console.log(1)");
}

#[tokio::test]
async fn pages_of_the_application_fall_back_to_its_index_and_files_do_not() {
    let folder = folder();
    let page = [("accept", "text/html,*/*")];
    for path in ["/chat/7", "/user/john.doe", "/package/next.js", "/v1.2", "/assets/chat"] {
        let response = folder.get(path, &page).await;
        assert_eq!(response.headers()["vary"], "accept", "{path}");
        assert_eq!(text(response).await, "<h1>page</h1>", "{path}");
    }
    assert_eq!(folder.refused("GET", "/assets/gone.js", &page).await, Kind::NoFile);
    for path in ["/api/data", "/user/john.doe", "/gone.js"] {
        let refused = folder.refused("GET", path, &[("accept", "*/*")]).await;
        assert_eq!(refused, Kind::NoFile, "{path}");
    }
}

#[tokio::test]
async fn a_folder_without_its_slash_leads_to_the_one_with_it() {
    let folder = folder();
    fs::create_dir(folder.files.folder.join("a:b")).unwrap();
    fs::write(folder.files.folder.join("a:b/index.html"), "inside").unwrap();
    for (whole, path, location) in [
        ("/docs", "/", "./docs/"),
        ("/docs?x=1&y", "/", "./docs/?x=1&y"),
        ("/docs/a:b", "/a:b", "./a:b/"),
        ("/docs/a%3Ab", "/a%3Ab", "./a%3Ab/"),
        ("//a:b", "//a:b", "./a:b/"),
    ] {
        let response =
            folder.files.serve(&request_at(whole, "GET", &[]), path, None).await.unwrap();
        assert_eq!(response.status(), 301, "{whole}");
        assert_eq!(response.headers()["location"], location, "{whole}");
        assert_eq!(response.headers()["cache-control"], "no-cache");
    }
    let page =
        folder.files.serve(&request_at("/docs/a:b/", "GET", &[]), "/a:b/", None).await.unwrap();
    assert_eq!(text(page).await, "inside");
    // What has no page is no folder to look into, and the application's own pages have no slash.
    let page = [("accept", "text/html")];
    let response =
        folder.files.serve(&request_at("/docs/assets", "GET", &page), "/assets", None).await;
    assert_eq!(text(response.unwrap()).await, "<h1>page</h1>");
}

#[tokio::test]
async fn what_is_well_known_is_served_and_nothing_stands_in_for_it() {
    let folder = folder();
    let known = folder.files.folder.join(".well-known");
    fs::create_dir(&known).unwrap();
    fs::write(known.join("security.txt"), "Contact: us").unwrap();
    fs::write(known.join(".env"), "secret").unwrap();
    assert_eq!(text(folder.get("/.well-known/security.txt", &[]).await).await, "Contact: us");
    let page = [("accept", "text/html")];
    for path in ["/.well-known/gone", "/.well-known/gone.txt", "/.well-known/", "/.well-known/.env"]
    {
        assert_eq!(folder.refused("GET", path, &page).await, Kind::NoFile, "{path}");
    }
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_followed_wherever_it_leads_by_then() {
    let dir = tempfile::tempdir().unwrap();
    for version in ["one", "two"] {
        fs::create_dir(dir.path().join(version)).unwrap();
        fs::write(dir.path().join(version).join("index.html"), version).unwrap();
    }
    let link = dir.path().join("current");
    symlink("one", &link).unwrap();
    let files = Files::new("pages", &link, traffic(), Arc::default()).unwrap();
    let page = async || text(files.serve(&request("GET", &[]), "/", None).await.unwrap()).await;
    assert_eq!(page().await, "one");
    // As deployments do it: another link takes its name.
    symlink("two", dir.path().join("next")).unwrap();
    fs::rename(dir.path().join("next"), &link).unwrap();
    assert_eq!(page().await, "two");
    // What the one before it leads to is outside now.
    symlink("../one/index.html", dir.path().join("two/before")).unwrap();
    let refused = files.serve(&request("GET", &[]), "/before", None).await.unwrap_err().kind;
    assert_eq!(refused, Kind::NoFile);
    fs::remove_file(&link).unwrap();
    let refused = files.serve(&request("GET", &[]), "/", None).await.unwrap_err().kind;
    assert_eq!(refused, Kind::NoFile);
}

#[tokio::test]
async fn nothing_outside_the_folder_is_served() {
    let folder = folder();
    for path in [
        "/../outside.txt",
        "/assets/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/..%5coutside.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/link.txt",
        "/.env",
        "/%00",
        "/%zz",
    ] {
        assert_eq!(folder.refused("GET", path, &[]).await, Kind::NoFile, "{path}");
        // Nor does a page stand in for what is not to be named, as it does for what is not there.
        if !["/link.txt", "//etc/passwd"].contains(&path) {
            let page = [("accept", "text/html")];
            assert_eq!(folder.refused("GET", path, &page).await, Kind::NoFile, "{path}");
        }
    }
}

#[tokio::test]
async fn a_compressed_copy_that_lies_elsewhere_is_not_sent() {
    let response = folder().get("/index.html", &[("accept-encoding", "br")]).await;
    assert!(!response.headers().contains_key("content-encoding"));
    assert_eq!(text(response).await, "<h1>page</h1>");
}

#[tokio::test]
async fn files_are_only_read() {
    let folder = folder();
    assert_eq!(folder.refused("POST", "/index.html", &[]).await, Kind::MethodNotAllowed);
    let head = folder.files.serve(&request("HEAD", &[]), "/index.html", None).await.unwrap();
    assert_eq!(head.headers()["content-length"], "13");
    assert_eq!(text(head).await, "");
}

#[tokio::test]
async fn the_host_answers_for_the_health_of_files_and_a_browser_sees_the_page() {
    let folder = folder();
    for path in ["/health", "/alive"] {
        for headers in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
            let health = text(folder.get(path, headers).await).await;
            assert!(health.contains("\"healthy\""), "{path} {headers:?}: {health}");
        }
        let page = [("accept", "text/html,*/*;q=0.8")];
        assert_eq!(text(folder.get(path, &page).await).await, "<h1>page</h1>", "{path}");
    }
    // Without a page there is nothing else to see.
    fs::remove_file(folder.files.folder.join("index.html")).unwrap();
    let health = text(folder.get("/health", &[("accept", "text/html")]).await).await;
    assert!(health.contains("\"healthy\""), "{health}");
}

#[tokio::test(start_paused = true)]
async fn so_many_wait_for_their_file_and_more_are_told_at_once() {
    let folder = folder();
    let mut sent = Vec::new();
    for _ in 0..AT_ONCE {
        sent.push(folder.files.traffic().admit("react", false).await.unwrap());
    }
    let begun = tokio::time::Instant::now();
    let request = request("GET", &[]);
    let mut requests: FuturesUnordered<_> =
        (0..=IN_LINE).map(|_| folder.files.serve(&request, "/", None)).collect();
    let first = requests.next().await.unwrap();
    assert_eq!((first.unwrap_err().kind, begun.elapsed()), (Kind::Busy, Duration::ZERO));
    drop(sent);
    while let Some(answer) = requests.next().await {
        assert_eq!(answer.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn requests_are_counted_by_how_they_end() {
    let folder = folder();
    let traffic = folder.files.traffic().clone();
    let counts = || (traffic.in_flight(), traffic.served(), traffic.cut(), traffic.cancelled());
    for path in ["/", "/no-such-file.js"] {
        drop(folder.files.serve(&request("HEAD", &[]), path, None).await);
    }
    assert_eq!(counts(), (0, 2, 0, 0));
    let page = folder.get("/", &[]).await;
    assert_eq!(counts(), (1, 2, 0, 0));
    text(page).await;
    assert_eq!(counts(), (0, 3, 0, 0));
    drop(folder.get("/", &[]).await);
    assert_eq!(counts(), (0, 3, 0, 1));
    // Not one that is read at once.
    fs::write(folder.files.folder.join("short.txt"), vec![b'.'; FILE_KEPT_BYTES + 1]).unwrap();
    let short = folder.get("/short.txt", &[]).await;
    fs::write(folder.files.folder.join("short.txt"), "").unwrap();
    short.into_body().collect().await.unwrap_err();
    assert_eq!(counts(), (0, 3, 1, 1));
    fs::write(folder.files.folder.join("empty.txt"), "").unwrap();
    text(folder.get("/empty.txt", &[]).await).await;
    assert_eq!(counts(), (0, 4, 1, 1));
}
