//! A secret goes in and is never seen again.

use super::*;

const SECRETS: &[(&str, &str)] = &[
    ("PW", "p@ss:w/o#r?d;x=\"1 %41"),
    ("TOKEN", "tok-5ecret"),
    ("DB", "postgres://app:hunter2@db.internal/weather"),
    (
        "ADO",
        "Host=db.internal;Username=app;Password=\"hun;ter2\";Database=weather;SSL Mode=VerifyFull",
    ),
    ("LIBPQ", "host=db.internal user=app password='hun ter2' dbname=weather"),
    ("UNKNOWN", "postgres://app:hunter2?hunter2=x@db.internal/weather"),
    ("USERINFO", "app:hunter2"),
    ("BROKEN", "postgres://app:hunter2@db:port/weather"),
    ("BROKEN_ADO", "Host=db;Password=hun;ter2;Database=x"),
];

/// Parts of the above that must not be seen either.
const PARTS: &[&str] = &["hunter2", "ter2", "p@ss", "5ecret", "db.internal", "p%40ss"];

fn application() -> Application {
    let application = SECRETS
        .iter()
        .fold(Application::new(), |application, (name, value)| application.with(name, value));
    fs::write(application.path("password"), "tok-5ecret\r\n").unwrap();
    application
}

fn postgres(url: &str) -> (String, String) {
    let config = application().config(&format!(
        "name = \"shop\"\n[service.a]\ncomponent = \"weather\"\n[postgres.x]\nurl = '''{url}'''\n"
    ));
    let url = database(&config, "x").url.as_ref().unwrap();
    (url.expose().to_owned(), url.to_string())
}

fn ollama(url: &str) -> (String, String) {
    let config = application().config(&format!(
        "name = \"shop\"\n[service.a]\ncomponent = \"weather\"\n[ollama.x]\nurl = '{url}'\n"
    ));
    let url = &models(&config, "x").url;
    (url.expose().to_owned(), url.to_string())
}

#[test]
fn a_database_address_in_any_form_becomes_a_uri() {
    let pw = "p%40ss%3Aw%2Fo%23r%3Fd%3Bx%3D%221%20%2541";
    for (written, expected, shown) in [
        (
            "postgresql://app@db:5433/weather?sslmode=require",
            "postgres://app@db:5433/weather?sslmode=require".to_owned(),
            "db:5433/weather",
        ),
        (
            "postgres:///weather?host=/run/postgresql&user=app",
            "postgres://app@localhost/weather?host=%2Frun%2Fpostgresql".to_owned(),
            "/weather",
        ),
        ("${DB}", "postgres://app:hunter2@db.internal/weather".to_owned(), "[secret]"),
        // What is inserted as a password is data: nothing in it can end it.
        (
            "postgres://app:${PW}@db/weather",
            format!("postgres://app:{pw}@db/weather"),
            "db/weather",
        ),
        (
            "Host=db;Username=app;Password=${PW};Database=weather",
            format!("postgres://app:{pw}@db/weather"),
            "db/weather",
        ),
        (
            "Server=::1; Port=5433; User Id=a b; Pwd=\"${PW}\"; Database=w",
            format!("postgres://a%20b:{pw}@[::1]:5433/w"),
            "::1:5433/w",
        ),
        (
            "Host=/run/postgresql;Username=a;Database=w",
            "postgres://a@localhost/w?host=%2Frun%2Fpostgresql".to_owned(),
            "/run/postgresql/w",
        ),
        (
            "host=db port = 5433 user=app password=${PW} dbname='a b'",
            format!("postgres://app:{pw}@db:5433/a%20b"),
            "db:5433/a b",
        ),
        (
            "password='${PW}' host=/run/postgresql user=it\\'s dbname=w sslmode=prefer",
            format!("postgres://it%27s:{pw}@localhost/w?host=%2Frun%2Fpostgresql&sslmode=prefer"),
            "/run/postgresql/w",
        ),
        ("${LIBPQ}", "postgres://app:hun%20ter2@db.internal/weather".to_owned(), "[secret]"),
        // What changes nothing here is taken.
        (
            "postgres://app@db/x?channel_binding=require&application_name=x&keepalives_idle=5\
             &target_session_attrs=any&gssencmode=prefer&client_encoding=UTF8",
            "postgres://app@db/x".to_owned(),
            "db/x",
        ),
        (
            "host=db user=app dbname=x application_name='my shop' load_balance_hosts=random",
            "postgres://app@db/x".to_owned(),
            "db/x",
        ),
        // A quote within quotes is written twice; outside of quotes it is a character like others.
        (
            "uid=\"a;\"\"b\"; Host=d\"b; Database=w; SslMode=VerifyCA",
            "postgres://a%3B%22b@d%22b/w?sslmode=verify-ca".to_owned(),
            "d\"b/w",
        ),
        (
            "postgres://${USERINFO}@db/weather",
            "postgres://app:hunter2@db/weather".to_owned(),
            "db/weather",
        ),
        (
            "postgres://app:${TOKEN}@${TOKEN}.example/w",
            "postgres://app:tok-5ecret@tok-5ecret.example/w".to_owned(),
            "[secret].example/w",
        ),
        (
            "${ADO}",
            "postgres://app:hun%3Bter2@db.internal/weather?sslmode=verify-full".to_owned(),
            "[secret]",
        ),
    ] {
        assert_eq!(postgres(written), (expected, shown.to_owned()), "{written}");
    }
}

#[test]
fn an_ollama_address_follows_the_grammar_of_its_variable() {
    for (written, expected) in [
        ("gpu", "http://gpu:11434"),
        ("gpu:1234", "http://gpu:1234"),
        ("ollama.com", "https://ollama.com"),
        ("http://gpu", "http://gpu"),
        ("https://gpu/ollama/", "https://gpu/ollama"),
        ("gpu:1234/ollama", "http://gpu:1234/ollama"),
        (":5000", "http://127.0.0.1:5000"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("[::]:1", "http://127.0.0.1:1"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        (" gpu ", "http://gpu:11434"),
    ] {
        let expected = (expected.to_owned(), expected.to_owned());
        assert_eq!(ollama(written), expected, "{written}");
        let variable = Application::new().with("OLLAMA_HOST", &format!("\"{written}\""));
        let config = variable.config(
            "name = \"shop\"\n[ollama.x]\n[service.a]\ncomponent = \"ollama\"\nollama = \"x\"\n",
        );
        let url = &models(&config, "x").url;
        assert_eq!((url.expose().to_owned(), url.to_string()), expected, "{written}");
        assert_eq!(models(&config, "x").url_from, UrlFrom::OllamaHost);
    }
    for (written, expected, shown) in [
        ("https://me:${TOKEN}@gpu/x", "https://me:tok-5ecret@gpu/x", "https://gpu/x"),
        ("https://${TOKEN}@gpu", "https://tok-5ecret@gpu", "https://gpu"),
        ("${TOKEN}:1", "http://tok-5ecret:1", "[secret]:1"),
    ] {
        assert_eq!(ollama(written), (expected.to_owned(), shown.to_owned()), "{written}");
    }
}

#[test]
fn the_variable_of_ollama_may_hold_a_password_and_must_be_an_address() {
    let text = "name = \"shop\"\n[ollama.x]\n[service.a]\ncomponent = \"ollama\"\nollama = \"x\"\n";
    let config = Application::new().with("OLLAMA_HOST", "https://me:hunter2@gpu").config(text);
    assert_eq!(models(&config, "x").url.expose(), "https://me:hunter2@gpu");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(
        Application::new().with("OLLAMA_HOST", "gpu:hunter2").rejected(text),
        "wasm-host.toml:2:1: error: in the environment variable OLLAMA_HOST the address is not a \
         valid URL (invalid port number); write http://host:11434"
    );
}

#[test]
fn a_secret_comes_from_a_file_without_its_last_newline() {
    let application = application();
    let config = application.config(
        "name = \"shop\"\n[service.a]\ncomponent = \"weather\"\nenvironment = { A = \"<${file:password}|${TOKEN}>\" }\n",
    );
    let value = &config.services["a"].component().unwrap().environment["A"];
    assert_eq!(value.expose(), "<tok-5ecret|tok-5ecret>");
    assert!(matches!(value, EnvironmentValue::Secret(_)));
}

/// Every way to use a secret, right and wrong.
#[test]
fn no_rendering_of_anything_has_a_secret() {
    let application = application();
    let names = SECRETS.iter().map(|(name, _)| format!("${{{name}}}"));
    let forms: Vec<String> = names
        .chain(["${file:password}".to_owned()])
        .flat_map(|secret| {
            [
                secret.clone(),
                format!("postgres://app:{secret}@db/weather"),
                format!("postgres://{secret}@db/weather"),
                format!("postgres://app@{secret}/weather"),
                format!("postgres://app@db/{secret}"),
                format!("postgres://app@db:{secret}/x"),
                format!("{secret}://app@db/x"),
                format!("Host=db;{secret};Database=x"),
                format!("Host={secret};Password={secret};Database={secret}"),
                format!("{secret}=x"),
                format!("http://{secret}"),
                format!("http://{secret}@gpu:99999"),
                format!("http://gpu:{secret}/{secret}?{secret}#{secret}"),
                format!("ftp://{secret}"),
            ]
        })
        .collect();
    let mut accepted = 0;
    for form in &forms {
        for (table, key) in [
            ("postgres.x", "url"),
            ("ollama.x", "url"),
            ("service.a", "environment.A"),
            ("service.a", "route"),
            ("http", "listen"),
            ("service.a", "memory"),
            ("state", "dir"),
            ("service.a", form),
        ] {
            let key = if key == form { format!("'{form}'") } else { key.to_owned() };
            let text = if table == "service.a" {
                format!("name = \"shop\"\n[service.a]\ncomponent = \"weather\"\n{key} = '{form}'\n")
            } else {
                format!(
                    "name = \"shop\"\n[service.a]\ncomponent = \"weather\"\n[{table}]\n{key} = '{form}'\n"
                )
            };
            let shown = match application.parse(&text) {
                Ok(config) => {
                    accepted += 1;
                    let texts: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
                    format!("{config:?} {config:#?} {texts:?}")
                }
                Err(found) => {
                    format!("{found} {found:?} {}", serde_json::to_string(&found).unwrap())
                }
            };
            for secret in SECRETS.iter().map(|(_, secret)| secret).chain(PARTS) {
                assert!(!shown.contains(secret), "{text}\nshows {secret}:\n{shown}");
            }
        }
    }
    assert!(accepted > 100, "only {accepted} were accepted, so little was shown");
}

#[test]
fn a_secret_hides_in_every_format() {
    let secret = Secret::new("hunter2");
    assert_eq!(
        format!("{secret} {secret:?} {secret:#?} {secret:>9}"),
        "[secret] [secret] [secret] [secret]"
    );
    assert_eq!(secret.expose(), "hunter2");
}

#[test]
fn what_logs_in_at_a_backend_is_known_to_be_secret_also_as_a_part_of_an_address() {
    let text = "name = \"a\"\n[postgres.db]\nurl = \"${DB}\"\n[ollama.gpu]\n\
                [service.s]\ncomponent = \"weather\"\npostgres = \"db\"\nollama = \"gpu\"\n";
    let config = Application::new()
        .with("DB", "postgres://ada:pass%20word@db.example/shop")
        .with("OLLAMA_HOST", "http://ada:s3same@gpu.example")
        .config(text);
    let secrets = config.known_secrets();
    for password in ["pass word", "s3same"] {
        assert!(secrets.iter().any(|secret| secret.expose() == password), "{password}");
    }
}
