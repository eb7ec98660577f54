//! Hosts that a component of Spin may reach: those outside, other components, and databases. Pure.

use std::collections::BTreeSet;

/// What a component's `allowed_outbound_hosts` come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts {
    /// For `outbound`.
    pub(super) outbound: BTreeSet<String>,
    /// For `services`.
    pub(super) services: BTreeSet<String>,
    /// It reaches a server of PostgreSQL.
    pub(super) has_postgres: bool,
    pub(super) told: Vec<String>,
}

/// The domain under which components of Spin call each other.
const INTERNAL: &str = ".spin.internal";

pub(super) fn hosts<'h>(rules: impl Iterator<Item = &'h str>) -> Hosts {
    let mut hosts = Hosts::default();
    for rule in rules {
        if let Err(why) = add(&mut hosts, rule) {
            hosts.told.push(format!("the outbound host {rule} is left out: {why}"));
        }
    }
    hosts
}

fn add(hosts: &mut Hosts, rule: &str) -> Result<(), &'static str> {
    if rule.contains("{{") {
        return Err("it has a variable in it; write the host itself into `outbound`");
    }
    if rule == "insecure:allow-all" {
        hosts.outbound.extend(["http://*".to_owned(), "https://*".to_owned()]);
        return Ok(());
    }
    // Without a scheme it is what version 1 had.
    let (scheme, place) = rule.split_once("://").unwrap_or(("https", rule));
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !port.contains(']') => (host, Some(port)),
        _ => (place, None),
    };
    if matches!(host, "self" | "self.alt") {
        return Err(
            "it calls the application itself; name the service in `services` and call it as http://NAME/",
        );
    }
    let schemes: &[&str] = match scheme {
        "http" => &["http"],
        "https" => &["https"],
        "*" => &["http", "https"],
        "postgres" | "postgresql" => {
            hosts.has_postgres = true;
            return Ok(());
        }
        "redis" | "rediss" => return Err("this host has no client of Redis for components"),
        "mysql" => return Err("this host has no client of MySQL"),
        "mqtt" | "mqtts" => return Err("this host has no client of MQTT"),
        _ => return Err("components reach other hosts by HTTP alone"),
    };
    if let Some(name) = host.strip_suffix(INTERNAL) {
        if name == "*" {
            return Err("services are named one by one; name them in `services`");
        }
        hosts.services.insert(name.to_owned());
        hosts.told.push(format!(
            "{rule} is another component: it is called as http://{name}/ here, and not as {host}"
        ));
        return Ok(());
    }
    let port = match port {
        None => String::new(),
        Some(port) if port.parse::<u16>().is_ok() => format!(":{port}"),
        Some("*") => {
            hosts.told.push(format!(
                "{rule} is any port; here it is that of the protocol, and others are written into `outbound` one by one"
            ));
            String::new()
        }
        Some(_) => return Err("it has a range of ports; write them one by one into `outbound`"),
    };
    hosts.outbound.extend(schemes.iter().map(|scheme| format!("{scheme}://{host}{port}")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_sorted_by_what_they_are() {
        let rules = [
            "https://api.example.com",
            "http://10.0.0.0/8:9000",
            "*://other.example:443",
            "https://*.example.org:*",
            "postgres://db:5432",
            "http://cart.spin.internal",
        ];
        let hosts = hosts(rules.into_iter());
        let outbound: Vec<_> = hosts.outbound.iter().map(String::as_str).collect();
        assert_eq!(
            outbound,
            [
                "http://10.0.0.0/8:9000",
                "http://other.example:443",
                "https://*.example.org",
                "https://api.example.com",
                "https://other.example:443",
            ]
        );
        assert_eq!(hosts.services, BTreeSet::from(["cart".to_owned()]));
        assert!(hosts.has_postgres);
        assert_eq!(hosts.told.len(), 2, "{:?}", hosts.told);
    }

    #[test]
    fn what_is_left_out_is_told() {
        for rule in [
            "https://{{ host }}",
            "redis://cache:6379",
            "mysql://db",
            "https://a.example:80..90",
            "https://self",
            "http://*.spin.internal",
            "ftp://a.example",
        ] {
            let hosts = hosts([rule].into_iter());
            assert!(hosts.outbound.is_empty() && hosts.services.is_empty(), "{rule}");
            assert!(hosts.told[0].contains(rule), "{:?}", hosts.told);
        }
    }
}
