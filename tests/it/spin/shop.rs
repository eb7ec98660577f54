//! A service of Spin that asks a database, a store and a model for one answer, in three languages, and in one of them by two
//! of its SDKs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;
use wasm_host_tests::client::KeepAlive;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, COMPILATION, Host, component};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, json, ndjson_head};

/// One that praises whatever it is asked for, and knows one embedding.
async fn model() -> Upstream {
    Upstream::start(|request| {
        if request.contains("/api/embed") {
            let answer = r#"{"model":"m","embeddings":[[0.5,-1.0]],"prompt_eval_count":3}"#;
            return vec![Step::Send(json("200 OK", answer))];
        }
        let lines = [
            r#"{"response":"It is ","done":false}"#,
            r#"{"response":"good","done":true,"done_reason":"stop","prompt_eval_count":5,"eval_count":2}"#,
        ];
        let [first, last] = lines.map(|line| chunk(format!("{line}\n").as_bytes()));
        // The end comes with the last line: a reader that stops there may see it or not, otherwise.
        vec![Step::Send(ndjson_head()), Step::Send(first), Step::Send([last, end()].concat())]
    })
    .await
}

fn app(postgres: &Postgres, model: &Upstream, guest: &str) -> App {
    App::new(&format!(
        r#"
name = "spun"

[postgres.shop]
url = "${{DB_URL}}"

[keyvalue.carts]

[ollama.gpu]
url = "{}"

[service.shop]
component = "$({guest})"
route = "/"
keep-path = true
postgres = "shop"
keyvalue = "carts"
ollama = "gpu"
"#,
        model.url
    ))
    .env("DB_URL", &postgres.url())
}

const ANSWER: &str = "tea for 3, last tea: It is good";

/// Requests that go on until they are told to stop, and what was wrong with their answers.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<(u64, Vec<String>)>,
}

impl Load {
    fn start(host: &Host) -> Self {
        let mut load = Self { stop: Arc::default(), tasks: JoinSet::new() };
        for _ in 0..6 {
            let (stop, address) = (load.stop.clone(), host.address.clone());
            load.tasks.spawn(async move {
                let (mut answered, mut wrong) = (0, Vec::new());
                let mut connection = KeepAlive::connect(&address).await;
                while !stop.load(Ordering::Relaxed) {
                    match connection.get("/shop?tea").await {
                        Ok((status, body))
                            if status == 200 && body.ends_with(ANSWER.as_bytes()) =>
                        {
                            answered += 1;
                        }
                        Ok((status, body)) => {
                            wrong.push(format!("{status} {}", String::from_utf8_lossy(&body)));
                        }
                        Err(error) => {
                            wrong.push(error.to_string());
                            connection = KeepAlive::connect(&address).await;
                        }
                    }
                }
                (answered, wrong)
            });
        }
        load
    }

    async fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.tasks.join_all().await;
        let answered = ended.iter().map(|(answered, _)| answered).sum();
        (answered, ended.into_iter().flat_map(|(_, wrong)| wrong).collect())
    }
}

async fn is_served(host: &Host, language: &str) {
    eventually("the new version to answer", async || {
        let reply = host.get("/shop?tea").await;
        (reply.text() == format!("{language}: {ANSWER}")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn components_of_three_languages_replace_each_other_and_no_request_fails() {
    let (postgres, model) = (Postgres::start(), model().await);
    let app = app(&postgres, &model, "spin-rust");
    // So that a swap does not compile an interpreter.
    for interpreter in ["spin-py", "spin-js", "spin-js-2"] {
        let file = component(interpreter);
        app.compile(&[file.to_str().unwrap()]).await;
    }
    let host = app.serve().await;
    is_served(&host, "rust").await;
    let load = Load::start(&host);
    for (guest, language) in [
        ("spin-py", "python"),
        ("spin-js", "javascript"),
        ("spin-rust", "rust"),
        ("spin-js-2", "javascript 2"),
        ("spin-py", "python"),
    ] {
        let reply = host.swap("shop", "", std::fs::read(component(guest)).unwrap()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.json()["verdict"], "activated", "{}", reply.text());
        is_served(&host, language).await;
    }
    let (answered, wrong) = load.end().await;
    assert_eq!(wrong, Vec::<String>::new(), "of {answered}\n{}", host.log());
    assert!(answered > 20, "{answered} requests prove little");
}

/// Answer requests, and answer them again from what was recorded, with nothing there. `embedded`: what the component says
/// of an embedding, if it asks for any.
async fn is_replayed(guest: &str, language: &str, embedded: Option<&str>) {
    let (postgres, model) = (Postgres::start(), model().await);
    let app = app(&postgres, &model, guest);
    app.compile(&[]).await;
    let host = app.serve_with(&["--record", "recorded"]).await;
    assert_eq!(host.get("/shop?tea").await.text(), format!("{language}: {ANSWER}"));
    if let Some(embedded) = embedded {
        let reply = host.get("/embed?tea").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, embedded), "{language}");
    }
    let (status, log) = host.stop().await;
    assert!(status.success(), "{log}");
    drop((postgres, model));
    let cases = app.path().join("recorded/shop");
    let mut texts = String::new();
    for file in std::fs::read_dir(&cases).unwrap() {
        texts += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    let parts = ["select 3::int as price", "keyvalue.set", "keyvalue.get", "/api/generate"];
    for part in parts.into_iter().chain(embedded.map(|_| "/api/embed")) {
        assert!(texts.contains(part), "{part} is not in\n{texts}");
    }
    let (file, cases) = (component(guest), cases.display().to_string());
    let arguments = ["test", file.to_str().unwrap(), "--cases", &cases];
    let output = app.run_within(COMPILATION, &arguments).await;
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{told}");
}

#[tokio::test]
async fn a_component_in_rust_is_recorded_and_replayed_with_nothing_there() {
    is_replayed("spin-rust", "rust", Some("[[0.5, -1.0]] (3)")).await;
}

#[tokio::test]
async fn a_component_in_python_is_recorded_and_replayed_with_nothing_there() {
    is_replayed("spin-py", "python", Some("[[0.5, -1.0]] (3)")).await;
}

#[tokio::test]
async fn a_component_in_javascript_is_recorded_and_replayed_with_nothing_there() {
    is_replayed("spin-js", "javascript", Some("[[0.5,-1]] (3)")).await;
}

#[tokio::test]
async fn a_component_of_the_older_sdk_is_recorded_and_replayed_with_nothing_there() {
    is_replayed("spin-js-2", "javascript 2", None).await;
}
