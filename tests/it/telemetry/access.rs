//! Access to what was seen, and to changes from a page.

use wasm_host_tests::client;
use wasm_host_tests::host::App;

use super::TWO;

/// The cookie that a browser gets by the link.
async fn signed_in(host: &wasm_host_tests::host::Host) -> String {
    let token = host.control()["token"].as_str().unwrap().to_owned();
    let path = format!("/login?t={token}");
    let reply = client::send(&host.admin, "GET", &path, &[], "").await;
    assert_eq!(reply.status, 303);
    assert_eq!(reply.header("location"), "./");
    let cookie = reply.header("set-cookie").to_owned();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

// Fault (Telemetry): a component that is asked by a browser which is signed in to the dashboard | hands it no session | its answer | nothing
#[tokio::test]
async fn no_component_is_handed_the_session_that_browsers_send_to_all_ports() {
    let host = App::new(TWO).serve().await;
    let cookie = signed_in(&host).await;
    let sent = format!("theme=dark; {cookie}; __Host-{cookie}; lang=de");
    let path = "/inner/headers?cookie";
    let reply = client::send(&host.address, "GET", path, &[("cookie", &sent)], "").await;
    assert_eq!(reply.text(), "cookie: theme=dark; lang=de\n");
    let reply = client::send(&host.address, "GET", path, &[("cookie", &cookie)], "").await;
    assert_eq!(reply.text(), "cookie: -\n");
}

// Fault (Telemetry): a component that sets a cookie with a name of the dashboard's | leaves it out | its answer, with its other cookies | nothing
#[tokio::test]
async fn no_component_sets_a_session_in_browsers() {
    let host = App::new(TWO).serve().await;
    let cookie = signed_in(&host).await;
    let (name, _) = cookie.split_once('=').unwrap();
    for name in [name.to_owned(), format!("__Host-{name}")] {
        let reply = host.get(&format!("/inner/set-cookie?{name}")).await;
        assert_eq!(reply.status, 204);
        let set: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
        assert_eq!(set, ["theme=1; Path=/"], "{name}");
    }
}

#[tokio::test]
async fn a_page_is_shown_what_was_seen_only_when_it_is_signed_in() {
    let host = App::new(TWO).serve().await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        client::send(&host.admin, "GET", path, headers, "").await
    };
    let paths = [
        "/api/resources",
        "/api/traces",
        "/api/logs",
        "/api/metrics",
        "/api/export",
        "/metrics",
        "/api/session",
    ];
    for path in paths {
        assert_eq!(ask(path, &[]).await.status, 401, "{path}");
    }
    assert_eq!(ask("/login?t=00", &[]).await.status, 401);
    let cookie = signed_in(&host).await;
    for path in paths {
        assert_eq!(ask(path, &[("cookie", &cookie)]).await.status, 200, "{path}");
    }
    // The public port has none of it.
    for path in ["/api/traces", "/metrics", "/login"] {
        let reply = client::send(&host.address, "GET", path, &[("cookie", &cookie)], "").await;
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_page_changes_something_only_with_what_no_other_page_can_read() {
    let app = App::new(TWO);
    let host = app.serve().await;
    let cookie = signed_in(&host).await;
    let own = format!("http://{}", host.admin);
    let session =
        client::send(&host.admin, "GET", "/api/session", &[("cookie", &cookie)], "").await;
    let csrf = session.json()["csrf"].as_str().unwrap().to_owned();
    let drain = async |headers: &[(&str, &str)]| {
        let headers = [headers, &[("cookie", &*cookie)]].concat();
        client::send(&host.admin, "POST", "/services/inner/drain", &headers, "").await.status
    };
    let shown = ("x-csrf-token", &*csrf);
    assert_eq!(drain(&[("origin", &own)]).await, 403);
    assert_eq!(drain(&[("origin", "http://evil.example"), shown]).await, 403);
    assert_eq!(drain(&[("sec-fetch-site", "cross-site"), shown]).await, 403);
    assert_eq!(drain(&[("host", "evil.example"), shown]).await, 403);
    assert_eq!(drain(&[("origin", &own), shown]).await, 200);
    // The session outlives the host, and what a page could read of it, too.
    host.stop().await;
    let host = app.serve().await;
    let again = client::send(&host.admin, "GET", "/api/session", &[("cookie", &cookie)], "").await;
    assert_eq!(again.json()["csrf"], csrf);
}

#[tokio::test]
async fn the_page_is_in_the_program_and_runs_nothing_of_others() {
    let host = App::new(TWO).serve().await;
    let page = client::send(&host.admin, "GET", "/", &[], "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(client::send(&host.admin, "GET", "/../Cargo.toml", &[], "").await.status, 401);
}

// Fault (Telemetry): an old or wrong link in a browser | tells the person, in words, the command that prints a new one | a page; programs get the problem document | nothing
#[tokio::test]
async fn a_wrong_link_is_a_page_for_a_person_and_a_problem_for_a_program() {
    let host = App::new(TWO).serve().await;
    let ask = async |path: &str, accept: &str| {
        client::send(&host.admin, "GET", path, &[("accept", accept)], "").await
    };
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = ask("/login?t=00", browser).await;
    assert_eq!(
        (page.status.as_u16(), page.header("content-type")),
        (401, "text/html; charset=utf-8")
    );
    assert!(page.text().contains("<pre>wasm-host dashboard</pre>"), "{}", page.text());
    assert!(page.text().contains("not of the host that runs now"), "{}", page.text());
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.text().contains("<script") && !page.text().contains("style="), "{}", page.text());
    for accept in ["application/json", "*/*", "application/problem+json"] {
        let problem = ask("/login?t=00", accept).await;
        assert_eq!(problem.header("content-type"), "application/problem+json", "{accept}");
        assert_eq!(problem.json()["status"], 401);
    }
    // What stands in an address is text.
    let cookie = signed_in(&host).await;
    let headers = [("accept", browser), ("cookie", &*cookie)];
    let absent = client::send(&host.admin, "GET", "/api/resources/a&lt;b", &headers, "").await;
    assert_eq!(absent.status, 404);
    assert!(absent.text().contains("There is no service a&amp;lt;b;"), "{}", absent.text());
}
