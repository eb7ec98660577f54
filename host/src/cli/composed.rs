//! What the command line says of components that are put together.

use std::path::PathBuf;

use clap::Args;

/// What a component is put together with.
#[derive(Args, Clone, Debug, Default)]
pub struct Composed {
    /// Put this component in front of it, as `middleware` of the application file does. May be repeated: the first is the
    /// outermost.
    #[arg(long, value_name = "COMPONENT.wasm")]
    pub middleware: Vec<PathBuf>,
    /// Let this component serve an import, as `with` of the application file does. May be repeated.
    #[arg(long, value_name = "INTERFACE=COMPONENT.wasm", value_parser = served)]
    pub with: Vec<(String, PathBuf)>,
}

/// `INTERFACE=COMPONENT.wasm`
fn served(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((interface, path)) if !interface.is_empty() && !path.is_empty() => {
            Ok((interface.to_owned(), path.into()))
        }
        _ => Err("write namespace:package/interface=COMPONENT.wasm".to_owned()),
    }
}
