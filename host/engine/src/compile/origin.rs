//! What a component was made from, as far as its file says.
//!
//! Toolchains sign what they make in sections named `producers`, which few builds take out again: a stripped program
//! in Rust still names the generator of its bindings. So this is a guess, and where it fails the application file
//! says what is wanted.

use wasmparser::{KnownCustom, Parser, Payload, ProducersSectionReader};

use wasm_host_limits::service::ServiceLimits;

/// What every component in Rust has in it, stripped or not.
const RUST: &str = "wit-bindgen-rust";

/// Requests that one instance of a component serves at the same time, unless the application file says how many. What one of them
/// breaks is broken for all, and in most languages that is any error which the program does not catch.
pub(super) fn per_instance(component: &[u8]) -> usize {
    if is_in_rust(component) { ServiceLimits::per_instance().default } else { 1 }
}

/// Whether it is in Rust, and carries no program in another language.
fn is_in_rust(component: &[u8]) -> bool {
    // The largest module is the program; the others are adapters and glue.
    let (mut program, mut is_program_in_rust) = (0, false);
    let mut module = None;
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::ModuleSection { unchecked_range, .. }) => {
                module = Some((unchecked_range.len(), false));
            }
            Ok(Payload::CustomSection(section)) => {
                let KnownCustom::Producers(producers) = section.as_known() else { continue };
                let said = SectionHints::of(producers).unwrap_or_default();
                if said.is_foreign {
                    return false;
                }
                if let Some((_, is_rust)) = &mut module {
                    *is_rust |= said.is_rust;
                }
            }
            // Of a component outside of all modules, or of a module.
            Ok(Payload::End(_)) => {
                if let Some((size, is_rust)) = module.take()
                    && size > program
                {
                    (program, is_program_in_rust) = (size, is_rust);
                }
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    is_program_in_rust
}

/// What one section says.
#[derive(Default)]
struct SectionHints {
    is_rust: bool,
    /// It names a language that is neither Rust nor one that programs in Rust have parts in.
    is_foreign: bool,
}

impl SectionHints {
    fn of(producers: ProducersSectionReader<'_>) -> wasmparser::Result<Self> {
        let mut said = Self::default();
        for field in producers {
            let field = field?;
            for value in field.values {
                let name = value?.name;
                said.is_rust |= field.name == "processed-by" && name == RUST;
                said.is_foreign |= field.name == "language" && !is_native(name);
            }
        }
        Ok(said)
    }
}

/// Rust, C or C++. The latter two come with a version: `C11`, `C_plus_plus_14`.
fn is_native(language: &str) -> bool {
    let c = language.strip_prefix('C').unwrap_or("?");
    language == "Rust" || c.starts_with("_plus_plus") || c.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A section of a module or component, with what it is for.
    fn section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![id];
        let mut length = content.len();
        while length > 0x7f {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        [bytes, content.to_vec()].concat()
    }

    fn name(name: &str) -> Vec<u8> {
        [vec![name.len() as u8], name.as_bytes().to_vec()].concat()
    }

    fn producers(fields: &[(&str, &[&str])]) -> Vec<u8> {
        let mut content = [name("producers"), vec![fields.len() as u8]].concat();
        for (field, values) in fields {
            content.extend(name(field));
            content.push(values.len() as u8);
            for value in *values {
                content.extend(name(value));
                content.extend(name("1"));
            }
        }
        section(0, &content)
    }

    /// A module of at least so many bytes.
    fn module(size: usize, producers: &[u8]) -> Vec<u8> {
        let filler = section(0, &[name("filler"), vec![0; size]].concat());
        section(1, &[b"\0asm\x01\0\0\0".to_vec(), filler, producers.to_vec()].concat())
    }

    fn component(parts: &[Vec<u8>]) -> Vec<u8> {
        [b"\0asm\x0d\0\x01\0".to_vec(), parts.concat()].concat()
    }

    #[test]
    fn what_says_that_it_is_rust_is_shared_and_the_rest_is_not() {
        let rust = producers(&[("processed-by", &["wit-component", RUST, "wit-bindgen-c"])]);
        let glue = producers(&[("processed-by", &["wit-component"])]);
        let unstripped =
            producers(&[("language", &["Rust", "C11"]), ("processed-by", &["rustc", RUST])]);
        let engine = producers(&[
            ("language", &["C11", "Rust", "C_plus_plus_14"]),
            ("processed-by", &["clang", "rustc", "wit-bindgen-c"]),
        ]);
        let javascript = producers(&[("language", &["JavaScript"])]);
        let adapter = producers(&[("language", &["Rust"]), ("processed-by", &["rustc"])]);
        let all = ServiceLimits::per_instance().default;
        for (parts, expected) in [
            (vec![module(3000, &rust), module(300, &glue), glue.clone()], all),
            (vec![module(300, &glue), module(3000, &unstripped), module(900, &adapter)], all),
            // A program of a language that says nothing, beside an adapter; and one that says what it is.
            (vec![module(3000, &[]), module(900, &adapter)], 1),
            (vec![module(3000, &glue), module(300, &rust)], 1),
            (vec![module(3000, &engine), module(900, &adapter), javascript.clone()], 1),
            (vec![module(3000, &rust), javascript], 1),
            // A component in a component.
            (vec![section(4, &component(&[module(3000, &rust)])), module(300, &glue)], all),
            (vec![], 1),
        ] {
            assert_eq!(per_instance(&component(&parts)), expected, "{parts:?}");
        }
        assert_eq!(per_instance(b"no component"), 1);
    }
}
