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
    let method = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Delete => "DELETE",
        _ => return MethodNotAllowed(methods),
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
            (Method::Get, "/", Route::Running),
            (Method::Head, "/", Route::Running),
            (Method::Post, "/", Route::MethodNotAllowed("GET, HEAD")),
            (Method::Get, "/api/version", Route::Version),
            (Method::Head, "/api/tags", Route::Tags),
            (Method::Get, "/api/ps", Route::Ps),
            (Method::Post, "/api/show", Route::Show),
            (Method::Post, "/api/generate", Route::Generate),
            (Method::Get, "/api/generate", Route::MethodNotAllowed("POST")),
            (Method::Post, "/api/chat", Route::Chat),
            (Method::Post, "/api/embed", Route::Embed),
            (Method::Post, "/api/embeddings", Route::Embeddings),
            (Method::Post, "/api/pull", Route::Pull),
            (Method::Delete, "/api/delete", Route::Delete),
            (Method::Post, "/api/delete", Route::MethodNotAllowed("DELETE")),
            (Method::Post, "/api/create", Route::Absent),
            (Method::Head, "/api/blobs/sha256:00", Route::Absent),
            (Method::Post, "/v1/chat/completions", Route::OpenAiChat),
            (Method::Get, "/v1/models", Route::OpenAiModels),
            (Method::Get, "/api", Route::NotFound),
            (Method::Get, "/api/tags/", Route::NotFound),
            (Method::Other("GETS".to_string()), "/", Route::MethodNotAllowed("GET, HEAD")),
        ] {
            assert_eq!(route(&method, path), expected, "{path}");
        }
    }
}
