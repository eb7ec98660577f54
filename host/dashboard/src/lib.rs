//! The files of the dashboard's page, in the program itself: no other process and no folder is needed to serve it.
//!
//! Knows no HTTP. `build.rs` takes what npm has built.

/// One file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Below the page's folder, such as `assets/index-1a2b.js`.
    pub path: &'static str,
    pub bytes: &'static [u8],
    /// The same, packed.
    pub gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The page of a program that was built without its dashboard.
static WITHOUT: Asset = Asset {
    path: "index.html",
    bytes: b"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>wasm-host</title>\
        <p>This wasm-host was built without its dashboard. <code>cargo xtask build</code> builds both.",
    gzip: None,
};

/// The file at a path; the page itself is at the empty one.
pub fn find(path: &str) -> Option<&'static Asset> {
    let path = if path.is_empty() { "index.html" } else { path };
    let found = FILES.iter().find(|asset| asset.path == path);
    found.or_else(|| (path == WITHOUT.path).then_some(&WITHOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_and_nothing_outside_its_folder() {
        assert_eq!(find("").unwrap().path, "index.html");
        for path in ["../Cargo.toml", "/etc/passwd", "assets", "index.html.gz", "nothing.js"] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
