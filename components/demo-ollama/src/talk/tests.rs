use std::time::UNIX_EPOCH;

use serde_json::json;

use super::*;

fn parse(shape: Shape, body: &Value) -> Result<Talk, Refusal> {
    let fields = Fields::parse(body.to_string().as_bytes()).unwrap();
    Talk::parse(shape, &fields, &mut Library::new(UNIX_EPOCH), UNIX_EPOCH, 99)
}

#[test]
fn a_prompt_with_defaults() {
    let talk = parse(Shape::Response, &json!({ "model": "demo", "prompt": "hi" })).unwrap();
    assert!(talk.stream);
    assert_eq!(talk.model, "demo");
    assert_eq!(talk.kind.name, "demo:latest");
    assert_eq!(talk.prompt, [("hi".to_string(), 1.0)]);
    assert_eq!(talk.keep_alive.as_secs(), 300);
    assert_eq!(talk.options.seed, 99);
    assert_eq!(talk.options.num_predict, None);
}

#[test]
fn a_conversation_is_about_its_last_question() {
    let messages = json!([
        { "role": "system", "content": "be brief" },
        { "role": "user", "content": "one" },
        { "role": "assistant", "content": "two" },
        { "role": "User", "content": "three" },
    ]);
    let talk = parse(Shape::Message, &json!({ "model": "demo", "messages": messages })).unwrap();
    assert_eq!(talk.prompt, [("three".to_string(), 1.0), ("one".to_string(), EARLIER)]);
}

#[test]
fn nothing_said_means_load() {
    for (shape, body) in [
        (Shape::Response, json!({ "model": "demo" })),
        (Shape::Response, json!({ "model": "demo", "prompt": "", "keep_alive": 0 })),
        (Shape::Message, json!({ "model": "demo", "messages": [] })),
    ] {
        assert!(parse(shape, &body).unwrap().prompt.is_empty(), "{body}");
    }
    let only_system =
        json!({ "model": "demo", "messages": [{ "role": "system", "content": "x" }] });
    assert!(!parse(Shape::Message, &only_system).unwrap().prompt.is_empty());
}

#[test]
fn options_are_read_with_their_types() {
    let options = |options: Value| {
        let body = json!({ "model": "demo", "prompt": "hi", "options": options });
        parse(Shape::Response, &body).map(|talk| talk.options)
    };
    let read = options(json!({
        "seed": 7, "temperature": 0, "num_predict": 5.0, "stop": ["a"], "num_ctx": 1, "top_p": null,
    }));
    let wanted =
        Options { seed: 7, temperature: 0.0, num_predict: Some(5), stop: vec!["a".to_string()] };
    assert_eq!(read, Ok(wanted));
    assert_eq!(options(json!({ "num_predict": -1 })).unwrap().num_predict, None);
    assert_eq!(options(json!({ "seed": -1 })).unwrap().seed, 99);
    for wrong in [json!({ "seed": "x" }), json!({ "stop": "x" }), json!({ "temperature": [] })] {
        assert_eq!(options(wrong).unwrap_err().status, 500);
    }
}

#[test]
fn what_it_cannot_do_is_refused() {
    let status = |shape, extra: Value| {
        let mut body = json!({ "model": "demo", "prompt": "hi", "messages": [] });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        parse(shape, &body).err().map(|refusal| refusal.status)
    };
    assert_eq!(status(Shape::Message, json!({ "think": false, "tools": [], "format": "" })), None);
    assert_eq!(status(Shape::Message, json!({ "think": true })), Some(StatusCode::BAD_REQUEST));
    assert_eq!(status(Shape::Message, json!({ "tools": [{}] })), Some(StatusCode::BAD_REQUEST));
    assert_eq!(status(Shape::Message, json!({ "format": "json" })), Some(StatusCode::BAD_REQUEST));
    assert_eq!(status(Shape::Response, json!({ "suffix": "x" })), Some(StatusCode::BAD_REQUEST));
    assert_eq!(
        status(Shape::Response, json!({ "keep_alive": "soon" })),
        Some(StatusCode::BAD_REQUEST)
    );
    assert_eq!(status(Shape::Message, json!({ "messages": [5] })), Some(StatusCode::BAD_REQUEST));
    assert_eq!(
        status(Shape::Message, json!({ "messages": [{ "role": "king" }] })),
        Some(StatusCode::BAD_REQUEST)
    );
}

#[test]
fn models_that_are_not_installed_are_not_found() {
    let unknown = parse(Shape::Response, &json!({ "model": "llama3", "prompt": "hi" }));
    assert_eq!(
        unknown.err(),
        Some(Refusal::new(StatusCode::NOT_FOUND, "model 'llama3' not found"))
    );
    let mut library = Library::new(UNIX_EPOCH);
    assert!(library.delete("demo:tiny", UNIX_EPOCH));
    let fields = Fields::parse(br#"{"model":"demo:tiny"}"#).unwrap();
    let deleted = Talk::parse(Shape::Message, &fields, &mut library, UNIX_EPOCH, 0);
    assert_eq!(deleted.err(), Some(Refusal::not_found("demo:tiny")));
}
