//! Secrets: their values are in nothing that is made, and files of the user's are left as they are.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{MARK, files, rich, run};
use wasm_host_tests::kubernetes::{kustomize, validated};

#[tokio::test]
async fn no_value_of_a_secret_is_in_anything_that_is_made() {
    let app = rich();
    let mut told = String::new();
    for arguments in [
        &["manifest"][..],
        &["manifest", "--output", "made/manifest"],
        &["deploy", "kubernetes", "--output", "made/k8s"],
        &["deploy", "helm", "--output", "made/chart"],
        &["deploy", "compose", "--output", "made/compose.yaml"],
        &["deploy", "podman", "--output", "made/podman"],
        &["deploy", "systemd", "--output", "made/systemd"],
    ] {
        told += &run(&app, arguments).await;
    }
    assert!(!told.contains(MARK), "{told}");
    let made = files(&app.path().join("made"));
    assert!(made.len() > 50, "{}", made.len());
    for (path, text) in &made {
        assert!(!text.contains(MARK), "{path}:\n{text}");
    }
    // What is made for servers is in the files for it, and in nothing that is printed.
    let is_for_it =
        |path: &str| path.ends_with(".env") || path.ends_with("podman/values.secrets.yaml");
    let (secrets, rest): (Vec<_>, Vec<_>) = made.iter().partition(|(path, _)| is_for_it(path));
    assert_eq!(secrets.len(), 3);
    for (path, text) in secrets {
        let values = text
            .lines()
            .map(str::trim_start)
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('=').or(line.split_once(": \"")));
        let values: Vec<_> = values.filter(|(_, value)| !value.is_empty()).collect();
        assert_eq!(values.len(), 2, "{path}: {text}");
        for (name, value) in values {
            assert!(value.len() >= 22 && name.starts_with("POSTGRES_CART_"), "{path}: {name}");
            assert!(!told.contains(value));
            assert!(rest.iter().all(|(_, text)| !text.contains(value)));
        }
        let mode = fs::metadata(app.path().join("made").join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

#[tokio::test]
async fn secrets_stay_when_files_are_made_again_and_get_what_is_new() {
    let app = rich();
    let make = ["deploy", "kubernetes", "--output", "k8s"];
    run(&app, &make).await;
    let path = app.path().join("k8s/overlays/local/secrets.env");
    let before = fs::read_to_string(&path).unwrap();
    fs::write(&path, before.replace("#OTLP_KEY=\n", "OTLP_KEY=mine\n").trim_end()).unwrap();
    let kept = fs::read_to_string(&path).unwrap();
    run(&app, &make).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), kept);
    let file = fs::read_to_string(app.path().join("wasm-host.toml")).unwrap();
    fs::write(app.path().join("wasm-host.toml"), format!("{file}\n[postgres.late]\n")).unwrap();
    run(&app, &make).await;
    let after = fs::read_to_string(&path).unwrap();
    assert!(after.starts_with(&format!("{kept}\n")), "{after}");
    assert!(after.contains("\nPOSTGRES_LATE_PASSWORD="), "{after}");
    // What is not filled is not applied, not even empty.
    let rendered = kustomize(&app.path().join("k8s/overlays/local")).await;
    assert!(rendered.contains("OTLP_KEY: bWluZQ=="), "{rendered}");
    assert!(!rendered.contains("API_TOKEN: "), "{rendered}");
}

#[tokio::test]
async fn values_for_podman_stay_and_get_what_is_new_and_what_is_not_filled_is_told() {
    let app = rich();
    let make = ["deploy", "podman"];
    let told = run(&app, &make).await;
    assert!(!told.contains(".gitignore"), "{told}");
    let lacks = "podman/values.secrets.yaml has no value for API_TOKEN, FILE_SECRETS_STOCK_PASSWORD, ORDERS_DB, OTLP_KEY";
    assert!(told.contains(lacks), "{told}");
    let path = app.path().join("podman/values.secrets.yaml");
    let before = fs::read_to_string(&path).unwrap();
    let filled = before.replace("  #OTLP_KEY: \"\"\n", "  OTLP_KEY: mine\n");
    assert_ne!(filled, before);
    fs::write(&path, filled.trim_end()).unwrap();
    let file = fs::read_to_string(app.path().join("wasm-host.toml")).unwrap();
    fs::write(app.path().join("wasm-host.toml"), format!("{file}\n[postgres.late]\n")).unwrap();
    let told = run(&app, &make).await;
    assert!(told.contains("API_TOKEN, FILE_SECRETS_STOCK_PASSWORD, ORDERS_DB: fill"), "{told}");
    let after = fs::read_to_string(&path).unwrap();
    assert!(
        after.starts_with(&filled) && after.contains("\n  POSTGRES_LATE_PASSWORD: \""),
        "{after}"
    );
    run(&app, &make).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), after);
    // As its reader has it, with what is to be filled left out.
    let map = &validated(&[&after]).await.remove(0)[0];
    let keys: Vec<_> = map["data"].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 5, "{keys:?}");
    assert_eq!(map["data"]["OTLP_KEY"], "mine");
}

#[tokio::test]
async fn what_other_forms_have_in_the_same_folder_stays() {
    let app = rich();
    run(&app, &["deploy", "compose"]).await;
    fs::write(app.path().join(".gitignore"), "target\n").unwrap();
    let told = run(&app, &["deploy", "podman", "--output", "."]).await;
    // The user's own, which stays as it is.
    assert!(told.contains(".gitignore does not name values.secrets.yaml: add it"), "{told}");
    assert_eq!(fs::read_to_string(app.path().join(".gitignore")).unwrap(), "target\n");
    assert!(app.path().join("compose.yaml").is_file() && app.path().join("shop-1.yaml").is_file());
    let file = fs::read_to_string(app.path().join("wasm-host.toml")).unwrap();
    let file = file.replace("replicas = 2\n", "replicas = 1\n");
    fs::write(app.path().join("wasm-host.toml"), file).unwrap();
    run(&app, &["deploy", "podman", "--output", "."]).await;
    assert!(!app.path().join("shop-1.yaml").exists() && app.path().join("shop.yaml").is_file());
    assert!(
        app.path().join("compose.yaml").is_file()
            && app.path().join("values.secrets.yaml").is_file()
    );
}

// Fault (Deployment): a secret has no value when files are made | says so, with the command that adds it, and applies nothing for it | pods wait and name it | nothing
#[tokio::test]
async fn secrets_without_a_value_are_told_with_the_commands_that_fill_them() {
    let app = rich();
    let make = ["deploy", "kubernetes", "--output", "k8s"];
    let told = run(&app, &make).await;
    let file = "k8s/overlays/local/secrets.env";
    let absent = format!(
        "{file} has no value for API_TOKEN, FILE_SECRETS_STOCK_PASSWORD, ORDERS_DB, OTLP_KEY: pods"
    );
    assert!(told.contains(&absent), "{told}");
    let commands: Vec<_> = told.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(commands.len(), 4, "{told}");
    for command in commands {
        let mut shell = tokio::process::Command::new("sh");
        let shell = shell.current_dir(app.path()).args(["-c", command]);
        assert!(shell.envs(super::SECRETS).status().await.unwrap().success(), "{command}");
    }
    let text = fs::read_to_string(app.path().join(file)).unwrap();
    for (name, value) in super::SECRETS {
        assert!(text.contains(&format!("\n{name}={value}\n")), "{text}");
    }
    let of_file = format!("\nFILE_SECRETS_STOCK_PASSWORD={}\n", super::SECRET_OF_FILE);
    assert!(text.contains(&of_file), "{text}");
    assert!(!run(&app, &make).await.contains("no value"));
    kustomize(&app.path().join("k8s/overlays/local")).await;
    // A command whose secret is not set adds nothing.
    let mut shell = tokio::process::Command::new("sh");
    let command = "printf 'API_TOKEN=%s\\n' \"${API_TOKEN:?}\" >> k8s/x.env";
    let shell = shell.current_dir(app.path()).args(["-c", command]).env_remove("API_TOKEN");
    let shell = shell.stderr(std::process::Stdio::null());
    assert!(!shell.status().await.unwrap().success());
    assert_eq!(fs::read_to_string(app.path().join("k8s/x.env")).unwrap_or_default(), "");
}

#[tokio::test]
async fn files_of_the_user_are_left_alone_and_those_that_were_made_go() {
    let app = rich();
    let make = ["deploy", "kubernetes", "--output", "k8s"];
    run(&app, &make).await;
    let k8s = app.path().join("k8s");
    fs::write(k8s.join("base/mine.yaml"), "kind: Mine\n").unwrap();
    fs::write(k8s.join("overlays/production/kustomization.yaml"), "# mine\n").unwrap();
    let file = fs::read_to_string(app.path().join("wasm-host.toml")).unwrap();
    fs::write(
        app.path().join("wasm-host.toml"),
        file.replace("[ollama.small]\n", "").replace("ollama = \"small\"\n", ""),
    )
    .unwrap();
    assert!(k8s.join("base/statefulset-small.yaml").exists());
    run(&app, &make).await;
    assert!(!k8s.join("base/statefulset-small.yaml").exists());
    assert_eq!(fs::read_to_string(k8s.join("base/mine.yaml")).unwrap(), "kind: Mine\n");
    let own = fs::read_to_string(k8s.join("overlays/production/kustomization.yaml")).unwrap();
    assert_eq!(own, "# mine\n");
}

// Fault (Deployment): a file of the user's is where one is to be made | leaves it and says so | - | nothing
#[tokio::test]
async fn a_file_that_was_not_made_is_not_written_over() {
    let app = rich();
    for (file, arguments) in [
        ("compose.yaml", &["deploy", "compose", "--output", "compose.yaml"][..]),
        ("chart/values.yaml", &["deploy", "helm", "--output", "chart"]),
        ("podman/shop-1.yaml", &["deploy", "podman"]),
    ] {
        let path = app.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "mine: 1\n").unwrap();
        let ended = app.run(arguments).await;
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("{file} is there and was not made")), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine: 1\n");
        fs::remove_file(&path).unwrap();
        // What was made is made anew.
        run(&app, arguments).await;
        run(&app, arguments).await;
    }
    fs::write(app.path().join(".gitignore"), "mine\n").unwrap();
    run(&app, &["deploy", "kubernetes", "--output", "."]).await;
    assert_eq!(fs::read_to_string(app.path().join(".gitignore")).unwrap(), "mine\n");
}
