//! `[deploy]`, and where orchestrators ask.

use super::*;

const SERVICE: &str = "[service.a]\ncomponent = \"weather\"\n";

#[test]
fn a_deployment_has_defaults_and_says_what_it_says() {
    let application = Application::new();
    let config = application.config(&format!("name = \"shop\"\n{SERVICE}"));
    let deploy = &config.deploy;
    assert_eq!((deploy.image.as_ref(), deploy.namespace.as_ref()), (None, None));
    assert_eq!((deploy.limits.replicas, deploy.limits.replicas_max), (1, None));
    assert_eq!(config.probes, None);
    let config = application.config(&format!(
        "name = \"shop\"\n[admin]\nprobes = \"0.0.0.0:8082\"\n{SERVICE}[deploy]\nimage = \
         \"r.example:5000/shop/app:7@sha256:0a1b\"\nreplicas = 2\nreplicas-max = 2\ningress-host = \"a.example\"\n"
    ));
    assert_eq!(config.deploy.limits.replicas_max, Some(2));
    assert_eq!(config.probes.unwrap().to_string(), "0.0.0.0:8082");
    assert_eq!(warnings(&application.config(&format!("name = \"shop\"\n{SERVICE}"))), "");
}

#[test]
fn what_is_wrong_with_a_deployment_is_told_word_for_word() {
    let told = Application::new().rejected(&format!(
        r##"name = "shop"
[admin]
probes = "127.0.0.1:8080"
{SERVICE}[deploy]
image = "an image"
imagee = "x"
namespace = "Shop"
ingress-class = "nginx"
storage-class = "-fast"
replicas = 3
replicas-max = 2
postgres-image = "x@sha256:zz"
"##
    ));
    let expected = r##"wasm-host.toml:3:10: error: 'probes' and [http] both listen on 127.0.0.1:8080; give 'probes' another port, as in probes = "0.0.0.0:8082"
wasm-host.toml:7:9: error: 'an image' is not the reference of an image; write it as in "registry.example/shop/app:7"
wasm-host.toml:8:1: error: unknown key 'imagee'; did you mean 'image'?
wasm-host.toml:9:13: error: 'Shop' cannot be a name in a cluster; write a-z, 0-9 and '-', and neither first nor last a '-'
wasm-host.toml:10:1: error: 'ingress-class' means nothing without 'ingress-host'; add ingress-host = "app.example.com", or remove it
wasm-host.toml:11:17: error: '-fast' cannot be a name in a cluster; write a-z, 0-9 and '-', and neither first nor last a '-'
wasm-host.toml:13:1: error: 'replicas-max' is 2, and 'replicas' is 3; let it be at least as much
wasm-host.toml:14:18: error: 'x@sha256:zz' is not the reference of an image; write it as in "registry.example/shop/app:7""##;
    assert_eq!(told, expected, "\n{told}");
}
