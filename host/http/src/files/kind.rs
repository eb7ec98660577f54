//! The type of a file, by its name. Pure.

use std::path::Path;

use http::HeaderValue;

/// Sources of TypeScript. The tables of types know these ends from video recorders.
const TYPESCRIPT: [&str; 4] = ["ts", "mts", "cts", "tsx"];

pub(crate) fn of(file: &Path) -> HeaderValue {
    let extension = file.extension().and_then(|extension| extension.to_str());
    let is_typescript = extension.is_some_and(|extension| {
        TYPESCRIPT.iter().any(|known| extension.eq_ignore_ascii_case(known))
    });
    if is_typescript {
        return HeaderValue::from_static("text/typescript; charset=utf-8");
    }
    let kind = mime_guess::from_path(file).first_raw();
    let Some(kind) = kind else { return HeaderValue::from_static("application/octet-stream") };
    match kind {
        // Most of a page.
        "text/html" => HeaderValue::from_static("text/html; charset=utf-8"),
        "text/css" => HeaderValue::from_static("text/css; charset=utf-8"),
        "text/javascript" => HeaderValue::from_static("text/javascript; charset=utf-8"),
        _ if is_text(kind) => HeaderValue::from_str(&format!("{kind}; charset=utf-8"))
            .unwrap_or_else(|_| HeaderValue::from_static(kind)),
        _ => HeaderValue::from_static(kind),
    }
}

/// Whether it is read as characters: without a word about them, browsers guess by the country.
fn is_text(kind: &str) -> bool {
    let (class, name) = kind.split_once('/').unwrap_or((kind, ""));
    let last = name.rsplit('+').next().unwrap_or_default();
    class == "text" || matches!(last, "javascript" | "json" | "xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_their_characters_and_ts_is_no_video() {
        for (file, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "application/javascript; charset=utf-8"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.webmanifest", "application/manifest+json; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.xml", "text/xml; charset=utf-8"),
            ("a.ts", "text/typescript; charset=utf-8"),
            ("a.d.TS", "text/typescript; charset=utf-8"),
            ("a.mts", "text/typescript; charset=utf-8"),
            ("a.tsx", "text/typescript; charset=utf-8"),
            ("a.png", "image/png"),
            ("a.wasm", "application/wasm"),
            ("a.woff2", "font/woff2"),
            ("a.mp4", "video/mp4"),
            ("a", "application/octet-stream"),
            ("a.nothing", "application/octet-stream"),
        ] {
            assert_eq!(of(Path::new(file)), expected, "{file}");
        }
    }
}
