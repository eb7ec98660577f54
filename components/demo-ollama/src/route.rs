//! Which endpoint a request is for. Pure; `lib.rs` answers.

use wasm_host_guest::Method;

/// What a path and a method stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Route {
    Running,
    Version,
    Tags,
    Ps,
    Show,
    Generate,
    Chat,
    Embed,
    Embeddings,
    Pull,
    Delete,
    OpenAiChat,
    OpenAiModels,
    /// Ollama has it, the demo does not.
    Absent,
    /// The path is there for other methods: these.
    MethodNotAllowed(&'static str),
    NotFound,
}

pub(crate) fn route(method: &Method, path: &str) -> Route {
    use Route::*;
    let (route, methods) = match path {
        "/" => (Running, "GET, HEAD"),
        "/api/version" => (Version, "GET, HEAD"),
        "/api/tags" => (Tags, "GET, HEAD"),
        "/api/ps" => (Ps, "GET"),
        "/api/show" => (Show, "POST"),
        "/api/generate" => (Generate, "POST"),
        "/api/chat" => (Chat, "POST"),
        "/api/embed" => (Embed, "POST"),
        "/api/embeddings" => (Embeddings, "POST"),
        "/api/pull" => (Pull, "POST"),
        "/api/delete" => (Delete, "DELETE"),
        "/v1/chat/completions" => (OpenAiChat, "POST"),
        "/v1/models" => (OpenAiModels, "GET"),
        "/api/create" | "/api/push" | "/api/copy" | "/v1/completions" | "/v1/embeddings"
        | "/v1/responses" | "/v1/messages" => (Absent, "POST"),
        blob if blob.starts_with("/api/blobs/") => (Absent, "HEAD, POST"),
        _ => return NotFound,
    };
    if methods.split(", ").any(|allowed| allowed == method) {
        route
    } else {
        MethodNotAllowed(methods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_answers_its_methods_only() {
        for (method, path, expected) in [
            (Method::GET, "/", Route::Running),
            (Method::HEAD, "/", Route::Running),
            (Method::POST, "/", Route::MethodNotAllowed("GET, HEAD")),
            (Method::GET, "/api/version", Route::Version),
            (Method::HEAD, "/api/tags", Route::Tags),
            (Method::GET, "/api/ps", Route::Ps),
            (Method::POST, "/api/show", Route::Show),
            (Method::POST, "/api/generate", Route::Generate),
            (Method::GET, "/api/generate", Route::MethodNotAllowed("POST")),
            (Method::POST, "/api/chat", Route::Chat),
            (Method::POST, "/api/embed", Route::Embed),
            (Method::POST, "/api/embeddings", Route::Embeddings),
            (Method::POST, "/api/pull", Route::Pull),
            (Method::DELETE, "/api/delete", Route::Delete),
            (Method::POST, "/api/delete", Route::MethodNotAllowed("DELETE")),
            (Method::POST, "/api/create", Route::Absent),
            (Method::HEAD, "/api/blobs/sha256:00", Route::Absent),
            (Method::POST, "/v1/chat/completions", Route::OpenAiChat),
            (Method::GET, "/v1/models", Route::OpenAiModels),
            (Method::GET, "/api", Route::NotFound),
            (Method::GET, "/api/tags/", Route::NotFound),
            (Method::from_bytes(b"GETS").unwrap(), "/", Route::MethodNotAllowed("GET, HEAD")),
        ] {
            assert_eq!(route(&method, path), expected, "{path}");
        }
    }
}
