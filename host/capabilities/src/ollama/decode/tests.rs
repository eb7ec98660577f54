use super::*;

#[test]
fn generate_and_chat_lines_give_the_same_events() {
    let generated = generate_line(
        r#"{"model":"m","response":"Hi","thinking":"hm","tool_calls":[ {"a":1.0} ],"done":false}"#
            .into(),
    );
    let chatted = chat_line(
        r#"{"message":{"role":"assistant","content":"Hi","thinking":"hm","tool_calls":[ {"a":1.0} ]},"x":1}"#
            .into(),
    );
    for line in [generated, chatted] {
        let Ok(Line::Item(event)) = line else { panic!("{line:?}") };
        assert_eq!(event.content, "Hi");
        assert_eq!(event.thinking.as_deref(), Some("hm"));
        assert_eq!(event.tool_calls.as_deref(), Some(r#"[ {"a":1.0} ]"#));
        assert!(event.done.is_none());
    }
}

#[test]
fn the_last_line_carries_figures_and_maybe_text() {
    let raw = r#"{"response":"!","done":true,"done_reason":"stop","eval_count":7,"eval_duration":9,"context":[1]}"#;
    let Ok(Line::Last(event, summary)) = generate_line(raw.into()) else { panic!() };
    assert_eq!((event.content.as_str(), event.raw.as_str()), ("!", raw));
    assert_eq!(summary.done_reason.as_deref(), Some("stop"));
    assert_eq!((summary.eval_count, summary.eval_duration, summary.load_duration), (7, 9, 0));
}

#[test]
fn an_error_line_is_an_error_in_every_stream() {
    let raw = r#"{"error":"gone wrong"}"#.to_string();
    assert!(matches!(generate_line(raw.clone()), Ok(Line::Error(text)) if text == "gone wrong"));
    assert!(matches!(chat_line(raw.clone()), Ok(Line::Error(text)) if text == "gone wrong"));
    assert!(matches!(progress_line(raw), Ok(Line::Error(text)) if text == "gone wrong"));
    let none = r#"{"status":"pulling manifest","error":null}"#.to_string();
    assert!(matches!(progress_line(none), Ok(Line::Item(_))));
}

#[test]
fn only_success_ends_a_pull() {
    let Ok(Line::Item(layer)) = progress_line(
        r#"{"status":"pulling 8de95da68dc4","digest":"sha256:8de9","total":10}"#.into(),
    ) else {
        panic!()
    };
    assert_eq!((layer.total, layer.completed), (Some(10), None));
    assert!(matches!(progress_line(r#"{"status":"success"}"#.into()), Ok(Line::Last(..))));
}

#[test]
fn what_is_no_object_is_malformed() {
    for raw in ["[]", "1", "null", "{", r#"{"done":1}"#, "data: {}", "{} {}"] {
        assert!(matches!(chat_line(raw.into()), Err(Error::Malformed(_))), "{raw}");
    }
    assert!(matches!(any_object("[]".into()), Err(Error::Malformed(_))));
}

#[test]
fn lists_keep_what_they_do_not_know() {
    let raw = r#"{"name":"a:b","model":"a:b","size":3,"digest":"d","modified_at":"2026-01-02T03:04:05Z","details":{"format":"gguf","family":"q","families":null,"parameter_size":"1B","quantization_level":"Q4_0"},"later":[1.0]}"#;
    let list = models(&format!(r#"{{"models":[{raw}]}}"#)).unwrap();
    assert_eq!(list[0].raw, raw);
    assert_eq!((list[0].name.as_str(), list[0].details.format.as_str()), ("a:b", "gguf"));
    assert!(models(r#"{"models":null}"#).unwrap().is_empty());
    let running = loaded(r#"{"models":[{"model":"m","size_vram":5,"expires_at":"e"}]}"#).unwrap();
    assert_eq!((running[0].name.as_str(), running[0].size_vram), ("m", 5));
    assert_eq!(embeddings(r#"{"embeddings":[[0.5,-1]]}"#.into()).unwrap().vectors, [[0.5, -1.0]]);
}

#[test]
fn odd_figures_of_other_servers_are_no_mistake() {
    let raw = r#"{"message":{"content":"!"},"done":true,"done_reason":7,"load_duration":-1,"total_duration":1.5,"eval_count":12.0,"prompt_eval_count":"3","eval_duration":1e30,"prompt_eval_duration":[]}"#;
    let Ok(Line::Last(event, summary)) = chat_line(raw.into()) else { panic!() };
    assert_eq!((event.raw.as_str(), event.content.as_str()), (raw, "!"));
    assert_eq!((summary.done_reason, summary.load_duration, summary.total_duration), (None, 0, 1));
    assert_eq!((summary.eval_count, summary.prompt_eval_count), (12, 0));
    assert_eq!((summary.eval_duration, summary.prompt_eval_duration), (u64::MAX, 0));
    let Ok(Line::Item(step)) =
        progress_line(r#"{"status":"pulling","total":10.0,"completed":-5,"digest":1}"#.into())
    else {
        panic!()
    };
    assert_eq!((step.total, step.completed, step.digest), (Some(10), None, None));
}

#[test]
fn one_bad_model_of_a_list_costs_itself() {
    let odd = r#"{"name":"odd","size":-1,"details":[],"modified_at":5}"#;
    let list = models(&format!(r#"{{"models":[{odd},7,{{"name":"good","size":1e3}}]}}"#)).unwrap();
    let told: Vec<_> = list.iter().map(|model| (model.name.as_str(), model.size)).collect();
    assert_eq!((told, list[0].raw.as_str()), (vec![("odd", 0), ("good", 1000)], odd));
    let list = loaded(r#"{"models":[null,{"name":"m","size_vram":"big"}]}"#).unwrap();
    assert_eq!((list.len(), list[0].size_vram), (1, 0));
}

#[test]
fn half_a_character_of_a_model_is_the_replacement_character() {
    let raw = r#"{"response":"a\ud83db","thinking":"\ude00","done":false}"#;
    let Ok(Line::Item(event)) = generate_line(raw.into()) else { panic!() };
    assert_eq!((event.content.as_str(), event.raw.as_str()), ("a\u{fffd}b", raw));
    assert_eq!(event.thinking.as_deref(), Some("\u{fffd}"));
    let Ok(Line::Item(event)) = generate_line(r#"{"response":"\ud83d\ude00"}"#.into()) else {
        panic!()
    };
    assert_eq!(event.content, "😀");
    assert!(generate_line(r#"{"response":5}"#.into()).is_err());
}
