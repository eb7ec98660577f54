//! What becomes of application files: what the host reads in a container, what is in the way, and that none of the faults
//! of other tools is here.

mod containers;
mod faults;
mod problems;

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::plan::{self, Input, Platform};
use crate::{Plan, kubernetes};

/// All that the file of an application may have to do with where it runs.
const RICH: &str = r##"name = "shop"

[http]
listen = "127.0.0.1:9000"
hosts = ["shop.example"]

[telemetry]
intake-key = "${OTLP_KEY}" # for programs

# Its server is elsewhere.
[postgres.orders]
url = "${ORDERS_DB}"
init = "sql/orders.sql"

[postgres.stock]
url = "postgresql://stock:${file:secrets/stock-password}@10.1.2.3:6432/stock"
ca = "ca.pem"

[postgres.cart]
size = "1GiB"
init = ["sql/cart.sql", "./sql/more.sql"]

[ollama.gpu]
url = "https://gpu.example/llm"

[ollama.small]

[service.cart]
component = "a.wasm"
postgres = "cart"
ollama = "small"
services = ["inner"]
outbound = ["https://api.example.com", "http://10.9.0.0/16:9000", "http://[fd00::]/16:81"]
[service.cart.environment]
TOKEN = "Bearer ${API_TOKEN}"
PLAIN = "$${NOT_ONE}"

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

/// A folder with all files that [`RICH`] names.
struct Application(TempDir);

impl Application {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("a.wasm", ""),
            ("web/index.html", ""),
            ("sql/orders.sql", "create table orders ();\n"),
            ("sql/cart.sql", "\u{feff}create table cart (name text default '{{ x }} $1 ${Y}');\n"),
            ("sql/more.sql", "insert into cart default values;\n"),
            ("ca.pem", CERTIFICATE),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read(&self, text: &str) -> Result<Plan, String> {
        self.read_for(text, Platform::Cluster)
    }

    fn read_for(&self, text: &str, place: Platform) -> Result<Plan, String> {
        let read = |path: &Path, _: u64| fs::read_to_string(path).map_err(|why| why.to_string());
        let (file, folder) = ("wasm-host.toml", self.path());
        let input = Input { text, file, folder, image: None, place, read: &read };
        plan::read(&input).map_err(|wrong| wrong.to_string())
    }

    #[track_caller]
    fn plan(&self, text: &str) -> Plan {
        self.read(text).unwrap_or_else(|wrong| panic!("{wrong}"))
    }
}

/// The object of a kind and a name.
#[track_caller]
fn object(plan: &Plan, kind: &str, name: &str) -> Value {
    let mut all = kubernetes::objects(plan).into_iter();
    let found = all.find(|object| object.kind == kind && object.name == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}")).body
}

#[track_caller]
fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}

/// Of an authority without a key: it is only read.
const CERTIFICATE: &str = include_str!("tests/ca.pem");
