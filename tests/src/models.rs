//! Chats as most tests hold them: what is asked, what a scripted model server says, and an application that asks it.

use crate::host::App;
use crate::upstream::{Step, chunk, end, ndjson_head};

/// A chat's request.
pub const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

/// A line of its answer, and the last one.
pub const WORD: &[u8] = b"{\"message\":{\"content\":\"one\"},\"done\":false}\n";
pub const LAST: &[u8] =
    b"{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n";

/// So many words, and the end.
pub fn words(count: usize) -> Vec<Step> {
    let mut steps = vec![Step::Send(ndjson_head())];
    steps.extend((0..count).map(|_| Step::Send(chunk(WORD))));
    steps.extend([Step::Send(chunk(LAST)), Step::Send(end())]);
    steps
}

/// One word, and then nothing for ever.
pub fn one_word() -> Vec<Step> {
    vec![Step::Send(ndjson_head()), Step::Send(chunk(WORD)), Step::Hold]
}

/// A service in front of the model server at `url`, with `keys` in the server's table, and a neighbour that has
/// nothing to do with it.
pub fn app(url: &str, keys: &str) -> App {
    App::new(&format!(
        r#"
name = "models"

[ollama.local]
url = "{url}"
{keys}

[service.chat]
component = "$(ollama)"
ollama = "local"
route = "/"

[service.good]
component = "$(hello-p3)"
"#
    ))
}

/// The service at `/ollama`, with the demo that answers while the model server is away. `keys` are in the server's
/// table.
pub fn with_demo(keys: &str) -> App {
    App::new(&format!(
        r#"
name = "models"

[ollama.local]
fallback = "demo-ollama"
{keys}

[service.ollamaservice]
component = "$(ollama)"
ollama = "local"
route = "/ollama"

[service.demo-ollama]
component = "$(demo-ollama)"
internal = true
"#
    ))
}
