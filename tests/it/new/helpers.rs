//! What the libraries of the templates have for buckets, a database and the configuration, called by the files of
//! `tests/templates/helpers`.

use std::fs;
use std::path::Path;

use wasm_host_tests::host::{Host, root};

/// A variable of the host, and what it stands for.
pub(super) const SECRET: (&str, &str) = ("SHOP_KEY", "s3same");

/// What is said of a bucket that is empty before, and of a database with three greetings.
const OF_BUCKET: &str = "nothing\n00ff6f\nnote other\nnothing\n40\n-1\n";
const OF_DATABASE: &str = "Hola\n1\n1\n";

/// What is asked of a bucket for it, with the answers of a script: keys come in two pages.
const CALLS: [(&str, &str, &str); 10] = [
    ("get", r#""key":"note""#, "null"),
    ("set", r#""key":"note","value":{"base64":"AP9v"}"#, "null"),
    ("get", r#""key":"note""#, r#"{"base64":"AP9v"}"#),
    ("set", r#""key":"other","value":"tea""#, "null"),
    ("list-keys", r#""cursor":null"#, r#"{"keys":["note"],"cursor":7}"#),
    ("list-keys", r#""cursor":7"#, r#"{"keys":["other"],"cursor":null}"#),
    ("delete", r#""key":"note""#, "null"),
    ("get", r#""key":"note""#, "null"),
    ("increment", r#""key":"count","delta":40"#, "40"),
    ("increment", r#""key":"count","delta":-41"#, "-1"),
];

/// The same of the database.
const STATEMENTS: [(&str, &str); 3] = [
    (
        "query = \"select text from greetings where id > $1 and text <> $2 order by id\"\nparameters = [1, \"Bonjour\"]",
        "answer.columns = [\"text text\"]\nanswer.rows = [[\"Hola\"]]",
    ),
    (
        "execute = \"insert into greetings (text) values ($1)\"\nparameters = [\"Ciao\"]",
        "answer.changed = 1",
    ),
    (
        "execute = \"delete from greetings where text = $1\"\nparameters = [\"Ciao\"]",
        "answer.changed = 1",
    ),
];

/// Cases that this adds: for each of both, one where all is well, and one for each call that fails.
pub(super) const CASES: usize = 1 + CALLS.len() + 1 + STATEMENTS.len();

/// Add them to a service that is called shop, with cases.
pub(super) fn add(language: &str, service: &Path) {
    let (file, place, source, edits): (_, _, _, &[(&str, &str)]) = match language {
        "rust" => (
            "helpers.rs",
            "src/helpers.rs",
            "src/lib.rs",
            &[
                ("async fn answer(", "mod helpers;\n\n"),
                (
                    "    match (request.method(), ",
                    "    if let Some(key) = request.uri().path().strip_prefix(\"/helpers\") {\n        \
                     return helpers::answer(key, request.uri().query().unwrap_or_default()).await;\n    }\n",
                ),
            ],
        ),
        "python" => (
            "helpers.py",
            "src/helpers.py",
            "src/service.py",
            &[
                ("from wasm_host import Request,", "from helpers import helpers\n"),
                (
                    "    match request.method, ",
                    "    if request.path.startswith(\"/helpers\"):\n        return await helpers(request)\n",
                ),
            ],
        ),
        "javascript" => (
            "helpers.js",
            "src/helpers.js",
            "src/service.js",
            &[
                ("import { service, text }", "import { helpers } from './helpers.js';\n"),
                (
                    "  switch (",
                    "  if (request.path.startsWith('/helpers')) return helpers(request);\n",
                ),
            ],
        ),
        "c" => (
            "helpers.c",
            "src/helpers.c",
            "src/service.c",
            &[
                ("void answer(", "void helpers(struct request *request, struct reply *reply);\n\n"),
                (
                    "  int is_get = ",
                    "  if (strncmp(request->path, \"/helpers\", strlen(\"/helpers\")) == 0) {\n    \
                     helpers(request, reply);\n    return;\n  }\n",
                ),
            ],
        ),
        language => {
            assert_eq!(language, "go", "it has no such file");
            (
                "helpers.go",
                "helpers.go",
                "service.go",
                &[(
                    "\tswitch request.Method",
                    "\tif isHelped(request) {\n\t\treturn helpers(request, reply)\n\t}\n",
                )],
            )
        }
    };
    let from = root().join("tests/templates/helpers").join(file);
    fs::copy(from, service.join(place)).unwrap();
    let source = service.join(source);
    let mut text = fs::read_to_string(&source).unwrap();
    for (before, added) in edits {
        assert!(text.contains(before), "{before} is not in\n{text}");
        text = text.replacen(before, &format!("{added}{before}"), 1);
    }
    fs::write(source, text).unwrap();
    for (number, case) in cases().iter().enumerate() {
        fs::write(service.join(format!("cases/helpers-{number}.toml")), case).unwrap();
    }
}

/// Let the service have a value that is secret.
pub(super) fn configure(file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let motto = "\nmotto = ";
    assert_eq!(text.matches(motto).count(), 1, "{text}");
    let key = format!("\nkey = \"${{{}}}\"{motto}", SECRET.0);
    fs::write(file, text.replace(motto, &key)).unwrap();
}

/// The same from a bucket in a file, a database and the application file.
pub(super) async fn answer(host: &Host) {
    let reply = host.send("POST", "/helpers?shop", "").await;
    // Keys are in no particular order.
    let mut lines: Vec<&str> = reply.text().lines().collect();
    let keys = lines.get_mut(2).filter(|keys| **keys == "other note");
    if let Some(keys) = keys {
        *keys = "note other";
    }
    let said: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!((reply.status.as_u16(), &*said), (200, OF_BUCKET), "{}", host.log());
    let reply = host.send("POST", "/helpers?sql", "").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, OF_DATABASE), "{}", host.log());
    // What is not granted may not be tried again, as what is away may.
    let reply = host.send("POST", "/helpers?nowhere", "").await;
    assert_eq!(reply.status, 500, "{}{}", reply.text(), host.log());
    for (key, value) in [("key", SECRET.1), ("motto", "Small is beautiful"), ("none", "nothing")] {
        let reply = host.get(&format!("/helpers/{key}")).await;
        let answered = (reply.status.as_u16(), reply.text());
        assert_eq!(answered, (200, &*format!("{value}\n")), "{}", host.log());
    }
    assert!(!host.log().contains(SECRET.1), "{}", host.log());
}

/// A call as a case has it, with an answer and with what is said instead when it fails.
struct Scripted {
    call: String,
    answer: String,
    failure: &'static str,
}

fn cases() -> Vec<String> {
    let of_bucket = CALLS.map(|(function, arguments, answer)| Scripted {
        call: format!(
            "function = \"keyvalue.{function}\"\njson = '{{\"bucket\":\"shop\",{arguments}}}'"
        ),
        answer: format!("answer.json = '{answer}'"),
        failure: "answer.failure = '{\"unavailable\":\"connection refused\"}'",
    });
    let of_database = STATEMENTS.map(|(call, answer)| Scripted {
        call: call.to_owned(),
        answer: answer.to_owned(),
        failure: "answer.error = { unavailable = \"connection refused\" }",
    });
    let of_bucket = cases_of("shop", &of_bucket, OF_BUCKET);
    of_bucket.into_iter().chain(cases_of("sql", &of_database, OF_DATABASE)).collect()
}

/// One where each call is answered, and those where one of them is the last because it fails.
fn cases_of(query: &str, calls: &[Scripted], said: &str) -> Vec<String> {
    let mut text = format!("[request]\nmethod = \"POST\"\npath = \"/helpers?{query}\"\n");
    let mut cases = Vec::new();
    for Scripted { call, answer, failure } in calls {
        let call = format!("\n[[call]]\n{call}\n");
        let response = "[response]\nstatus = 503\nheaders = { retry-after = \"1\" }";
        cases.push(format!("{text}{call}{failure}\n\n{response}\n"));
        text += &format!("{call}{answer}\n");
    }
    cases.push(format!("{text}\n[response]\nstatus = 200\ntext = \"\"\"\n{said}\"\"\"\n"));
    cases
}
