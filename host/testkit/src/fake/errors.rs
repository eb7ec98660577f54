//! Why an HTTP call fails, by the names that `wasi:http` gives its errors: for scripts, and for what is recorded.

use wasmtime_wasi_http::Error;

macro_rules! names {
    ($($name:literal => $error:ident,)*) => {
        /// The error that is called so.
        pub(super) fn named(name: &str) -> Option<Error> {
            match name {
                "dns-error" => Some(Error::DnsError { rcode: None, info_code: None }),
                $($name => Some(Error::$error),)*
                _ => None,
            }
        }

        /// What an error is called. None for those that carry more than their name.
        pub fn name(error: &Error) -> Option<&'static str> {
            match error {
                Error::DnsError { .. } => Some("dns-error"),
                $(Error::$error => Some($name),)*
                _ => None,
            }
        }
    };
}

names! {
    "dns-timeout" => DnsTimeout,
    "destination-not-found" => DestinationNotFound,
    "destination-unavailable" => DestinationUnavailable,
    "destination-ip-prohibited" => DestinationIpProhibited,
    "destination-ip-unroutable" => DestinationIpUnroutable,
    "connection-refused" => ConnectionRefused,
    "connection-terminated" => ConnectionTerminated,
    "connection-timeout" => ConnectionTimeout,
    "connection-read-timeout" => ConnectionReadTimeout,
    "connection-write-timeout" => ConnectionWriteTimeout,
    "connection-limit-reached" => ConnectionLimitReached,
    "tls-protocol-error" => TlsProtocolError,
    "tls-certificate-error" => TlsCertificateError,
    "http-request-denied" => HttpRequestDenied,
    "http-request-method-invalid" => HttpRequestMethodInvalid,
    "http-request-uri-invalid" => HttpRequestUriInvalid,
    "http-response-incomplete" => HttpResponseIncomplete,
    "http-response-timeout" => HttpResponseTimeout,
    "http-protocol-error" => HttpProtocolError,
    "http-upgrade-failed" => HttpUpgradeFailed,
    "loop-detected" => LoopDetected,
}
