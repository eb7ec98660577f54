//! `trusted-proxies` of `[http]`: the proxies that are trusted to say which client asks.
//!
//! It exists so that what is written wrong is reported with its line. What the proxies say is for the code that answers
//! them.

use std::net::IpAddr;

use ipnet::IpNet;

use wasm_host_settings::context::Context;
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::file::Table;

pub(super) const KEY: &str = "trusted-proxies";

pub(super) fn trusted_proxies(cx: &Context<'_>, http: &Table<'_>) -> Vec<IpNet> {
    let written = http.texts(cx, KEY).unwrap_or_default();
    written.iter().filter_map(|text| cx.checked(&text.at, network(&text.value))).collect()
}

/// An address, or a network.
fn network(text: &str) -> Result<IpNet, Problem> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let wrong = |message: &str, hint: String| {
        Err(Problem::new(format!("{} {message}", quoted(text)), hint))
    };
    let Ok(network) = text.parse::<IpNet>() else {
        let hint =
            "write addresses and networks, as in trusted-proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]";
        return wrong("is not the address of a proxy", hint.to_owned());
    };
    if network.prefix_len() == 0 {
        let hint = "name the addresses of the proxies".to_owned();
        return wrong("lets every client say that it is another one", hint);
    }
    let whole = network.trunc();
    if network != whole {
        return wrong("is not a whole network", format!("the one that it is in is {whole}"));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for (text, expected) in [
            ("127.0.0.1", "127.0.0.1/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), expected);
        }
        for (text, fix) in [
            ("nginx", "as in trusted-proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]"),
            ("10.0.0.1:80", "write addresses and networks"),
            ("*", "write addresses and networks"),
            ("0.0.0.0/0", "name the addresses"),
            ("::/0", "name the addresses"),
            ("10.1.0.0/8", "the one that it is in is 10.0.0.0/8"),
        ] {
            let hint = network(text).unwrap_err().hint.unwrap_or_default();
            assert!(hint.contains(fix), "{text}: {hint}");
        }
    }
}
