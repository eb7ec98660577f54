//! Which rules there are, what they allow, and what is said of those that are none.

use super::*;

#[test]
fn a_rule_allows_what_it_names_and_nothing_beside_it() {
    use Scheme::{Http, Https};
    let list = AllowList::of(&[
        "https://api.example.com",
        "http://*.internal.example:8080",
        "http://*:81",
    ]);
    for (scheme, name, port, allowed) in [
        (Https, "api.example.com", 443, true),
        (Https, "api.example.com", 8443, false),
        (Http, "api.example.com", 443, false),
        (Https, "example.com", 443, false),
        (Https, "xapi.example.com", 443, false),
        (Https, "api.example.com.evil.example", 443, false),
        (Http, "a.internal.example", 8080, true),
        (Http, "a.b.internal.example", 8080, true),
        (Http, "internal.example", 8080, false),
        (Http, ".internal.example", 8080, false),
        (Http, "evilinternal.example", 8080, false),
        (Http, "anybody", 81, true),
        (Http, "anybody", 80, false),
    ] {
        assert_eq!(list.has_name(scheme, name, port), allowed, "{scheme:?} {name} {port}");
    }
}

#[test]
fn addresses_are_named_by_themselves_or_with_their_network() {
    let list = AllowList::of(&[
        "http://10.1.0.0/16:9000",
        "http://127.0.0.1:9000",
        "http://[fd00:1::/32]:9000",
        "http://[::ffff:192.168.0.7]:9000",
        "http://*.example:9000",
    ]);
    for (address, named) in [
        ("10.1.255.1", true),
        ("10.2.0.1", false),
        ("127.0.0.1", true),
        ("127.0.0.2", false),
        ("fd00:1::5", true),
        ("fd00:2::5", false),
        ("192.168.0.7", true),
        ("93.184.216.34", false),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(list.has_address(Scheme::Http, address, 9000), named, "{address}");
        assert!(!list.has_address(Scheme::Http, address, 80), "{address}");
    }
    // An address rule is not a rule for names.
    assert!(!list.has_name(Scheme::Http, "10.1.0.1", 9000));
}

#[test]
fn what_is_no_rule_is_told_with_the_fix() {
    for (rule, fix) in [
        ("api.example.com", "begin it with http:// or https://"),
        ("ftp://api.example.com", "begin it with http:// or https://"),
        ("https://api.example.com/v1", "a port only"),
        ("https://api.example.com/", "a port only"),
        ("https://api.example.com?x", "the host is a name"),
        ("https://api.example.com:0", "from 1 to 65535"),
        ("https://api.example.com:99999", "from 1 to 65535"),
        ("https://", "the host is a name"),
        ("https://a..b", "the host is a name"),
        ("https://*example.com", "the host is a name"),
        ("https://a.*.com", "the host is a name"),
        ("https://10.1.0", "the host is a name"),
        ("http://10.1.0.0.1", "the host is a name"),
        ("http://10.1.2.3/16", "10.1.0.0/16"),
        ("http://10.0.0.0/33", "10.1.0.0/16"),
        ("http://0.0.0.0/0", "write \"*\""),
        ("http://[::/0]", "write \"*\""),
        ("http://[fd00::1", "a port only"),
        ("http://localhost:8080", "http://127.0.0.1"),
    ] {
        let Err(problem) = Rule::parse(rule) else { panic!("{rule} is a rule") };
        assert!(
            problem.hint.as_ref().is_some_and(|hint| hint.contains(fix)),
            "{rule}: {problem:?}"
        );
    }
}

#[test]
fn a_password_in_a_rule_is_not_repeated() {
    let problem = Rule::parse("https://user:hunter2@api.example.com").err().unwrap();
    assert!(!format!("{problem:?}").contains("hunter2"));
}
