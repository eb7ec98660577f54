use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use http::{Request, Response};
use http_body_util::BodyExt as _;

use super::*;
use crate::files::Files;
use wasm_host_capabilities::body::Body;
use wasm_host_service::admission::{Admission, Gate};
use wasm_host_service::failure::{Failure, Kind};
use wasm_host_service::traffic::Traffic;

/// Looks at a file after which it is said not to be kept. One look may fail: the system may have forgotten a name that it
/// would have to read again.
const LOOKS: usize = 200;

const SCRIPT: &str = "/assets/app.js";

struct Site {
    _dir: tempfile::TempDir,
    folder: PathBuf,
    kept: Arc<KeptFiles>,
    files: Files,
}

/// A folder whose files may be kept as soon as they are written.
fn site() -> Site {
    site_with(KeptFiles::new(limits::FILES_KEPT_BYTES, Duration::ZERO))
}

fn site_with(kept: KeptFiles) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dist");
    fs::create_dir_all(folder.join("assets")).unwrap();
    for (name, content) in [
        ("index.html", "<h1>page</h1>"),
        ("assets/app.js", "console.log(1)"),
        ("assets/app.js.br", "brotli"),
        ("assets/app.js.gz", "gzip"),
    ] {
        fs::write(folder.join(name), content).unwrap();
    }
    fs::write(dir.path().join("outside.js"), "outside").unwrap();
    let traffic = Traffic::new(Admission::new(8, 0, Duration::from_secs(10), Gate::new(8, 0)));
    let kept = Arc::new(kept);
    let files = Files::new("site", &folder, traffic, kept.clone()).unwrap();
    Site { _dir: dir, folder, kept, files }
}

fn request(path: &str, method: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// A request that says which copy it takes.
fn taking(path: &str, coding: &str) -> Request<()> {
    request(path, "GET", &[("accept-encoding", coding)])
}

impl Site {
    async fn ask(&self, request: &Request<()>) -> Result<Response<Body>, Failure> {
        self.files.serve(request, request.uri().path(), None).await
    }

    async fn text(&self, request: &Request<()>) -> String {
        text(self.ask(request).await.unwrap()).await
    }

    /// The answer from memory, if there is one now.
    async fn look(&self, request: &Request<()>) -> Option<Response<Body>> {
        let relative = crate::files::relative(request.uri().path()).unwrap();
        self.files.find_in_memory(request, &relative, &mut None).await.unwrap()
    }

    /// The answer from memory, once it is there.
    async fn remembered(&self, request: &Request<()>) -> Option<Response<Body>> {
        for _ in 0..LOOKS {
            self.ask(request).await.unwrap();
            if let Some(answer) = self.look(request).await {
                return Some(answer);
            }
        }
        None
    }

    async fn is_remembered(&self, request: &Request<()>) -> bool {
        self.remembered(request).await.is_some()
    }

    fn bytes(&self) -> usize {
        self.kept.kept.lock().bytes
    }

    fn count(&self) -> usize {
        self.kept.kept.lock().folders.iter().map(HashMap::len).sum()
    }
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Write until the system gives another time for it: it counts in steps.
fn write_later(path: &Path, content: &str) {
    let changed = |metadata: &fs::Metadata| (metadata.ctime(), metadata.ctime_nsec());
    let before = changed(&fs::metadata(path).unwrap());
    while changed(&fs::metadata(path).unwrap()) == before {
        fs::write(path, content).unwrap();
    }
}

#[tokio::test]
async fn an_answer_from_memory_is_the_one_from_the_disk() {
    let site = site();
    let tag = site.ask(&taking(SCRIPT, "br")).await.unwrap().headers()["etag"].clone();
    let tag = tag.to_str().unwrap();
    let date =
        site.ask(&request("/", "GET", &[])).await.unwrap().headers()["last-modified"].clone();
    let date = date.to_str().unwrap();
    for asked in [
        request("/", "GET", &[]),
        request("/index.html", "GET", &[]),
        request("/", "HEAD", &[]),
        request("/", "GET", &[("if-modified-since", date)]),
        request("/", "GET", &[("if-match", "\"other\"")]),
        request("/", "GET", &[("range", "bytes=4-7")]),
        request("/", "GET", &[("range", "bytes=-1")]),
        request("/", "GET", &[("range", "bytes=99-")]),
        request("/", "GET", &[("range", "bytes=0-1,3-4")]),
        taking(SCRIPT, "br"),
        taking(SCRIPT, "gzip"),
        taking(SCRIPT, "identity"),
        request(SCRIPT, "HEAD", &[("accept-encoding", "gzip")]),
        request(SCRIPT, "GET", &[("accept-encoding", "br"), ("if-none-match", tag)]),
        request(
            SCRIPT,
            "GET",
            &[("accept-encoding", "br"), ("range", "bytes=1-2"), ("if-range", tag)],
        ),
    ] {
        site.files.kept.forget(&crate::files::relative(asked.uri().path()).unwrap());
        let from_disk = site.ask(&asked).await.unwrap();
        let from_memory = site.remembered(&asked).await.unwrap();
        assert_eq!(from_disk.status(), from_memory.status(), "{asked:?}");
        assert_eq!(from_disk.headers(), from_memory.headers(), "{asked:?}");
        assert_eq!(text(from_disk).await, text(from_memory).await, "{asked:?}");
    }
}

#[tokio::test]
async fn what_has_just_been_written_is_not_kept_as_it_may_be_written_again_unseen() {
    let site = site_with(KeptFiles::default());
    let (page, path) = (request("/", "GET", &[]), site.folder.join("index.html"));
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(site.text(&page).await, "<h1>page</h1>");
    assert_eq!(site.count(), 0);
    fs::write(&path, "<h2>page</h2>").unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(site.text(&page).await, "<h2>page</h2>");
}

#[tokio::test]
async fn whatever_becomes_of_a_file_its_answer_is_never_an_old_one() {
    let site = site();
    let (asked, path) = (taking(SCRIPT, "identity"), site.folder.join("assets/app.js"));
    assert!(site.is_remembered(&asked).await);
    // As long as before, in the same second perhaps, and with the same time.
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    write_later(&path, "console.log(2)");
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(site.text(&asked).await, "console.log(2)");

    assert!(site.is_remembered(&asked).await);
    let other = site.folder.join("other.js");
    fs::write(&other, "console.log(3)").unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(site.text(&asked).await, "console.log(3)");

    assert!(site.is_remembered(&asked).await);
    write_later(&path, "console.log(3);console.log(4)");
    assert_eq!(site.text(&asked).await, "console.log(3);console.log(4)");

    assert!(site.is_remembered(&asked).await);
    fs::remove_file(&path).unwrap();
    assert_eq!(site.ask(&asked).await.unwrap_err().kind, Kind::NoFile);

    fs::write(&path, "console.log(5)").unwrap();
    assert!(site.is_remembered(&asked).await);
    fs::remove_file(&path).unwrap();
    symlink(site.folder.join("../outside.js"), &path).unwrap();
    assert_eq!(site.ask(&asked).await.unwrap_err().kind, Kind::NoFile);
}

#[tokio::test]
async fn a_folder_that_leads_elsewhere_takes_what_is_kept_of_it_along() {
    let site = site();
    let asked = taking(SCRIPT, "identity");
    assert!(site.is_remembered(&asked).await);
    // The very same file, which is outside of the folder by then.
    fs::rename(site.folder.join("assets"), site.folder.join("../assets")).unwrap();
    symlink("../assets", site.folder.join("assets")).unwrap();
    assert_eq!(site.ask(&asked).await.unwrap_err().kind, Kind::NoFile);
}

#[tokio::test]
async fn copies_are_kept_apart_and_those_that_come_and_go_are_noticed() {
    let site = site();
    let (brotli, gzip) =
        (site.folder.join("assets/app.js.br"), site.folder.join("assets/app.js.gz"));
    for (coding, content) in [("br", "brotli"), ("gzip", "gzip"), ("identity", "console.log(1)")] {
        let answer = site.remembered(&taking(SCRIPT, coding)).await.unwrap();
        assert_eq!(text(answer).await, content);
    }
    assert_eq!(site.count(), 1);
    let any = taking(SCRIPT, "gzip, br");
    assert!(site.is_remembered(&any).await);
    write_later(&brotli, "other.");
    assert_eq!(site.text(&any).await, "other.");

    assert!(site.is_remembered(&any).await);
    fs::remove_file(&brotli).unwrap();
    assert_eq!(site.text(&any).await, "gzip");

    let plain = taking(SCRIPT, "identity");
    assert!(site.is_remembered(&plain).await);
    fs::remove_file(&gzip).unwrap();
    assert!(!site.ask(&plain).await.unwrap().headers().contains_key("vary"));

    assert!(site.is_remembered(&any).await);
    fs::write(&gzip, "again").unwrap();
    assert_eq!(site.text(&any).await, "again");

    // A copy of nothing is nothing.
    assert!(site.is_remembered(&any).await);
    fs::remove_file(site.folder.join("assets/app.js")).unwrap();
    assert_eq!(site.ask(&any).await.unwrap_err().kind, Kind::NoFile);
}

#[tokio::test]
async fn a_file_is_kept_under_its_own_name_and_that_of_its_folder() {
    let site = site();
    symlink("index.html", site.folder.join("link.html")).unwrap();
    for path in ["//index.html", "/%69ndex.html", "/index.html", "/"] {
        assert!(site.is_remembered(&request(path, "GET", &[])).await, "{path}");
    }
    assert_eq!(site.count(), 2);
    for path in ["/assets//app.js", "/link.html"] {
        let asked = request(path, "GET", &[]);
        site.ask(&asked).await.unwrap();
        assert!(site.look(&asked).await.is_none(), "{path}");
    }
    // It stands in for what is not there, which may be there the next time.
    let page = request("/chat", "GET", &[("accept", "text/html")]);
    assert_eq!(site.text(&page).await, "<h1>page</h1>");
    assert_eq!(site.count(), 2);
    let refused = site.ask(&request("/index.html/", "GET", &[])).await.unwrap_err().kind;
    assert_eq!(refused, Kind::NoFile);
    // A folder without its slash leads to the one with it, also when its page is kept.
    let guide = site.folder.join("guide");
    fs::create_dir(&guide).unwrap();
    fs::write(guide.join("index.html"), "guide").unwrap();
    assert!(site.is_remembered(&request("/guide/", "GET", &[])).await);
    assert_eq!(site.ask(&request("/guide", "GET", &[])).await.unwrap().status(), 301);
    // The same of the whole folder, of whose route nothing is left.
    let whole = site.files.serve(&request("/docs", "GET", &[]), "/", None).await.unwrap();
    assert_eq!(whole.status(), 301);
}

#[tokio::test]
async fn what_is_kept_has_a_bound_and_so_has_a_file_that_is() {
    const MOST: usize = 20_000;
    let site = site_with(KeptFiles::new(MOST, Duration::ZERO));
    for at in 0..50 {
        fs::write(site.folder.join(format!("{at}.js")), vec![b'x'; 1000]).unwrap();
        assert!(site.is_remembered(&request(&format!("/{at}.js"), "GET", &[])).await, "{at}");
        assert!(site.bytes() <= MOST, "{}", site.bytes());
        let at_least = site.count() * (1000 + limits::FILE_KEPT_OWN_BYTES);
        assert!(at_least <= site.bytes(), "{} {}", site.count(), site.bytes());
    }
    // Larger than all the room, or than one file may be.
    for bytes in [MOST, limits::FILE_KEPT_BYTES + 1] {
        fs::write(site.folder.join("large.js"), vec![b'x'; bytes]).unwrap();
        let before = site.count();
        let asked = request("/large.js", "GET", &[]);
        assert_eq!(site.text(&asked).await.len(), bytes);
        assert!(site.look(&asked).await.is_none(), "{bytes}");
        assert_eq!(site.count(), before);
    }
    // What has gone gives its room back.
    for at in 0..50 {
        fs::remove_file(site.folder.join(format!("{at}.js"))).unwrap();
        site.ask(&request(&format!("/{at}.js"), "GET", &[])).await.unwrap_err();
    }
    assert_eq!((site.count(), site.bytes()), (0, 0));
}

#[tokio::test]
async fn a_request_from_memory_is_counted_and_has_a_place() {
    let site = site();
    let asked = request("/", "GET", &[]);
    assert!(site.is_remembered(&asked).await);
    let traffic = site.files.traffic().clone();
    let (served, cancelled) = (traffic.served(), traffic.cancelled());
    let mut answers = Vec::new();
    for _ in 0..8 {
        answers.push(site.ask(&asked).await.unwrap());
    }
    assert_eq!(traffic.in_flight(), 8);
    assert_eq!(site.ask(&asked).await.unwrap_err().kind, Kind::Busy);
    drop(answers.pop());
    for answer in answers {
        text(answer).await;
    }
    assert_eq!(traffic.in_flight(), 0);
    assert_eq!((traffic.served(), traffic.cancelled()), (served + 7, cancelled + 1));
}

#[test]
fn only_what_is_on_this_machine_is_kept() {
    let nfs = FsWord::from(0x6969_u32);
    let fuse = FsWord::from(0x6573_5546_u32);
    assert!(!is_known_local(nfs) && !is_known_local(fuse));
    assert!(is_known_local(FsWord::from(0xEF53_u32)));
}
