use super::*;
use wasm_host_settings::secret::Secret;
use wasm_host_testkit::case::Case;

fn recorded(text: &str, body: &str) -> Recorded {
    let case = Case::parse(text, std::path::Path::new("a.toml")).unwrap();
    Recorded { case, body: body.into() }
}

fn written(recorded: Recorded) -> String {
    text(recorded, &Redactor::new(&[], &[]).unwrap()).unwrap().text
}

#[test]
fn a_password_of_the_request_is_not_in_what_is_made_of_it() {
    let text = r#"
[request]
method = "POST"
path = "/login"
json = '{"name":"ada","password":"hunter2","session_token":"abcdefgh-1","pin":4711}'
[[call]]
query = "select id from users where name = $1 and password = $2 and pin = $3"
parameters = ["ada", "hunter2", { int32 = 4711 }]
answer.columns = ["id int4", "session_id uuid", "token_secret float8"]
answer.rows = [[1, "6f1c2d3e-0a1b-4c5d-8e9f-0123456789ab", 1.25]]
[[call]]
http = "GET http://other/of/abcdefgh-1"
headers = { x-forwarded-for-user = "ada abcdefgh-1" }
[[call]]
function = "keyvalue.set"
json = { key = "of abcdefgh-1", value = "hunter2", login = { password = "other-secret", name = "ada", size = 12 } }
answer.json = '{"token":"third-secret","numbers":[4711, 5],"bytes":[104,117,110,116,101,114,50]}'
[[call]]
function = "login.begin"
json = { user = "ada", password = { old = "fourth-secret", codes = ["fifth-secret"] } }
answer.failure = '["hunter2","wrong"]'
[response]
status = 200
headers = { x-of = "abcdefgh-1" }
"#;
    // As it is when it was recorded.
    let mut recorded = recorded(text, "hello ada of abcdefgh-1");
    recorded.case.request.content = Content::Stream {
        pieces: vec![Piece::Bytes(match recorded.case.request.content {
            Content::Whole(body) => body.bytes().to_vec(),
            _ => Vec::new(),
        })],
        lines: false,
    };
    let written = written(recorded);
    for secret in [
        "hunter2",
        "abcdefgh-1",
        "4711",
        "6f1c2d3e",
        "1.25",
        "other-secret",
        "third-secret",
        "fourth-secret",
        "104,117",
        "fifth-secret",
    ] {
        assert!(!written.contains(secret), "{secret} is in\n{written}");
    }
    // What the component makes of `redacted` in a test is what the case expects.
    for kept in [
        r#"parameters = ["ada", "redacted", { int32 = 0 }]"#,
        "GET http://other/of/redacted",
        "hello ada of redacted",
        r#"json = '{"key":"of redacted","login":{"name":"ada","password":"redacted","size":12},"value":"redacted"}'"#,
        r#"answer.failure = '["redacted","wrong"]'"#,
        r#"json = '{"password":{"codes":["redacted"],"old":"redacted"},"user":"ada"}'"#,
    ] {
        assert!(written.contains(kept), "{kept} is not in\n{written}");
    }
}

#[test]
fn a_secret_within_bytes_of_a_function_is_not_in_the_case() {
    let session = [b"\xff\x00token-of-nobody\xfe".as_slice(), b"\xff abcdefgh-1".as_slice()];
    let [known, named] = session.map(|bytes| BASE64_STANDARD.encode(bytes));
    let text = format!(
        r#"
[request]
path = "/login?token=abcdefgh-1"
[[call]]
function = "keyvalue.set"
json = {{ key = "a", value = {{ base64 = "{known}" }} }}
[[call]]
function = "keyvalue.get"
json = {{ key = "b" }}
answer.json = '{{"base64":"{named}"}}'
[response]
status = 200
"#
    );
    let secrets = [Secret::new("token-of-nobody".to_owned())];
    let redactor = Redactor::new(&[], &secrets).unwrap();
    let written = super::text(recorded(&text, ""), &redactor).unwrap().text;
    for (secret, clean) in
        [(known, b"\xff\x00redacted\xfe".as_slice()), (named, b"\xff redacted".as_slice())]
    {
        assert!(!written.contains(&secret), "{secret} is in\n{written}");
        let clean = BASE64_STANDARD.encode(clean);
        assert!(written.contains(&clean), "{clean} is not in\n{written}");
    }
}
