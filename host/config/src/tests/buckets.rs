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
    assert_eq!(redis("three"), ("cache/2".to_owned(), "three:".to_owned()));
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
[service.s]
component = "weather"
keyvalue = ["a", "b", "c", "d", "e", "f", "g", "h"]
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
wasm-host.toml:21:48: error: there is no [keyvalue.h]; did you mean 'a'? otherwise add [keyvalue.h]
wasm-host.toml:22:12: error: a key of a configuration is empty; give it a name
wasm-host.toml:22:26: error: 'y' is a whole number; it must be a string
wasm-host.toml:23:12: error: 'postgres' is a list; it must be a string
"##,
    );
}
