//! The small grammars, each with what it takes and what it refuses.

use super::super::route;
use super::*;
use wasm_host_settings::diagnostic::nearest;

#[test]
fn durations() {
    for (text, milliseconds) in
        [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("0s", 0)]
    {
        assert_eq!(value::duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        assert_eq!(value::show_duration(Duration::from_millis(milliseconds)), text);
    }
    assert_eq!(value::show_duration(Duration::from_micros(1250)), "1250us");
    for text in [
        "",
        "5",
        "s",
        "-5s",
        "1.5s",
        "5 s",
        "5S",
        "1h30m",
        "99999999999999999999s",
        "18446744073709551615h",
    ] {
        assert!(value::duration(text).is_err(), "{text}");
    }
}

#[test]
fn sizes() {
    for (text, bytes) in [
        ("0", 0),
        ("1000", 1000),
        ("64KiB", 65_536),
        ("256MiB", 268_435_456),
        ("2GiB", 2_147_483_648),
    ] {
        assert_eq!(value::size(text), Ok(bytes), "{text}");
        assert_eq!(value::show_size(bytes), text);
    }
    for text in ["", "KiB", "-1", "1.5MiB", "64kib", "1TiB", "64 KiB", "18446744073709551615KiB"] {
        assert!(value::size(text).is_err(), "{text}");
    }
    assert_eq!(value::size("64kb").unwrap_err().hint.as_deref(), Some("did you mean '64KiB'?"));
}

#[test]
fn addresses_to_listen_on() {
    for (text, host, port) in [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("[::]:80", "::", 80),
        ("localhost:1", "localhost", 1),
        ("my-host.example:65535", "my-host.example", 65535),
    ] {
        let listen = value::listen(text).unwrap();
        assert_eq!((listen.host.as_str(), listen.port), (host, port), "{text}");
        assert_eq!(listen.to_string(), text);
    }
    for text in [
        "",
        ":",
        "8080",
        ":8080",
        "localhost",
        "127.0.0.1",
        "a:65536",
        "::1:80",
        "http://a:1",
        "a b:1",
        "1.2.3:4",
        "256.0.0.1:1",
    ] {
        assert!(value::listen(text).is_err(), "{text}");
    }
}

#[test]
fn two_listeners_collide_when_they_cannot_both_be_bound() {
    let listen = |text: &str| value::listen(text).unwrap();
    for (one, other, collide) in [
        ("127.0.0.1:1", "127.0.0.1:1", true),
        ("127.0.0.1:1", "localhost:1", true),
        ("0.0.0.0:1", "10.0.0.1:1", true),
        ("10.0.0.2:1", "10.0.0.1:1", false),
        ("127.0.0.1:1", "127.0.0.1:2", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
    ] {
        assert_eq!(listen(one).collides_with(&listen(other)), collide, "{one} {other}");
        assert_eq!(listen(other).collides_with(&listen(one)), collide, "{other} {one}");
    }
}

#[test]
fn names() {
    let longest = "a".repeat(63);
    for name in ["a", "api-2", longest.as_str()] {
        assert_eq!(value::name(name), Ok(()), "{name}");
    }
    let too_long = "a".repeat(64);
    for name in ["", "2a", "-a", "A", "a_b", "a.b", "ä", "localhost", too_long.as_str()] {
        assert!(value::name(name).is_err(), "{name}");
    }
}

#[test]
fn routes() {
    for (text, spelled) in [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/b", "/a/b"),
        ("/%61", "/a"),
        ("/%c3%a4", "/%C3%A4"),
        ("/a%2fb", "/a%2Fb"),
        ("/a..b/.c", "/a..b/.c"),
        ("/~a:b@c;d=1,2'(3)", "/~a:b@c;d=1,2'(3)"),
    ] {
        assert_eq!(route::normalised(text).as_deref(), Ok(spelled), "{text}");
    }
    for text in [
        "",
        "a",
        "/a/",
        "//",
        "/a//b",
        "/..",
        "/a/../b",
        "/.",
        "/%2e%2e/a",
        "/%2E",
        "/a?b",
        "/a#b",
        "/ä",
        "/a b",
        "/a\\b",
        "/%",
        "/%4",
        "/%zz",
        "/%ä1",
        "/\n",
    ] {
        assert!(route::normalised(text).is_err(), "{text:?}");
    }
    // Words of other hosts, and what is meant by them here.
    for (text, prefix) in [
        ("/api/...", "/api"),
        ("/api/*", "/api"),
        ("/api/**", "/api"),
        ("/api*", "/api"),
        ("/api/{*rest}", "/api"),
        ("/api/:id/x", "/api"),
        ("/api/<path:rest>", "/api"),
        ("/api/[...slug]", "/api"),
        ("/api/.*", "/api"),
        ("/api/(.*)", "/api"),
        ("/api/v1/*/", "/api/v1"),
        ("api/*", "/api"),
        ("/...", "/"),
        ("/*", "/"),
        ("*", "/"),
    ] {
        let expected = format!(
            "a route is a prefix without patterns; write '{prefix}', which covers everything below it"
        );
        let problem = route::normalised(text).unwrap_err();
        assert_eq!(problem.hint, Some(expected), "{text}: {}", problem.message);
    }
    assert_eq!(
        route::normalised("/caf\u{e9} au lait").unwrap_err().hint.as_deref(),
        Some("write '/caf%C3%A9%20au%20lait'")
    );
}

#[test]
fn the_nearest_name_is_near() {
    let keys = ["route", "environment", "acquire-timeout", "queue", "queue-timeout"];
    for (written, expected) in [
        ("rout", Some("route")),
        ("Route", Some("route")),
        ("ruote", Some("route")),
        ("env", Some("environment")),
        ("enviroment", Some("environment")),
        ("acquire_timeout", Some("acquire-timeout")),
        ("queue", Some("queue")),
        ("x", None),
        ("port", None),
        ("", None),
    ] {
        assert_eq!(nearest(written, keys.into_iter()), expected, "{written}");
    }
}
