//! Trains the model on `corpus/*.txt` and writes it as Rust tables, so that the component parses
//! nothing when it starts. Each part is also a layer with a digest and a size: those of its bytes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest, Sha256};

#[path = "src/tokens.rs"]
#[expect(dead_code, reason = "the component uses the rest of it")]
mod tokens;
#[path = "src/train.rs"]
mod train;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    for watched in ["build.rs", "corpus", "src/tokens.rs", "src/train.rs", "src/license.txt"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    let trained = train::train(&corpus(Path::new("corpus"))?)?;
    let table = source(&trained, &fs::read("src/license.txt")?)?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("table.rs"), table)?;
    Ok(())
}

/// The files of the corpus one after another, by name: the same text gives the same table anywhere.
fn corpus(folder: &Path) -> Result<String, Failure> {
    let mut files = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, Failure>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let mut text = String::new();
    for file in files {
        // A checkout may have other line ends; the model should not.
        text.push_str(&fs::read_to_string(file)?.replace("\r\n", "\n"));
        text.push_str("\n\n");
    }
    Ok(text)
}

/// `table.rs`: the table as Rust, and its layers.
fn source(trained: &train::Trained, license: &[u8]) -> Result<String, Failure> {
    let mut source = String::new();
    let mut layers = vec![Layer::new(0, trained.words.join("\n").as_bytes())];
    writeln!(source, "/// The trained table.\npub(crate) static TABLE: Table<'static> = Table {{")?;
    writeln!(source, "words: &{:?},", trained.words)?;

    writeln!(source, "orders: [")?;
    for (index, order) in trained.orders.iter().enumerate() {
        let mut bytes = Vec::new();
        order.contexts.iter().for_each(|token| bytes.extend(token.to_le_bytes()));
        order.ends.iter().for_each(|end| bytes.extend(end.to_le_bytes()));
        for (token, count) in &order.followers {
            bytes.extend(token.to_le_bytes());
            bytes.extend(count.to_le_bytes());
        }
        layers.push(Layer::new(index + 1, &bytes));
        writeln!(
            source,
            "Order {{ contexts: &{:?}, ends: &{:?}, followers: &{:?} }},",
            order.contexts, order.ends, order.followers
        )?;
    }
    writeln!(source, "],")?;

    let mut bytes = Vec::new();
    writeln!(source, "starts: &[")?;
    for (paragraph, place, tokens) in &trained.starts {
        [*paragraph, *place].iter().chain(tokens).for_each(|part| bytes.extend(part.to_le_bytes()));
        writeln!(
            source,
            "Start {{ paragraph: {paragraph}, place: {place}, tokens: {tokens:?} }},"
        )?;
    }
    writeln!(source, "],\nparagraphs: &[")?;
    for (asked, said) in &trained.paragraphs {
        asked.iter().chain(said).for_each(|token| bytes.extend(token.to_le_bytes()));
        writeln!(source, "Paragraph {{ asked: &{asked:?}, said: &{said:?} }},")?;
    }
    writeln!(source, "],\n}};")?;
    layers.push(Layer::new(0, &bytes));
    layers.push(Layer::new(0, license));

    writeln!(
        source,
        "/// The parts that the models are made of.\npub(crate) static LAYERS: &[Layer] = &["
    )?;
    for Layer { context, size, digest } in layers {
        writeln!(source, "Layer {{ context: {context}, size: {size}, digest: \"{digest}\" }},")?;
    }
    writeln!(source, "];")?;
    Ok(source)
}

struct Layer {
    /// Only models that look back at least this many tokens have the layer.
    context: usize,
    size: usize,
    digest: String,
}

impl Layer {
    fn new(context: usize, bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { context, size: bytes.len(), digest }
    }
}
