//! The dashboard's cookies, which browsers send to all ports of an address: no service is handed one or sets one.

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

/// How the names of the cookies of the control plane begin, whatever application it is of.
pub const PREFIX: &str = "wasm-host-";

/// What browsers ask of a cookie that is for TLS alone.
pub const SECURE_PREFIX: &str = "__Host-";

/// Remove the cookies of this host, and of others at this address, from a request. What is beside them stays as it is.
pub fn withhold(headers: &mut HeaderMap) {
    let is_shown = |line: &HeaderValue| pairs(line).any(is_own);
    if !headers.get_all(COOKIE).iter().any(is_shown) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(COOKIE).iter().filter_map(others).collect();
    headers.remove(COOKIE);
    for line in lines {
        headers.append(COOKIE, line);
    }
}

/// Remove what would set or end such a cookie from an answer.
pub fn refuse(headers: &mut HeaderMap) {
    if !headers.get_all(SET_COOKIE).iter().any(|line| is_own(line.as_bytes())) {
        return;
    }
    let lines = headers.get_all(SET_COOKIE).iter();
    let lines: Vec<HeaderValue> = lines.filter(|line| !is_own(line.as_bytes())).cloned().collect();
    headers.remove(SET_COOKIE);
    for line in lines {
        headers.append(SET_COOKIE, line);
    }
}

fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b';')
}

/// Whether a pair, or a line that begins with one, has a name of the control plane. One without a name comes back from
/// browsers as its value alone, and would look like a pair then.
fn is_own(pair: &[u8]) -> bool {
    let start = pair.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'=')).unwrap_or(0);
    let name = pair.get(start..).unwrap_or_default();
    let name = name.strip_prefix(SECURE_PREFIX.as_bytes()).unwrap_or(name);
    name.starts_with(PREFIX.as_bytes())
}

/// A line without those pairs; none if nothing is left.
fn others(line: &HeaderValue) -> Option<HeaderValue> {
    let kept: Vec<&[u8]> = pairs(line).filter(|pair| !is_own(pair)).collect();
    let kept = kept.join(&b';');
    let mut others = HeaderValue::from_bytes(kept.trim_ascii()).ok()?;
    others.set_sensitive(line.is_sensitive());
    (!others.is_empty()).then_some(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(strip: fn(&mut HeaderMap), name: http::HeaderName, lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, HeaderValue::from_str(line).unwrap());
        }
        headers.insert("x-other", HeaderValue::from_static("stays"));
        strip(&mut headers);
        assert_eq!(headers["x-other"], "stays");
        headers.get_all(name).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_service_is_handed_all_cookies_but_those_of_the_control_plane() {
        let left = |lines: &[&str]| left(withhold, COOKIE, lines);
        for (sent, kept) in [
            ("theme=dark;  a=b=c", Some("theme=dark;  a=b=c")),
            ("wasm-host-0a1b2c3d=17-ab", None),
            ("__Host-wasm-host-0a1b2c3d=17-ab", None),
            ("a=1; wasm-host-0a1b2c3d=17-ab; b=\"x y\"", Some("a=1; b=\"x y\"")),
            ("wasm-host-0a1b2c3d=17-ab; a=1", Some("a=1")),
            ("a=1;wasm-host-0a=1;__Host-wasm-host-0a=2", Some("a=1")),
            ("a=wasm-host-0a", Some("a=wasm-host-0a")),
            ("x-wasm-host-0a=1; wasm-hosted=2", Some("x-wasm-host-0a=1; wasm-hosted=2")),
            ("=wasm-host-0a=1; wasm-host-0a", None),
        ] {
            assert_eq!(left(&[sent]), kept.into_iter().collect::<Vec<_>>(), "{sent}");
        }
        assert_eq!(left(&["a=1", "wasm-host-0a=1", "b=2; wasm-host-0a=1"]), ["a=1", "b=2"]);
        assert!(left(&[]).is_empty());
    }

    #[test]
    fn bytes_that_are_no_text_hide_no_cookie() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(b"a=\xff; wasm-host-0a=1").unwrap());
        withhold(&mut headers);
        assert_eq!(headers[COOKIE].as_bytes(), b"a=\xff");
    }

    #[test]
    fn a_service_sets_no_cookie_of_the_control_plane() {
        let left = |lines: &[&str]| left(refuse, SET_COOKIE, lines);
        let lines = [
            "theme=wasm-host-dark; Path=/",
            "wasm-host-0a1b2c3d=; Max-Age=0; Path=/",
            "__Host-wasm-host-0a1b2c3d=17-ab; Secure; Path=/",
            "=wasm-host-0a1b2c3d=17-ab",
            " wasm-host-0a1b2c3d=17-ab",
            "session=1; Path=/; HttpOnly",
        ];
        assert_eq!(left(&lines), [lines[0], lines[5]]);
    }
}
