//! A plain component of WASI 0.2 that uses the older drafts, as others' toolchains make it: it counts its requests in the
//! bucket `default`, by path, and answers with the count, the keys that there are, and what each
//! of two drafts says of its configuration.
#![expect(unsafe_code, reason = "the generated glue of the export")]

mod bindings {
    wit_bindgen::generate!({
        path: [
            "../../../wit/deps/wasi-0.2/io.wit",
            "../../../wit/deps/wasi-0.2/random.wit",
            "../../../wit/deps/wasi-0.2/clocks.wit",
            "../../../wit/deps/wasi-0.2/filesystem.wit",
            "../../../wit/deps/wasi-0.2/sockets.wit",
            "../../../wit/deps/wasi-0.2/cli.wit",
            "../../../wit/deps/wasi-0.2/http.wit",
            "../../../wit/deps/wasi-drafts/config-draft.wit",
            "../../../wit/deps/wasi-drafts/config-draft-2024-09-27.wit",
            "../../../wit/deps/wasi-drafts/keyvalue-draft.wit",
        ],
        inline: "
            package test:keeper;
            world keeper {
                include wasi:http/proxy@0.2.12;
                include wasi:config/imports@0.2.0-draft;
                include wasi:config/imports@0.2.0-draft-2024-09-27;
                include wasi:keyvalue/imports@0.2.0-draft;
            }
        ",
        world: "test:keeper/keeper",
        generate_all,
    });
}

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::config0_2_0_draft::runtime;
use bindings::wasi::config0_2_0_draft_2024_09_27::store as config;
use bindings::wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use bindings::wasi::keyvalue::{atomics, batch, store};

struct Keeper;

impl Guest for Keeper {
    fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
        let key = request.path_with_query().unwrap_or_default();
        let answer = counted(&key).unwrap_or_else(|error| format!("{error:?}\n"));
        let response = OutgoingResponse::new(Fields::new());
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(response_out, Ok(response));
        let Ok(stream) = body.write() else { return };
        if stream.blocking_write_and_flush(answer.as_bytes()).is_err() {
            return;
        }
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}

fn counted(key: &str) -> Result<String, store::Error> {
    let bucket = store::open("default")?;
    let count = atomics::increment(&bucket, key, 1)?;
    bucket.set("last", key.as_bytes())?;
    let found = batch::get_many(&bucket, &["last".to_owned(), "none".to_owned()])?;
    let found = found.iter().flatten().count();
    let mut keys = bucket.list_keys(None)?.keys;
    keys.sort();
    let greeting = runtime::get("greeting").ok().flatten().unwrap_or_default();
    // What the other draft says of the same values.
    let name = config::get("name").ok().flatten().unwrap_or_default();
    let known = config::get_all().map(|all| all.len()).unwrap_or_default();
    Ok(format!("{count} {found} {} {greeting} {name} of {known}\n", keys.join(",")))
}

bindings::export!(Keeper with_types_in bindings);
