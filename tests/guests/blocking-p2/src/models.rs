//! What it does with its model server.

use crate::bindings::wasm_host::ollama::blocking::{self, EventStream};
use crate::bindings::wasm_host::ollama::types::{
    ChatRequest, EmbedRequest, Error, GenerateRequest, Message,
};
use crate::{Client, Done};

const MODEL: &str = "tinyllama";

/// Each piece as it comes.
pub fn chat(client: &Client, prompt: String) -> Done {
    let stream = begin(prompt)?;
    while let Some(event) = stream.next().map_err(words)? {
        client.say(&event.content)?;
        if let Some(summary) = event.done {
            client.say(&format!("\n{} tokens\n", summary.eval_count))?;
        }
    }
    client.say(&format!("then {:?}\n", stream.next()))
}

/// Leave the rest alone.
pub fn first_word(client: &Client, prompt: String) -> Done {
    let event = begin(prompt)?.next().map_err(words)?;
    client.say(&event.map(|event| event.content).unwrap_or_default())
}

/// All the other operations.
pub fn all(client: &Client, prompt: String) -> Done {
    client.say(&format!("version {}\n", blocking::version().map_err(words)?))?;
    for model in blocking::list().map_err(words)? {
        client.say(&format!("model {}\n", model.name))?;
    }
    for model in blocking::running().map_err(words)? {
        client.say(&format!("running {}\n", model.name))?;
    }
    client.say(&format!("shown {}\n", blocking::show(MODEL, None).map_err(words)?))?;
    let request =
        EmbedRequest { model: MODEL.to_string(), input: vec![prompt.clone()], extra: None };
    let embeddings = blocking::embed(&request).map_err(words)?;
    client.say(&format!("vectors {:?}\n", embeddings.vectors))?;
    let request = GenerateRequest { model: MODEL.to_string(), prompt: Some(prompt), extra: None };
    let stream = blocking::generate(&request).map_err(words)?;
    while let Some(event) = stream.next().map_err(words)? {
        client.say(&format!("generated {:?}\n", event.content))?;
    }
    let pull = blocking::pull(MODEL, None).map_err(words)?;
    while let Some(step) = pull.next().map_err(words)? {
        client.say(&format!("pulled {}\n", step.status))?;
    }
    client.say(&format!("deleted {:?}\n", blocking::delete(MODEL)))
}

fn begin(prompt: String) -> Result<EventStream, String> {
    let message = Message { role: "user".to_string(), content: prompt, extra: None };
    let request = ChatRequest { model: MODEL.to_string(), messages: vec![message], extra: None };
    blocking::chat(&request).map_err(words)
}

fn words(error: Error) -> String {
    format!("{error:?}")
}
