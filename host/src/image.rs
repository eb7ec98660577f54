//! `wasm-host image`: this program, and applications with it, as images for containers.

mod base;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::cli::{self, Format, ImageCommand};
use crate::colour::told;
use crate::components::{self, Components};
use crate::exit::Exit;
use wasm_host_capabilities::postgres::Postgres;
use wasm_host_config::Config;
use wasm_host_config::deploy::local_image;
use wasm_host_image::application::Outside;
use wasm_host_image::{Application, Image, Packed, host, layout};
use wasm_host_limits::image::PUSH_TIMEOUT;
use wasm_host_limits::oci::LOCK_FILE_BYTES;
use wasm_host_log::tell_if_long_async;
use wasm_host_oci::cache::{kept_component, kept_signatures};
use wasm_host_oci::digest::ContentDigest;
use wasm_host_oci::manifest::IMAGE_MANIFEST;
use wasm_host_oci::{Pins, Reference, Registries, sent_within};
use wasm_host_settings::diagnostic::{Diagnostic, Severity};
use wasm_host_settings::disk;
use wasm_host_settings::named::What;
use wasm_host_system::counted::counted;
use wasm_host_system::{output, table};

/// Where an image goes that is sent nowhere.
const OUTPUT: &str = "target/image";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What was made, for programs.
#[derive(Serialize)]
struct Made {
    /// None: it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    digest: ContentDigest,
    /// Bytes of all layers, compressed.
    size: u64,
    layers: usize,
    /// What whoever runs it brings.
    outside: Vec<String>,
}

pub async fn image(args: cli::Image) -> Result<(), Exit> {
    match args.command {
        ImageCommand::Build(args) => build(args).await,
        ImageCommand::Base(args) => {
            let image = own_image().await?;
            let registries =
                args.tag.as_ref().map(|tag| components::registries(tag, &args.to.access));
            let registries = registries.transpose()?;
            deliver(image, args.tag.as_ref(), &args.to, registries.as_ref(), Vec::new()).await
        }
    }
}

/// The image of this program.
async fn own_image() -> Result<Image, Exit> {
    let made = spawn_blocking(|| host::image(VERSION));
    let made = tell_if_long_async("packing this program", made).await;
    let (image, has_authorities) = made.context("this program could not be packed")??;
    if !has_authorities {
        warn(
            "this machine trusts no authorities, so the image trusts none and can speak to no server over TLS; install ca-certificates",
        );
    }
    Ok(image)
}

async fn build(args: cli::ImageBuild) -> Result<(), Exit> {
    let read = |name: &str| std::env::var(name).ok();
    let (mut config, text) = Config::read_elsewhere(&args.application, &read)?;
    config.warnings.iter().for_each(|warning| eprintln!("{}", told(&warning.to_string())));
    let tag = match args.tag {
        Some(tag) => tag,
        None => named(&config)?,
    };
    components::allow(&mut config.registries, &tag, &args.to.access)?;
    databases(&config);
    let components = Components::new(&config, false);
    let (pins, brought_along) = brought_along(&config, &components).await?;
    let base = match &args.base {
        Some(base) => base::read(base, &components.registries()).await?,
        None => own_image().await?,
    };
    let called = tag.clone();
    let packing = spawn_blocking(move || pack(&config, &text, pins, brought_along, base, &called));
    let packed = tell_if_long_async("packing the application", packing).await;
    let (image, outside) = packed.context("the application could not be packed")??;
    deliver(image, Some(&tag), &args.to, Some(&components.registries()), outside).await
}

/// What `deploy` calls it, so that what is made is what is deployed.
fn named(config: &Config) -> Result<Reference, Exit> {
    let image = config.deploy.image.clone().unwrap_or_else(|| local_image(&config.name));
    cli::tagged(&image)
        .map_err(|why| Exit::Usage(format!("{image}: {why}; name another with --tag")))
}

/// Databases of the host's own need programs that an image has not.
fn databases(config: &Config) {
    for (name, database) in config.resources.of::<Postgres>() {
        if database.url.is_none() {
            warn(&format!(
                "[postgres.{name}] has no url, and the image has no Postgres: the host does not start in a container \
                 until it has one, as in the files of `wasm-host deploy`"
            ));
        }
    }
}

/// What is pinned, and the components that came from registries with the signatures that were verified, by file names.
type BroughtAlong = (Option<Vec<u8>>, Vec<(String, Vec<u8>)>);

async fn brought_along(config: &Config, components: &Components) -> Result<BroughtAlong, Exit> {
    let pulls = components.pull(config).await.map_err(anyhow::Error::new)?;
    let mut wrong = Vec::new();
    let mut all = Vec::new();
    let pins = components.pins().map_err(anyhow::Error::new)?;
    for (reference, pulled) in pulls.all() {
        match pulled {
            Ok(file) => all.extend(kept(reference, &file.bytes, &pins, &components.registries())),
            Err(error) => wrong.extend(at_services(config, reference, &error.to_string())),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.into());
    }
    let file = config.pins_file().filter(|path| path.is_file());
    let text = file.map(|path| disk::beginning(&path, LOCK_FILE_BYTES)).transpose();
    Ok((text.map_err(anyhow::Error::msg)?, all))
}

fn kept(
    reference: &Reference,
    bytes: &[u8],
    pins: &Pins,
    registries: &Registries,
) -> Vec<(String, Vec<u8>)> {
    let component = (kept_component(ContentDigest::of(bytes)), bytes.to_vec());
    let signatures = pins.get(reference).and_then(|pin| {
        Some((kept_signatures(pin.manifest), registries.signatures(pin.manifest)?))
    });
    [Some(component), signatures].into_iter().flatten().collect()
}

/// A finding at each service with this reference.
fn at_services(config: &Config, reference: &Reference, what: &str) -> Vec<Diagnostic> {
    let named = |name: &str| {
        let source = config.services.get(name).and_then(|service| service.component());
        let mut sources = source.into_iter().flat_map(|component| component.sources());
        sources.any(|source| source.reference() == Some(reference))
    };
    let services = config.services.values().filter(|service| named(&service.name));
    let finding = services.map(|service| Diagnostic {
        file: config.file.clone().unwrap_or_default(),
        line: service.line,
        column: 1,
        severity: Severity::Error,
        message: format!("[service.{}]: {what}", service.name),
        hint: None,
    });
    finding.collect()
}

/// Put the application onto the base: its static files in a layer of their own, so that a push sends what changed.
fn pack(
    config: &Config,
    text: &str,
    pins: Option<Vec<u8>>,
    brought_along: Vec<(String, Vec<u8>)>,
    base: Image,
    tag: &Reference,
) -> Result<(Image, Vec<Outside>), Exit> {
    let packed = Application {
        file: config.file.as_deref().unwrap_or_default(),
        text,
        folder: &config.folder,
        named: &config.named,
        state_dir: &config.state_dir,
        pins,
        brought_along,
    }
    .pack();
    let Packed { application, files, outside } = packed.map_err(Exit::from)?;
    let mut image = base;
    if !files.is_empty() {
        image.add(files.build()?, "wasm-host image build: static files");
    }
    image.add(application.build()?, "wasm-host image build: application file and components");
    image.label("title", &config.name);
    image.label("description", &format!("{}, served by wasm-host", config.name));
    image.label("version", tag.tag.as_deref().unwrap_or_default());
    Ok((image, outside))
}

/// Write it, send it, and say what it is called.
async fn deliver(
    image: Image,
    tag: Option<&Reference>,
    to: &cli::To,
    registries: Option<&Registries>,
    outside: Vec<Outside>,
) -> Result<(), Exit> {
    let folder = to.output.clone().or_else(|| (!to.push).then(|| PathBuf::from(OUTPUT)));
    if let Some(folder) = &folder {
        let (folder, image, tag) = (folder.clone(), image.clone(), tag.cloned());
        let write = move || layout::write(&folder, &image, tag.as_ref());
        spawn_blocking(write).await.context("the image could not be written")??;
    }
    let digest = match (to.push, tag, registries) {
        (true, Some(tag), Some(registries)) => {
            tell_if_long_async(
                &format!("pushing {}", layout::plain(tag)),
                push(&image, tag, registries),
            )
            .await?
        }
        _ => image.digest(),
    };
    say(folder.as_deref(), &image, &outside);
    let reference = tag.map(|tag| layout::plain(&tag.at(digest)));
    match to.format.format {
        Format::Table => {
            let name = reference.unwrap_or_else(|| digest.to_string());
            output::show(&format!("{name}\n"));
        }
        Format::Json => table::json(&Made {
            reference,
            digest,
            size: image.size(),
            layers: image.layers().len(),
            outside: outside.into_iter().map(|it| it.name).collect(),
        })?,
    }
    Ok(())
}

async fn push(
    image: &Image,
    tag: &Reference,
    registries: &Registries,
) -> Result<ContentDigest, Exit> {
    let send = async {
        let registry = registries.of(tag)?;
        for layer in image.layers() {
            registry.put_blob(tag, layer.bytes.clone()).await?;
        }
        registry.put_blob(tag, image.config().bytes).await?;
        registry.put_manifest(tag, IMAGE_MANIFEST, image.manifest().to_bytes()).await
    };
    let sent = sent_within(PUSH_TIMEOUT, tag, send).await;
    Ok(sent.map_err(|error| anyhow!(error))?)
}

/// What there is, and what is not, for people.
fn say(folder: Option<&Path>, image: &Image, outside: &[Outside]) {
    const MIB: f64 = 1024.0 * 1024.0;
    let place = folder.map(|folder| format!("{}: ", folder.display())).unwrap_or_default();
    let layers = counted(image.layers().len(), "layer");
    eprintln!("{place}{layers}, {:.1} MiB compressed", image.size() as f64 / MIB);
    for Outside { what, name } in outside {
        let what = match what {
            What::Variable => "a variable with a secret; set it where the image runs",
            What::SecretFile => "a file with a secret; mount it at this path",
            What::PrivateKey => "the private key of [http] tls; mount it at this path",
            _ => "the certificate of [http] tls; mount it at this path",
        };
        eprintln!("not in the image: {name}, {what}");
    }
}

fn warn(what: &str) {
    eprintln!("{}", told(&format!("wasm-host: warning: {what}")));
}
