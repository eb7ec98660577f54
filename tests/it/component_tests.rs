//! `wasm-host test`: a component alone, its cases, and what people and programs are told of them.

mod faults;
mod reports;

use std::path::Path;
use std::process::Output;

use wasm_host_tests::host::{App, component};

/// A folder of cases.
struct Cases(App);

impl Cases {
    fn new(cases: &[(&str, &str)]) -> Self {
        let app = App::new("");
        // Compiled code is the user's own otherwise.
        let cache = app.path().join("cache");
        let app = app.env("XDG_CACHE_HOME", cache.to_str().unwrap());
        std::fs::create_dir(app.path().join("cases")).unwrap();
        for (name, text) in cases {
            std::fs::write(app.path().join(format!("cases/{name}.toml")), text).unwrap();
        }
        Self(app)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(format!("cases/{name}.toml"))).unwrap()
    }

    /// `wasm-host test` of a component with these cases.
    async fn run(&self, name: &str, arguments: &[&str]) -> Output {
        let file = component(name);
        let arguments = [&["test", file.to_str().unwrap(), "--cases", "cases"], arguments].concat();
        self.0.run(&arguments).await
    }

    /// The exit code and the report of the same.
    async fn report(&self, name: &str, arguments: &[&str]) -> (Option<i32>, serde_json::Value) {
        let output = self.run(name, &[&["--format", "json"], arguments].concat()).await;
        let told = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout).expect(&told);
        (output.status.code(), report)
    }
}

/// The report of one case.
fn case<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let mut cases = report["components"][0]["cases"].as_array().unwrap().iter();
    cases.find(|case| case["name"] == name).unwrap()
}
