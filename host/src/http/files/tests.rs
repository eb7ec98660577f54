use super::*;

use std::fs;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

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
    std::os::unix::fs::symlink(dir.path().join("outside.txt"), root.join("link.txt")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("outside.txt"), root.join("index.html.br")).unwrap();
    let files = Files::new("react", &root).unwrap();
    Folder { _dir: dir, files }
}

fn request(method: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri("/ignored");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

impl Folder {
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<WasiBody> {
        self.files.serve(&request("GET", headers), path).await.unwrap()
    }

    async fn refused(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Kind {
        self.files.serve(&request(method, headers), path).await.unwrap_err().kind
    }
}

async fn text(response: Response<WasiBody>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_file_has_a_type_a_tag_and_a_date() {
    let folder = folder();
    let response = folder.get("/index.html", &[]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/html");
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
    assert_eq!(text(response).await, "page");
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
    assert_eq!(text(folder.get("/chat/7", &page).await).await, "<h1>page</h1>");
    assert_eq!(folder.refused("GET", "/assets/gone.js", &page).await, Kind::NoFile);
    assert_eq!(folder.refused("GET", "/api/data", &[("accept", "*/*")]).await, Kind::NoFile);
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
    }
}

#[tokio::test]
async fn a_compressed_copy_that_lies_elsewhere_is_not_sent() {
    let response = folder().get("/index.html", &[("accept-encoding", "br")]).await;
    assert!(!response.headers().contains_key("content-encoding"));
    assert_eq!(text(response).await, "<h1>page</h1>");
}

#[test]
fn only_names_with_a_hash_are_kept_for_ever() {
    for hashed in ["index-Bx3kQ9aZ.js", "index-BwAR_dqj.css", "app-name-0123abcd.js"] {
        assert!(is_hashed(&Path::new("/x/assets").join(hashed)), "{hashed}");
    }
    for plain in ["apple-touch-icon.png", "index-deferred.js", "index.js", "Bx3kQ9aZ.js"] {
        assert!(!is_hashed(&Path::new("/x/assets").join(plain)), "{plain}");
    }
    assert!(!is_hashed(Path::new("/x/index-Bx3kQ9aZ.js")));
}

#[tokio::test]
async fn files_are_only_read() {
    let folder = folder();
    assert_eq!(folder.refused("POST", "/index.html", &[]).await, Kind::MethodNotAllowed);
    let head = folder.files.serve(&request("HEAD", &[]), "/index.html").await.unwrap();
    assert_eq!(head.headers()["content-length"], "13");
    assert_eq!(text(head).await, "");
}

#[tokio::test]
async fn the_host_answers_for_the_health_of_files() {
    let folder = folder();
    let page = [("accept", "text/html")];
    assert!(text(folder.get("/health", &page).await).await.contains("\"healthy\""));
    assert!(text(folder.get("/alive", &page).await).await.contains("\"healthy\""));
}

#[tokio::test(start_paused = true)]
async fn so_many_wait_for_their_file_and_more_are_told_at_once() {
    let folder = folder();
    let all = u32::try_from(limits::FILES).unwrap();
    let sent = folder.files.sent.clone().acquire_many_owned(all).await.unwrap();
    let begun = tokio::time::Instant::now();
    let request = request("GET", &[]);
    let mut requests: FuturesUnordered<_> =
        (0..=limits::FILES_QUEUE).map(|_| folder.files.serve(&request, "/")).collect();
    let first = requests.next().await.unwrap();
    assert_eq!((first.unwrap_err().kind, begun.elapsed()), (Kind::Busy, Duration::ZERO));
    drop(sent);
    while let Some(answer) = requests.next().await {
        assert_eq!(answer.unwrap().status(), 200);
    }
}
