//! Which client is taken to ask, and what a component reads of it.

use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    headers
}

fn proxies() -> Proxies {
    Proxies::new(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What a component is told by a connection from `peer` on which this was sent, each header as one line.
#[track_caller]
fn told(peer: &str, sent: &[(&str, &str)]) -> Vec<String> {
    let mut headers = headers(sent);
    let proxies = proxies();
    let client = proxies.client(address(peer), false, "shop.example:8080", &headers);
    client.tell(&mut headers, "/weather", &ForwardedHeaders::default());
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_component_sees_the_other_end_of_the_connection_and_its_own_prefix() {
    assert_eq!(
        told("192.0.2.1", &[("accept", "*/*")]),
        [
            "accept: */*",
            "forwarded: for=192.0.2.1;host=\"shop.example:8080\";proto=http",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-host: shop.example:8080",
            "x-forwarded-prefix: /weather",
            "x-forwarded-proto: http",
        ]
    );
}

#[test]
fn an_address_of_version_6_is_written_as_each_header_has_it() {
    let lines = told("2001:db8::1", &[]);
    assert_eq!(lines[0], "forwarded: for=\"[2001:db8::1]\";host=\"shop.example:8080\";proto=http");
    assert_eq!(lines[1], "x-forwarded-for: 2001:db8::1");
    // An address of version 4 that is written as one of version 6 is one of version 4.
    assert_eq!(told("::ffff:192.0.2.1", &[])[1], "x-forwarded-for: 192.0.2.1");
}

#[test]
fn nothing_that_a_client_says_of_itself_gets_through() {
    let honest = told("192.0.2.1", &[]);
    for claim in [
        ("forwarded", "for=203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x_forwarded_for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-prefix", "//evil.example"),
        ("x-forwarded-user", "admin"),
        ("x-real-ip", "203.0.113.9"),
        ("cf-connecting-ip", "203.0.113.9"),
        ("x-original-url", "/admin"),
        ("client-cert", ":AAAA:"),
    ] {
        assert_eq!(told("192.0.2.1", &[claim]), honest, "{claim:?}");
    }
}

/// The client that asks, and the list of proxies that passed it on, by a connection from a trusted proxy.
#[track_caller]
fn asks(sent: &[(&str, &str)]) -> (Option<IpAddr>, String) {
    let headers = headers(sent);
    let proxies = proxies();
    let client = proxies.client(address("10.0.0.1"), false, "inner", &headers);
    let hops: Vec<String> = client.hops.iter().map(Node::plain).collect();
    (client.address, hops.join(", "))
}

#[test]
fn the_last_that_is_not_trusted_is_the_client() {
    for (list, client, hops) in [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1, 10.0.0.1"),
        // What stands in front of it, it wrote itself.
        ("203.0.113.9, 192.0.2.1", "192.0.2.1", "192.0.2.1, 10.0.0.1"),
        ("10.9.9.9, 192.0.2.1", "192.0.2.1", "192.0.2.1, 10.0.0.1"),
        ("192.0.2.1, 10.2.2.2", "192.0.2.1", "192.0.2.1, 10.2.2.2, 10.0.0.1"),
        ("192.0.2.1:5678, [fd00::7]:80", "192.0.2.1", "192.0.2.1, fd00::7, 10.0.0.1"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::1, 10.0.0.1"),
        // All of them are trusted.
        ("10.3.3.3, 10.2.2.2", "10.3.3.3", "10.3.3.3, 10.2.2.2, 10.0.0.1"),
        // What cannot be read is no client, and neither is what is before it.
        ("192.0.2.1, 10.x", "10.0.0.1", "10.0.0.1"),
        ("192.0.2.1, , 10.2.2.2", "10.2.2.2", "10.2.2.2, 10.0.0.1"),
        ("", "10.0.0.1", "10.0.0.1"),
    ] {
        let expected = (Some(address(client)), hops.to_string());
        assert_eq!(asks(&[("x-forwarded-for", list)]), expected, "{list}");
    }
    let lines = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "192.0.2.1, 10.2.2.2")];
    assert_eq!(asks(&lines).1, "192.0.2.1, 10.2.2.2, 10.0.0.1");
    assert_eq!(asks(&[("x-forwarded-for", "unknown")]), (None, "unknown, 10.0.0.1".to_string()));
}

#[test]
fn forwarded_is_read_as_its_rfc_has_it_and_only_where_there_is_no_other() {
    for (list, hops) in [
        ("for=192.0.2.1", "192.0.2.1, 10.0.0.1"),
        ("For=\"192.0.2.1:80\";by=_hidden, for=10.2.2.2", "192.0.2.1, 10.2.2.2, 10.0.0.1"),
        ("for=\"[2001:db8::1]:4711\"", "2001:db8::1, 10.0.0.1"),
        ("for=203.0.113.9, for=\"_a,b;c\"", "10.0.0.1"),
        ("for=203.0.113.9, for=_SEVKISEK", "_SEVKISEK, 10.0.0.1"),
        ("proto=https;for=\"192.0.2.\\1\"", "192.0.2.1, 10.0.0.1"),
    ] {
        assert_eq!(asks(&[("forwarded", list)]).1, hops, "{list}");
    }
    // The proxy wrote the one, and passed on the other.
    let both = [("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "192.0.2.1")];
    assert_eq!(asks(&both).1, "192.0.2.1, 10.0.0.1");
}

#[test]
fn scheme_host_and_prefix_are_those_of_the_clients_own_proxy() {
    let seen = |sent: &[(&str, &str)]| {
        let headers = headers(sent);
        let proxies = proxies();
        let client = proxies.client(address("10.0.0.1"), false, "inner", &headers);
        let proto = if client.secure { "https" } else { "http" };
        format!("{proto}://{}{}", client.host, client.prefix)
    };
    assert_eq!(seen(&[]), "http://inner");
    let one = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "HTTPS"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-prefix", "/base/"),
    ];
    assert_eq!(seen(&one), "https://shop.example/base");
    // The first of each is the client's, which is not trusted.
    let lists = [
        ("x-forwarded-for", "203.0.113.9, 192.0.2.1, 10.2.2.2"),
        ("x-forwarded-proto", "http, https, http"),
        ("x-forwarded-host", "evil.example, shop.example, inner.example"),
        ("x-forwarded-prefix", "/evil, /outer, /inner"),
    ];
    assert_eq!(seen(&lists), "https://shop.example/outer/inner");
    let forwarded = "for=203.0.113.9;host=evil.example, for=192.0.2.1;host=\"shop.example:8443\";proto=https, for=10.2.2.2;host=inner.example;proto=http";
    assert_eq!(seen(&[("forwarded", forwarded)]), "https://shop.example:8443");
    for odd in [
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "user@shop.example"),
        ("x-forwarded-host", "a b"),
        ("x-forwarded-prefix", "//evil.example"),
        ("x-forwarded-prefix", "evil"),
        ("x-forwarded-prefix", "/a\\b"),
    ] {
        assert_eq!(seen(&[odd]), "http://inner", "{odd:?}");
    }
}

#[test]
fn a_trusted_proxy_may_tell_of_a_user_and_a_component_reads_one_address() {
    let lines = told(
        "10.0.0.1",
        &[
            ("x-forwarded-for", "203.0.113.9, 192.0.2.1"),
            ("x_forwarded_for", "203.0.113.9"),
            ("x-forwarded-user", "anna"),
            ("x-real-ip", "203.0.113.9"),
            ("x-forwarded-prefix", "/base"),
        ],
    );
    assert_eq!(
        lines,
        [
            "forwarded: for=192.0.2.1;host=\"shop.example:8080\";proto=http, for=10.0.0.1",
            "x-forwarded-for: 192.0.2.1, 10.0.0.1",
            "x-forwarded-host: shop.example:8080",
            "x-forwarded-prefix: /base/weather",
            "x-forwarded-proto: http",
            "x-forwarded-user: anna",
            "x-real-ip: 192.0.2.1",
        ]
    );
}

#[test]
fn what_a_connection_remembers_is_used_for_the_same_host_and_route_only() {
    let (told, none) = (ForwardedHeaders::default(), HeaderMap::new());
    let proxies = proxies();
    for (host, route) in [("a", "/x"), ("b", "/x"), ("a", "/y"), ("a", ""), ("", "/x"), ("a", "/x")]
    {
        let mut headers = HeaderMap::new();
        proxies.client(address("192.0.2.1"), true, host, &none).tell(&mut headers, route, &told);
        let read = |name: HeaderName| headers.get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!((read(HOST), read(PREFIX), read(PROTO)), (host, route, "https"));
    }
}
