//! Services that were added to an application, beside the first one.

use super::{empty, good, keep, model, npm, unit_tests};

#[tokio::test]
async fn services_of_three_languages_are_built_tested_and_served_side_by_side() {
    let (app, model) = (empty(), model().await);
    good(&app, &["new", "shop", "--lang", "c"]).await;
    let folder = app.path().join("shop");
    let _held = keep("new/rust", &folder);
    let app = app.before("cd shop").env("OLLAMA_HOST", &model.url);
    good(&app, &["add", "till", "--lang", "rust", "--with", "ollama"]).await;
    good(&app, &["add", "cart-2", "--lang", "javascript", "--with", "postgres,keyvalue"]).await;
    npm(&folder, "cart-2");
    good(&app, &["build"]).await;
    let tested = good(&app, &["test"]).await;
    assert!(tested.contains("12 passed, 0 failed"), "{tested}");
    for service in ["shop", "till", "cart-2"] {
        let (passed, said) = unit_tests(&folder.join("services").join(service)).await;
        assert!(passed, "{said}");
    }
    good(&app, &["check"]).await;
    let host = app.serve().await;
    for (method, path, expected) in [
        ("GET", "/", "Hello from shop!\n"),
        ("GET", "/till", "Hello from till!\n"),
        ("GET", "/cart-2", "Hello from cart-2!\n"),
        ("POST", "/till/chat", "Not today."),
        ("GET", "/cart-2/greetings", "Hello\nBonjour\nHola\n"),
        ("POST", "/cart-2/visits", "1\n"),
    ] {
        let reply = host.send(method, path, "").await;
        let answer = (reply.status.as_u16(), reply.text());
        assert_eq!(answer, (200, expected), "{path}\n{}", host.log());
    }
}
