//! The objects as a base of kustomize, with an overlay for a cluster on this machine and one as an example for others.

use crate::data::put;
use serde_json::{Value, json};

use crate::kubernetes::{self, Object};
use crate::plan::{Origin, SecretKey};
use crate::{File, Plan, yaml};

/// The file with secrets of the overlay for this machine.
pub const SECRETS: &str = "overlays/local/secrets.env";

const MADE: &str = "# Made by `wasm-host deploy kubernetes` from the application file, which is where changes belong.\n";

/// All files but the one with secrets.
pub fn files(plan: &Plan) -> Vec<File> {
    let objects = kubernetes::objects(plan);
    let namespace = kubernetes::namespace(plan);
    let mut files: Vec<_> = objects.iter().chain([&namespace]).map(file).collect();
    let names: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
    files.push(File::new("base/kustomization.yaml", base(plan, names)));
    files.push(File::new("overlays/local/kustomization.yaml", local(plan, &objects)));
    files.push(File::new("overlays/local/secrets.env.example", example(plan)));
    files.push(File::new("overlays/production/kustomization.yaml", production(plan, &objects)));
    files.push(File::new(".gitignore", "# Secrets belong into no repository.\nsecrets.env\n"));
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn file(object: &Object) -> File {
    File::new(
        format!("base/{}.yaml", object.file()),
        format!("{MADE}{}", yaml::document(&object.body)),
    )
}

fn kustomization(mut body: Value) -> String {
    put(&mut body, "apiVersion", "kustomize.config.k8s.io/v1beta1");
    put(&mut body, "kind", "Kustomization");
    format!("{MADE}{}", yaml::document(&body))
}

fn base(plan: &Plan, mut names: Vec<String>) -> String {
    names.iter_mut().for_each(|name| *name = name.trim_start_matches("base/").to_owned());
    names.sort();
    kustomization(json!({ "namespace": plan.namespace, "resources": names }))
}

/// Services of the host on ports of the node, and secrets of the file beside it.
fn local(plan: &Plan, objects: &[Object]) -> String {
    let node_port = "- op: replace\n  path: /spec/type\n  value: NodePort\n";
    let selector = format!("app.kubernetes.io/name={}", plan.name);
    let mut patches = vec![json!({
        "target": { "kind": "Service", "labelSelector": selector },
        "patch": node_port,
    })];
    if objects.iter().any(|object| object.kind == "HorizontalPodAutoscaler") {
        // Without an adapter for its figures it has nothing to go by.
        let patch = json!({
            "$patch": "delete",
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": plan.name },
        });
        patches.push(json!({ "patch": yaml::document(&patch) }));
    }
    let mut body = json!({ "resources": ["../../base"], "patches": patches });
    if !plan.all_secrets().is_empty() {
        put(
            &mut body,
            "secretGenerator",
            json!([{
                "name": plan.secret_name(),
                "namespace": plan.namespace,
                "behavior": "merge",
                "envs": ["secrets.env"],
            }]),
        );
        put(&mut body, "generatorOptions", json!({ "disableNameSuffixHash": true }));
    }
    kustomization(body)
}

/// What differs between clusters: the image, and how many of it.
fn production(plan: &Plan, objects: &[Object]) -> String {
    let (name, version) = split(&plan.image);
    let mut image = json!({ "name": name, "newName": name });
    match version {
        Version::Tag(tag) => put(&mut image, "newTag", tag),
        Version::Digest(digest) => put(&mut image, "digest", digest),
    }
    let mut body = json!({ "resources": ["../../base"], "images": [image] });
    if objects.iter().any(|object| {
        object.body.pointer("/spec/replicas").is_some() && object.kind == "Deployment"
    }) {
        let count = plan.deploy.limits.replicas.max(3);
        put(&mut body, "replicas", json!([{ "name": plan.name, "count": count }]));
    }
    let text = kustomization(body);
    let fill = fill(plan, "secrets.env");
    if plan.all_secrets().is_empty() {
        return text;
    }
    // What is not applied with a value is not emptied either.
    format!(
        "{text}# Secrets are filled by others, or from a file as overlays/local has it, once:\n#   {fill}\n"
    )
}

/// The command that fills the Secret from a file.
pub fn fill(plan: &Plan, file: &str) -> String {
    format!(
        "kubectl create secret generic {} -n {} --from-env-file={file} --dry-run=client -o yaml | \
         kubectl apply --server-side --field-manager=secrets -f -",
        plan.secret_name(),
        plan.namespace
    )
}

fn example(plan: &Plan) -> String {
    let mut text = "# Copy this to secrets.env, which is left out of the repository, and fill it; `wasm-host deploy kubernetes` \
                    does\n# both. A name without a value takes that of the environment in which kubectl runs.\n"
        .to_owned();
    for secret in plan.all_secrets() {
        text.push_str(&described(&secret));
        text.push_str(&secret.name);
        text.push_str(if secret.origin == Origin::Environment { "\n" } else { "=\n" });
    }
    text
}

fn described(secret: &SecretKey) -> String {
    match &secret.origin {
        Origin::Environment => String::new(),
        Origin::File(path) => format!("# What is in the file {path}:\n"),
        Origin::Made => {
            "# A password that is made once and stays, as its database does:\n".to_owned()
        }
    }
}

/// The version in the reference of an image.
enum Version<'a> {
    Tag(&'a str),
    Digest(&'a str),
}

fn split(image: &str) -> (&str, Version<'_>) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, Version::Digest(digest));
    }
    match image.rsplit_once(':') {
        // A colon before a slash is that of a port.
        Some((name, tag)) if !tag.contains('/') => (name, Version::Tag(tag)),
        _ => (image, Version::Tag("latest")),
    }
}

/// The lines that a file of secrets lacks. `made` gives a value for each that is to be made.
pub fn missing_secrets(plan: &Plan, file: &str, mut made: impl FnMut() -> String) -> String {
    let has = |name: &str| {
        file.lines().any(|line| line.split('=').next().is_some_and(|key| key.trim() == name))
    };
    let mut lines = String::new();
    for secret in plan.all_secrets().into_iter().filter(|secret| !has(&secret.name)) {
        lines.push_str(&described(&secret));
        match secret.origin {
            Origin::Made => lines.push_str(&format!("{}={}\n", secret.name, made())),
            Origin::Environment => lines.push_str(&format!("{}\n", secret.name)),
            Origin::File(_) => lines.push_str(&format!("{}=\n", secret.name)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_tag_or_a_digest() {
        let of = |image| match split(image) {
            (name, Version::Tag(tag)) => (name, tag),
            (name, Version::Digest(digest)) => (name, digest),
        };
        assert_eq!(of("shop:7"), ("shop", "7"));
        assert_eq!(of("localhost:5000/shop"), ("localhost:5000/shop", "latest"));
        assert_eq!(of("r.example:5000/a/b:7"), ("r.example:5000/a/b", "7"));
        assert_eq!(of("r.example/a@sha256:ab"), ("r.example/a", "sha256:ab"));
    }
}
