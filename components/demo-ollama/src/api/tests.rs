use std::time::UNIX_EPOCH;

use super::*;
use crate::library::KINDS;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn tags_has_what_clients_read() {
    let mut library = Library::new(UNIX_EPOCH);
    library.install(&KINDS[1], UNIX_EPOCH + Duration::from_secs(1));
    let tags = tags(&library);
    let models = tags["models"].as_array().unwrap();
    assert_eq!(models.len(), 2);
    assert_eq!(models[0]["name"], "demo:tiny");
    assert_eq!(models[0]["modified_at"], "1970-01-01T00:00:01Z");
    assert_eq!(keys(&models[1]), ["details", "digest", "model", "modified_at", "name", "size"]);
    assert_eq!(models[1]["details"]["family"], "n-gram (demo)");
    assert_eq!(models[1]["details"]["quantization_level"], "none");
    // The CLI slices the first twelve without looking.
    assert_eq!(models[1]["digest"].as_str().unwrap().len(), 64);
}

#[test]
fn ps_lists_what_is_in_memory() {
    let mut library = Library::new(UNIX_EPOCH);
    assert_eq!(ps(&mut library, UNIX_EPOCH), json!({ "models": [] }));
    library.load(&KINDS[0], UNIX_EPOCH, Duration::from_secs(300));
    let ps = ps(&mut library, UNIX_EPOCH);
    assert_eq!(ps["models"][0]["expires_at"], "1970-01-01T00:05:00Z");
    assert_eq!(ps["models"][0]["size_vram"], 0);
    assert_eq!(ps["models"][0]["context_length"], 3);
}

#[test]
fn show_says_that_it_is_a_demo() {
    let show = show(&KINDS[1], UNIX_EPOCH);
    assert!(show["modelfile"].as_str().unwrap().contains(NOTE));
    assert!(show["modelfile"].as_str().unwrap().contains("looks back 2 words"));
    assert!(show["license"].as_str().unwrap().starts_with("Apache-2.0"));
    // The CLI builds names of fields from the architecture.
    let architecture = show["model_info"]["general.architecture"].as_str().unwrap();
    assert!(show["model_info"][format!("{architecture}.context_length")].is_u64());
    assert!(show["model_info"][format!("{architecture}.embedding_length")].is_u64());
    assert_eq!(show["capabilities"], json!(["completion"]));
}

#[test]
fn pieces_have_the_shape_of_their_endpoint() {
    let text = |shape| Value::Object(piece(shape, "demo", UNIX_EPOCH, " hi")).to_string();
    assert_eq!(
        text(Shape::Response),
        r#"{"created_at":"1970-01-01T00:00:00Z","done":false,"model":"demo","response":" hi"}"#
    );
    assert_eq!(
        text(Shape::Message),
        concat!(
            r#"{"created_at":"1970-01-01T00:00:00Z","done":false,"#,
            r#""message":{"content":" hi","role":"assistant"},"model":"demo"}"#
        )
    );
}

#[test]
fn the_last_line_leaves_out_what_is_zero() {
    let last = piece(Shape::Response, "demo", UNIX_EPOCH, "");
    let none = finish(last.clone(), "load", &Figures::default());
    assert_eq!(keys(&none), ["created_at", "done", "done_reason", "model", "response"]);
    let figures = Figures { count: 3, eval: Duration::from_millis(2), ..Figures::default() };
    let some = finish(last, "stop", &figures);
    assert_eq!(some["done"], true);
    assert_eq!(some["eval_count"], 3);
    assert_eq!(some["eval_duration"], 2_000_000);
    assert!(some.get("load_duration").is_none());
    assert!(some.get("error").is_none());
}

#[test]
fn a_line_is_one_line() {
    let value = json!({ "text": "a\nb" });
    let line = line(&value);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(serde_json::from_slice::<Value>(&line).unwrap(), value);
}

#[test]
fn the_version_has_three_numbers() {
    let version = version();
    let numbers = version["version"].as_str().unwrap().split('-').next().unwrap().to_string();
    assert_eq!(numbers.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3);
}
