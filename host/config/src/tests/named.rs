//! What an application file names, for those who carry it elsewhere: without its secrets, and with nothing forgotten.

use super::*;
use wasm_host_settings::named::What;

const FILE: &str = r#"name = "shop"
[http]
tls = { certificate = "tls/cert.pem", key = "tls/key.pem" }
[postgres.a]
url = "${DATABASE}"
init = ["components/weather/sql/init.sql"]
[postgres.b]
url = "postgres://b:${file:/run/secrets/b}@db.example/b"
ca = "ca.pem"
[ollama.gpu]
url = "${GPU}"
ca = "ca.pem"
[registry."registry.example"]
ca = "ca.pem"
username = "anna"
password = "${REGISTRY}"
[trust]
keys = ["release.pub"]
[telemetry]
intake-key = "${INTAKE}"
[service.one]
component = "weather"
postgres = "a"
environment = { A = "a${ONE}b", B = "$$" }
[service.two]
component = "guests/other.wasm"
outbound = { allow = ["https://api.example"], ca = "ca.pem" }
[service.three]
component = "oci://registry.example/shop/three:1"
ollama = "gpu"
[service.web]
static = "web/dist"
"#;

/// A public key of the curve P-256.
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
";

fn read(application: &Application) -> Config {
    let path = application.folder.path().join("wasm-host.toml");
    fs::write(&path, FILE).unwrap();
    let certificate = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
    fs::write(application.folder.path().join("ca.pem"), certificate.cert.pem()).unwrap();
    fs::write(application.folder.path().join("release.pub"), PUBLIC_KEY).unwrap();
    let environment = |name: &str| application.environment.get(name).cloned();
    let (config, text) = Config::read_elsewhere(&path, &environment).unwrap();
    assert_eq!(text, FILE);
    config
}

#[test]
fn all_that_a_file_names_is_listed_where_no_secret_is_there() {
    let config = read(&Application::new());
    let mut found: Vec<_> =
        config.named.iter().map(|it| (it.what, it.written.as_str(), it.line)).collect();
    found.sort();
    assert_eq!(
        found,
        [
            (What::Component, "guests/other.wasm", 26),
            (What::Crate, "weather", 22),
            (What::Folder, "web/dist", 32),
            (What::Script, "components/weather/sql/init.sql", 6),
            (What::Authorities, "ca.pem", 9),
            (What::Authorities, "ca.pem", 12),
            (What::Authorities, "ca.pem", 14),
            (What::Authorities, "ca.pem", 27),
            (What::PublicKey, "release.pub", 18),
            (What::Certificate, "tls/cert.pem", 3),
            (What::PrivateKey, "tls/key.pem", 3),
            (What::SecretFile, "/run/secrets/b", 8),
            (What::Variable, "DATABASE", 5),
            (What::Variable, "GPU", 11),
            (What::Variable, "INTAKE", 20),
            (What::Variable, "ONE", 24),
            (What::Variable, "REGISTRY", 16),
        ]
    );
    // What needs no secret is read as ever.
    assert_eq!(config.services.len(), 4);
}

#[test]
fn a_secret_that_is_there_is_read_and_a_wrong_one_told() {
    let mut application = Application::new();
    let set = |application: &mut Application, name: &str, value: &str| {
        application.environment.insert(name.to_owned(), value.to_owned());
    };
    set(&mut application, "REGISTRY", "hunter2");
    let config = read(&application);
    assert_eq!(config.secrets.len(), 1);
    set(&mut application, "INTAKE", "short");
    let path = application.folder.path().join("wasm-host.toml");
    let environment = |name: &str| application.environment.get(name).cloned();
    let wrong = Config::read_elsewhere(&path, &environment).unwrap_err().to_string();
    assert!(wrong.contains("wasm-host.toml:20:"), "{wrong}");
}
