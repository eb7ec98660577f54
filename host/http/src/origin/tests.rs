//! Which names are this host's, and which pages.

use super::*;

fn names(listed: &[&str], bound: &str) -> Names {
    Names::new(HostNames::parse(listed).unwrap(), bound.parse().unwrap())
}

const LOOPBACK: &str = "127.0.0.1:8080";
const EVERYWHERE: &str = "0.0.0.0:8080";

#[test]
fn on_loopback_only_names_that_cannot_be_bent_are_answered_and_those_that_are_listed() {
    let listed = ["app.example.com", "*.example.org"];
    for (host, alone, with_names) in [
        ("127.0.0.1:8080", true, true),
        ("127.0.0.1", true, true),
        ("0.0.0.0:8080", true, true),
        ("10.0.0.7:8080", true, true),
        ("[::1]:8080", true, true),
        ("[::1]", true, true),
        ("localhost", true, true),
        ("LOCALHOST.:8080", true, true),
        ("weather.localhost:8080", true, true),
        ("my.app.dev.Localhost.", true, true),
        // HTTP/1.0.
        ("", true, true),
        ("app.example.com", false, true),
        ("App.Example.Com:8080", false, true),
        ("a.example.org:80", false, true),
        ("example.org", false, false),
        ("evil.example", false, false),
        ("evil.example:8080", false, false),
        ("localhost.evil.example", false, false),
        ("evillocalhost", false, false),
        ("127.0.0.1.evil.example:8080", false, false),
        ("127.0.0.1:evil.example", false, false),
        ("hello", false, false),
        ("host.docker.internal:8080", false, false),
    ] {
        for bound in [LOOPBACK, "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
            assert_eq!(names(&[], bound).check(host).is_ok(), alone, "{host} at {bound}");
            assert_eq!(names(&listed, bound).check(host).is_ok(), with_names, "{host} at {bound}");
        }
        for bound in [EVERYWHERE, "[::]:8080", "192.168.1.5:80"] {
            assert!(names(&[], bound).check(host).is_ok(), "{host} at {bound}");
            assert_eq!(names(&listed, bound).check(host).is_ok(), with_names, "{host} at {bound}");
        }
    }
}

#[test]
fn whoever_is_refused_reads_the_line_that_would_let_it_in() {
    let told = |listed: &[&str], host: &str| names(listed, LOOPBACK).check(host).unwrap_err();
    let failure = told(&[], "app.example.com:8080");
    assert_eq!(failure.kind, Kind::Misdirected);
    assert_eq!(
        failure.public,
        "This host does not answer to the name app.example.com. If that is a name of its own, add hosts = \
         [\"app.example.com\"] under [http] in the application file."
    );
    let second = told(&["other.example"], "app.example.com").public;
    assert!(second.contains("add \"app.example.com\" to 'hosts' under [http]"), "{second}");
    assert!(told(&[], &"a".repeat(60_000)).public.len() < 300);
}

#[test]
fn a_browser_says_which_page_asks() {
    // Listed names, the host that is asked for, whether over TLS; `Sec-Fetch-Site` and `Origin`, and whether the page
    // is foreign.
    let plain = (&[][..], "localhost:8080", false);
    let listed = (&["app.example.com"][..], "127.0.0.1:8080", false);
    let secure = (&[][..], "app.example.com", true);
    for ((listed, host, secure), site, origin, is_foreign) in [
        // A program.
        (plain, "", "", false),
        // What a browser says of the page counts before what it says of its origin: a proxy changes the host.
        (plain, "same-origin", "https://app.example.com", false),
        (plain, "none", "", false),
        (plain, "cross-site", "", true),
        (plain, "cross-site", "http://localhost:8080", true),
        (plain, "same-site", "http://localhost:8080", true),
        (plain, "something new", "http://localhost:8080", true),
        (plain, "", "http://localhost:8080", false),
        (plain, "", "http://LOCALHOST:8080", false),
        // A proxy that speaks TLS for the host.
        (plain, "", "https://localhost:8080", false),
        (plain, "", "http://localhost:8081", true),
        (plain, "", "http://localhost", true),
        (plain, "", "http://127.0.0.1:8080", true),
        (plain, "", "http://evil.example", true),
        (plain, "", "http://evil.example:8080", true),
        (plain, "", "null", true),
        (plain, "", "app://localhost:8080", true),
        (plain, "", "localhost:8080", true),
        ((&[], "a.example", false), "", "http://a.example", false),
        ((&[], "a.example:80", false), "", "http://a.example", false),
        ((&[], "a.example", false), "", "https://a.example", false),
        ((&[], "a.example", false), "", "https://a.example:444", true),
        ((&[], "[::1]:8080", false), "", "http://[::1]:8080", false),
        // HTTP/1.0.
        ((&[], "", false), "", "http://evil.example", true),
        (secure, "", "https://app.example.com", false),
        (secure, "", "http://app.example.com", true),
        (listed, "", "https://app.example.com", false),
        (listed, "", "http://app.example.com:8080", false),
        (listed, "", "http://app.example.com:9000", true),
        (listed, "", "http://evil.example", true),
        (listed, "cross-site", "https://app.example.com", true),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in [(SEC_FETCH_SITE, site), (ORIGIN, origin)] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let names = &names(listed, LOOPBACK);
        let asked = RequestedHost { host, client_host: host, secure, names };
        assert_eq!(asked.is_by_foreign_page(&headers), is_foreign, "{host} {site:?} {origin:?}");
    }
}

#[test]
fn the_name_that_a_proxy_was_asked_for_counts_if_it_is_to_be_believed() {
    let names = &names(&[], LOOPBACK);
    for (client_host, is_foreign) in [
        ("app.example.com", false),
        ("app.example.com:8443", true),
        ("inner.example", true),
        (LOOPBACK, true),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, "https://app.example.com".parse().unwrap());
        let asked = RequestedHost { host: LOOPBACK, client_host, secure: false, names };
        assert_eq!(asked.is_by_foreign_page(&headers), is_foreign, "{client_host}");
    }
}
