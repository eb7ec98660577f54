//! Buckets and the configuration of services.

use super::broken::check;
use super::*;
use wasm_host_capabilities::keyvalue::{Keyvalue, Store};

#[test]
fn a_bucket_is_in_a_file_in_memory_or_on_a_server() {
    let application = Application::new().with("PW", "S3CRET");
    let config = application.config(
        r#"name = "shop"
[keyvalue.one]
[keyvalue.two]
store = "memory"
size = "1MiB"
[keyvalue.three]
url = "redis://:${PW}@cache/2"
[keyvalue.four]
url = "rediss://cache"
prefix = ""
timeout = "1s"
[service.a]
component = "weather"
keyvalue = ["one", "two", "three"]
config = { greeting = "Hei", token = "${PW}" }
[service.b]
component = "weather"
keyvalue = "four"
"#,
    );
    let bucket = |name| config.resources.find_of::<Keyvalue>(name).unwrap();
    assert!(matches!(bucket("one").store, Store::File { size_bytes: 67_108_864 }));
    assert!(matches!(bucket("two").store, Store::Memory { size_bytes: 1_048_576 }));
    let redis = |name| match &bucket(name).store {
        Store::Redis(redis) => (redis.url.to_string(), redis.prefix.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(redis("three"), ("cache/2".to_owned(), "shop:three:".to_owned()));
    assert_eq!(redis("four"), ("cache".to_owned(), String::new()));
    let component = |name: &str| config.services[name].component().unwrap();
    let granted: Vec<_> = component("a").grants.resources.iter().collect();
    let expected = ["one", "three", "two"].map(|name| ("keyvalue", name.to_owned()));
    assert_eq!(granted, expected.iter().collect::<Vec<_>>());
    assert_eq!(component("b").grants.of::<Keyvalue>(), Some("four"));
    let shown = format!("{:?}", component("a").configuration);
    assert!(shown.contains("Hei") && !shown.contains("S3CRET"), "{shown}");
    assert_eq!(component("a").configuration["token"].expose(), "S3CRET");
}

#[test]
fn slips_in_tables_of_buckets() {
    check(
        r##"name = "shop"
[keyvalue.a]
store = "disk"
[keyvalue.b]
store = "redis"
[keyvalue.c]
store = "memory"
url = "redis://cache"
size = "1MiB"
[keyvalue.d]
prefix = "x"
pool = 3
[keyvalue.e]
url = "redis://:hunter2@cache"
[keyvalue.f]
url = "http://cache"
[keyvalue.g]
url = "redis://cache/x"
[keyvalue.i]
url = "redis://anna@cache"
[service.s]
component = "weather"
keyvalue = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
config = { "" = "x", y = 3 }
postgres = ["one", "two"]
"##,
        r##"wasm-host.toml:3:9: error: there is no store 'disk'; it is "file" or "memory"; for a Redis server write url instead
wasm-host.toml:5:9: error: there is no store 'redis'; for a Redis server write url = "redis://HOST" instead
wasm-host.toml:7:1: error: 'store' means nothing for a bucket with a url, which is on a server; remove it, or remove the url
wasm-host.toml:9:1: error: 'size' means nothing for a bucket with a url, which is on a server; remove it, or remove the url
wasm-host.toml:11:1: error: 'prefix' means nothing for a bucket of the host's own, which has no server; remove it, or add the url of a Redis server
wasm-host.toml:12:1: error: 'pool' means nothing for a bucket of the host's own, which has no server; remove it, or add the url of a Redis server
wasm-host.toml:14:7: error: a password stands in the file; take it from the environment with ${NAME} or from a file with ${file:/path}
wasm-host.toml:16:7: error: the address does not start with redis:// or rediss://; write redis://HOST:PORT/DATABASE, or rediss:// for a server with a certificate
wasm-host.toml:18:7: error: the path of the address is not the number of a database; write redis://HOST:PORT/DATABASE, or rediss:// for a server with a certificate
wasm-host.toml:20:7: error: the address has a user and no password; write redis://USER:${PASSWORD}@HOST, or redis://:${PASSWORD}@HOST for a password alone
wasm-host.toml:23:48: error: there is no [keyvalue.h]; did you mean 'a'? otherwise add [keyvalue.h]
wasm-host.toml:24:12: error: a key of a configuration is empty; give it a name
wasm-host.toml:24:26: error: 'y' is a whole number; it must be a string
wasm-host.toml:25:12: error: 'postgres' is a list; it must be a string
"##,
    );
}

#[test]
fn buckets_of_which_one_has_the_keys_of_another_are_a_warning() {
    let config = Application::new().config(
        r#"name = "shop"
[keyvalue.a]
url = "redis://cache"
prefix = "x:"
[keyvalue.b]
url = "redis://CACHE:6379/0"
prefix = "x:y:"
[keyvalue.c]
url = "redis://cache/1"
prefix = ""
[keyvalue.d]
url = "redis://cache"
[keyvalue.e]
url = "redis://cache"
[service.s]
component = "weather"
keyvalue = ["a", "b", "c", "d", "e"]
"#,
    );
    assert_eq!(
        warnings(&config),
        "wasm-host.toml:5:1: warning: [keyvalue.a] has all keys of [keyvalue.b], too: they are on one server, and the \
         'prefix' of the one begins with that of the other; give them a 'prefix' each of which neither begins with the \
         other"
    );
}

#[test]
fn buckets_that_may_take_more_memory_than_all_components_are_a_warning() {
    let memory = |size: &str| {
        format!(
            r#"name = "shop"
[keyvalue.a]
store = "memory"
size = "{size}"
[keyvalue.b]
store = "memory"
size = "1GiB"
[keyvalue.c]
size = "64GiB"
[service.s]
component = "weather"
keyvalue = ["a", "b", "c"]
"#
        )
    };
    let application = Application::new();
    assert_eq!(warnings(&application.config(&memory("3GiB"))), "");
    assert_eq!(
        warnings(&application.config(&memory("4GiB"))),
        "wasm-host.toml:2:1: warning: what is kept in memory may take 5GiB together, beside the 4GiB of 'memory' of \
         [limits], in which it does not count; lower 'size', as of [keyvalue.a], or keep it elsewhere"
    );
}

#[test]
fn a_wait_for_a_connection_that_is_longer_than_the_call_is_a_warning() {
    let table = |waits: &str| {
        format!(
            "name = \"shop\"\n[keyvalue.a]\nurl = \"redis://cache\"\n{waits}\n[service.s]\ncomponent = \
             \"weather\"\nkeyvalue = \"a\"\n"
        )
    };
    let application = Application::new();
    assert_eq!(warnings(&application.config(&table("timeout = \"1s\""))), "");
    assert_eq!(
        warnings(&application.config(&table("timeout = \"1s\"\nacquire-timeout = \"1s\""))),
        "wasm-host.toml:5:1: warning: 'acquire-timeout' is 1s, and a call is over after 1s ('timeout'); lower it, or \
         raise 'timeout'"
    );
}
