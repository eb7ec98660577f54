//! The same objects as a Helm chart. What its user may choose is in `values.yaml`, with what the application file says.

use serde_json::{Map, Value, json};

use crate::kubernetes::{self, Knob, Object};
use crate::{File, Plan, yaml};

/// Around the name of a value where it is to stand in an object. Plain words, which stay as they are in YAML.
const BEGIN: &str = "KNOB-";
const END: &str = "-BONK";

const MADE: &str =
    "# Made by `wasm-host deploy helm` from the application file, which is where changes belong.\n";

/// All files of the chart.
pub fn files(plan: &Plan) -> Vec<File> {
    let objects = kubernetes::objects(plan);
    let mut files: Vec<_> = objects.iter().map(template).collect();
    files.push(File::new("Chart.yaml", chart(plan)));
    files.push(File::new("templates/NOTES.txt", notes(plan)));
    files.push(File::new("values.yaml", values(plan, &objects)));
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn chart(plan: &Plan) -> String {
    yaml::document(&json!({
        "apiVersion": "v2",
        "name": plan.name,
        "description": format!("The application {}, made of its application file by wasm-host", plan.name),
        "type": "application",
        "version": "0.1.0",
        "kubeVersion": ">=1.28.0-0",
    }))
}

fn template(object: &Object) -> File {
    let mut body = object.body.clone();
    for Knob { pointer, value } in &object.knobs {
        if let Some(place) = body.pointer_mut(pointer) {
            *place = format!("{BEGIN}{}{END}", value.replace('.', "-dot-")).into();
        }
    }
    // Before values are put in, all braces are the object's own.
    let mut text = yaml::document(&body).replace("{{", "{{ \"{{\" }}");
    for Knob { value, .. } in &object.knobs {
        let place = format!("{BEGIN}{}{END}", value.replace('.', "-dot-"));
        text = text.replace(&place, &format!("{{{{ .Values.{value} | toJson }}}}"));
    }
    if let Some(wanted) = object.wanted_by {
        text = format!("{{{{- if .Values.{wanted} }}}}\n{text}{{{{- end }}}}\n");
    }
    text.insert_str(0, MADE);
    File::new(format!("templates/{}.yaml", object.file()), text)
}

/// What each value is in the objects as they are.
fn values(plan: &Plan, objects: &[Object]) -> String {
    let mut values = Map::new();
    for object in objects {
        for Knob { pointer, value } in &object.knobs {
            let found = object.body.pointer(pointer).cloned().unwrap_or_default();
            put(&mut values, value, found);
        }
        if let Some(wanted) = object.wanted_by {
            put(&mut values, wanted, true.into());
        }
    }
    let mut text = format!(
        "{MADE}# What differs between clusters. Everything else is in the application file of {}.\n",
        plan.name
    );
    text.push_str(&yaml::document(&Value::Object(values)));
    text
}

fn put(values: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            values.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = values.entry(first).or_insert_with(|| Map::new().into());
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}

fn notes(plan: &Plan) -> String {
    let mut text =
        format!("{} answers at the Service {}, port {}.\n", plan.name, plan.name, plan.port);
    if !plan.all_secrets().is_empty() {
        let names: Vec<_> = plan.all_secrets().into_iter().map(|secret| secret.name).collect();
        text.push_str(&format!(
            "\nIts pods wait until the Secret {} has {}:\n\n  kubectl create secret generic {} -n {{{{ \
             .Release.Namespace }}}} --from-env-file=secrets.env --dry-run=client -o yaml | kubectl apply \
             --server-side --field-manager=secrets -f -\n",
            plan.secret_name(),
            names.join(", "),
            plan.secret_name(),
        ));
    }
    text
}
