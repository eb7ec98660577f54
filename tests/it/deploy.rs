//! The application file as files for other places: what is written, what the tools of those places make of it, and what
//! `deploy apply` does with a cluster.

mod apply;
mod golden;
mod kubernetes;
mod mounts;
mod pods;
mod secrets;

use std::fs;
use std::path::Path;

use wasm_host_tests::host::App;

/// An application with all that its file may have to do with where it runs.
const RICH: &str = r##"name = "shop"

[http]
listen = "127.0.0.1:9000"
hosts = ["shop.example"]

# Its server is elsewhere.
[postgres.orders]
url = "${ORDERS_DB}"
init = "sql/orders.sql"

[postgres.stock]
url = "postgresql://stock:${file:secrets/stock-password}@10.1.2.3:6432/stock"

[postgres.cart]
size = "1GiB"
init = ["sql/cart.sql", "./sql/more.sql"]

[ollama.gpu]
url = "https://gpu.example/llm"

[ollama.small]

[telemetry]
intake-key = "${OTLP_KEY}"

[service.cart]
component = "a.wasm"
postgres = "cart"
ollama = "small"
services = ["inner"]
outbound = ["https://api.example.com", "http://10.9.0.0/16:9000"]
[service.cart.environment]
TOKEN = "Bearer ${API_TOKEN}"
PLAIN = "$${NOT_ONE} {{ braces }}"

[service.stock]
component = "a.wasm"
postgres = "stock"
ollama = "gpu"

[service.inner]
component = "a.wasm"
internal = true
postgres = "orders"

[service.page]
static = "web"
route = "/"

[deploy]
image = "registry.example:5000/shop/app:7"
namespace = "shops"
replicas = 2
replicas-max = 8
ingress-host = "shop.example"
ingress-class = "nginx"
ingress-tls = "shop-certificate"
storage-class = "fast"
metrics-namespace = "monitoring"
"##;

/// The secrets of [`RICH`], with values that no text has by chance.
const SECRETS: [(&str, &str); 3] = [
    ("API_TOKEN", "v4lue-0f-the-token"),
    ("ORDERS_DB", "postgresql://orders:v4lue-0f-orders@db.example/orders"),
    ("OTLP_KEY", "v4lue-0f-the-key-0123456789abcdef0123456789"),
];
const SECRET_OF_FILE: &str = "v4lue-0f-the-file";

/// What every one of them contains, and nothing else does.
const MARK: &str = "v4lue-0f";

/// [`RICH`] in a folder with all files that it names, and its secrets, which commands have at hand as on a laptop.
fn rich() -> App {
    let app = App::new(RICH);
    for (path, text) in [
        ("a.wasm", ""),
        ("web/index.html", ""),
        ("secrets/stock-password", SECRET_OF_FILE),
        ("sql/orders.sql", "create table orders ();\n"),
        (
            "sql/cart.sql",
            "\u{feff}create table cart (name text default '{{ x }} $1 ${Y} \\t''');\n\n  -- indented\n",
        ),
        ("sql/more.sql", "insert into cart default values;"),
    ] {
        let path = app.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    SECRETS.into_iter().fold(app, |app, (name, value)| app.env(name, value))
}

/// Runs a command that ends well. Gives what it printed, on both outputs.
async fn run(app: &App, arguments: &[&str]) -> String {
    let ended = app.run(arguments).await;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let told = text(&ended.stdout) + &text(&ended.stderr);
    assert!(ended.status.success(), "{arguments:?}: {told}");
    told
}

/// All files below a folder, in order, each with its path.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            all.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    all.sort();
    all
}
