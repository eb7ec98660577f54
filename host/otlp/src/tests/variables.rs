//! The variables of OpenTelemetry, and what is said of slips in them.

use super::*;
use crate::environment::Protocol;

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Signal, protocol and address of everything that is sent.
fn targets(variables: &[(&str, &str)]) -> Vec<String> {
    let environment = environment(variables).unwrap();
    let targets = environment.map(|environment| environment.targets).unwrap_or_default();
    let told = |target: &SignalEndpoint| {
        let protocol = if target.protocol == Protocol::Grpc { "grpc" } else { "http" };
        format!("{} {protocol} {}", target.signal.name(), target.address.expose())
    };
    targets.iter().map(told).collect()
}

#[test]
fn without_an_address_nothing_is_sent() {
    for variables in [
        &[][..],
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
        &[("OTEL_SERVICE_NAME", "a"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b")],
        // Nothing is asked for, so slips are not told.
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")],
        &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")],
        &[
            ENDPOINT,
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
        ],
    ] {
        assert_eq!(targets(variables), Vec::<String>::new(), "{variables:?}");
        let read = |name: &str| {
            variables
                .iter()
                .find_map(|(known, value)| (*known == name).then(|| (*value).to_owned()))
        };
        assert!(Otlp::from_environment("shop", read).unwrap().is_none());
    }
}

#[test]
fn addresses_are_those_of_the_convention() {
    let grpc = "opentelemetry.proto.collector";
    let cases: &[(Pairs<'_>, &[&str])] = &[
        (
            &[ENDPOINT],
            &[
                "traces http http://c:4318/v1/traces",
                "logs http http://c:4318/v1/logs",
                "metrics http http://c:4318/v1/metrics",
            ],
        ),
        (
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://u:hunter2@c/base/?key=hunter2"),
                ("OTEL_LOGS_EXPORTER", "none"),
                ("OTEL_METRICS_EXPORTER", "none"),
            ],
            &["traces http https://u:hunter2@c/base/v1/traces?key=hunter2"],
        ),
        (
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
                ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:9090/api/v1/otlp/v1/metrics"),
                ("OTEL_LOGS_EXPORTER", "none"),
            ],
            &[
                &format!("traces grpc http://c:4317/{grpc}.trace.v1.TraceService/Export"),
                "metrics http http://m:9090/api/v1/otlp/v1/metrics",
            ],
        ),
        (
            // By its port; a path is one of HTTP, and what is said counts.
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
                ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4317/v1/logs"),
                ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
            ],
            &[
                &format!("traces grpc http://c:4317/{grpc}.trace.v1.TraceService/Export"),
                "logs http http://c:4317/v1/logs",
                "metrics http http://c:4317/v1/metrics",
            ],
        ),
        (&[("OTEL_LOGS_EXPORTER", "otlp")], &["logs http http://localhost:4318/v1/logs"]),
        (
            &[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")],
            &[&format!("traces grpc http://localhost:4317/{grpc}.trace.v1.TraceService/Export")],
        ),
    ];
    for (variables, expected) in cases {
        assert_eq!(targets(variables), *expected, "{variables:?}");
    }
}

#[test]
fn what_is_said_of_one_signal_counts_for_it() {
    let environment = environment(&[
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=x%2Cy"),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "c=3"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "30"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a%20b,service.name=x,,service.namespace=own"),
        ("OTEL_SERVICE_NAME", "edge"),
    ]);
    let environment = environment.unwrap().unwrap();
    let [traces, logs, _] = environment.targets.as_slice() else { panic!() };
    assert_eq!(
        (&traces.headers["a"], &traces.headers["b"]),
        (&"1".parse().unwrap(), &"x,y".parse().unwrap())
    );
    assert_eq!(logs.headers.len(), 1);
    assert_eq!((traces.timeout, logs.timeout), (Duration::from_secs(2), Duration::from_millis(30)));
    assert!(traces.is_compressed && !logs.is_compressed);
    assert_eq!(environment.name.as_deref(), Some("edge"));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(environment.attributes, [pair("team", "a b"), pair("service.namespace", "own")]);
    // Nothing that is printed has a secret.
    assert!(!format!("{environment:?}").contains("x,y"));
}

/// Each names the variable and says what to write, and nothing in it is secret.
#[test]
fn slips_are_told_in_one_sentence_without_secrets() {
    for (name, value, said) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "hunter2:4317", "write it as http://HOST:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://u:hunter2@c", "write it as http://HOST:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hunter2@[c", "write it as http://HOST:4318"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "//hunter2", "write it as http://HOST:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "write `http/protobuf`"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "hunter2", "write `grpc` or `http/protobuf`"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,hunter2", "part 2 is not NAME=VALUE"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2%", "write it as %25"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter 2=x", "header 1 has a name that no header can have"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "k=hunter2%0A", "it must be one line"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "write 10000 for ten seconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0", "write 10000 for ten seconds"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "99999999999", "write 10000 for ten seconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "write `gzip` or `none`"),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "/no/such/file",
            "it does not exist; create it, or correct the path",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,hunter2", "part 2 is not NAME=VALUE"),
        ("OTEL_TRACES_EXPORTER", "jaeger", "write `otlp` or `none`"),
        ("OTEL_SDK_DISABLED", "yes", "write `true` to send nothing"),
    ] {
        let mut variables = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "https://u:hunter2@c/base")];
        variables.retain(|(known, _)| *known != name);
        variables.push((name, value));
        let error = environment(&variables).unwrap_err();
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
        assert!(error.contains(said), "{error}");
        assert!(!error.contains("hunter") && !error.contains('\n'), "{error}");
    }
}

/// Some collectors have their keys in paths.
#[test]
fn of_an_address_only_the_host_is_shown() {
    let endpoint = "https://u:hunter2@c:4318/hunter2?key=hunter2#hunter2";
    let environment = environment(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).unwrap().unwrap();
    assert!(!format!("{environment:?}").contains("hunter2"));
    assert_eq!(environment.targets[0].to_string(), "spans go to https://c:4318 (http/protobuf)");
}

#[test]
fn an_address_of_grpc_has_no_path() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://hunter2@c:4317/v1/traces"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ];
    assert_eq!(
        environment(&variables).unwrap_err(),
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: an address of gRPC has no path; remove it, or write \
         `http/protobuf` into OTEL_EXPORTER_OTLP_PROTOCOL"
    );
}

#[test]
fn a_file_without_a_certificate_is_a_slip() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://u:hunter2@c"),
        ("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", path),
    ];
    let error = environment(&variables).unwrap_err();
    assert_eq!(
        error,
        "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE: there is no certificate in the PEM file; it begins with \
         -----BEGIN CERTIFICATE-----"
    );
}
