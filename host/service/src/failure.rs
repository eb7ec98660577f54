//! What goes wrong with a request, with a text for the client and another for the log.
//!
//! There are two, because what a guest, a backend or this host says of its own insides never reaches the outside. Only [`respond`] knows HTTP statuses.

pub mod respond;

use std::fmt;

use wasm_host_capabilities::context::About;
use wasm_host_system::digest::Digest;

/// What caused a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Client,
    Guest,
    Host,
}

/// What happened. [`respond`] gives each its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No service answers this path or host name.
    NoRoute,
    /// The service has no such file.
    NoFile,
    /// This can only be read.
    MethodNotAllowed,
    /// This can only be asked for.
    PostOnly,
    /// The request cannot be understood.
    Malformed,
    /// Nothing here does what the method asks for.
    NotImplemented,
    /// The request's body is over the service's bound.
    BodyTooLarge,
    /// The request's body did not come in time.
    BodyTooSlow,
    /// The request's body is of a kind that is not taken here.
    MediaType,
    /// The control plane was asked without its token.
    Unauthorised,
    /// The control plane was asked from a web page, or under a name that is not the host's.
    Forbidden,
    /// The request names another host than this one.
    Misdirected,
    /// A page of another origin asked for what only the application's own may.
    CrossOrigin,
    /// The application has no such service.
    NoService,
    /// What was asked for is not possible as things are.
    Conflict,
    /// The queue is full, or the wait in it was too long.
    Busy,
    /// The host ended it, because the time that a version has left when it is replaced or stopped was over.
    Cut,
    /// The component trapped, or ended without an answer.
    GuestTrapped,
    /// The component answered with an error instead of a response.
    GuestFailed,
    /// The component did not begin to answer in time.
    FirstByteTimeout,
    /// A fault of the host.
    Internal,
}

impl Kind {
    pub fn source(self) -> Source {
        match self {
            Self::NoRoute
            | Self::NoFile
            | Self::MethodNotAllowed
            | Self::PostOnly
            | Self::Malformed
            | Self::NotImplemented
            | Self::BodyTooLarge
            | Self::BodyTooSlow
            | Self::MediaType
            | Self::Unauthorised
            | Self::Forbidden
            | Self::Misdirected
            | Self::CrossOrigin
            | Self::NoService
            | Self::Conflict => Source::Client,
            Self::GuestTrapped | Self::GuestFailed | Self::FirstByteTimeout => Source::Guest,
            Self::Busy | Self::Cut | Self::Internal => Source::Host,
        }
    }
}

/// A request that got no response of its service.
#[derive(Debug)]
pub struct Failure {
    pub kind: Kind,
    /// What the client reads. Names services and limits, never insides.
    pub public: String,
    /// What only the log says.
    pub private: Option<String>,
    /// The service that the request was for, for the log.
    pub service: Option<String>,
    /// The version that answered the request so, for the log.
    pub version: Option<Digest>,
    /// Whether clients of a model server read it, which know no problem documents.
    pub is_for_models: bool,
}

impl Failure {
    pub fn new(kind: Kind, public: impl Into<String>) -> Self {
        let (private, service, version, is_for_models) = Default::default();
        Self { kind, public: public.into(), private, service, version, is_for_models }
    }

    pub fn because(mut self, private: impl fmt::Display) -> Self {
        self.private = Some(private.to_string());
        self
    }

    /// Log it, at a level that depends on what caused it: the component, the host, or the client.
    pub fn log(&self, service: Option<&str>, about: About<'_>) {
        let About { request, trace_id, span_id, service_version } = about;
        let service_version = self.version.as_ref().map(Digest::full).or(service_version);
        let service = service.map(tracing::field::display);
        macro_rules! say {
            ($say:ident) => {
                tracing::$say!(service, request, trace_id, span_id, service_version, "{self}")
            };
        }
        match (self.kind.source(), self.kind) {
            (Source::Client, _) => say!(debug),
            (Source::Guest, _) | (_, Kind::Internal) => say!(error),
            (Source::Host, _) => say!(warn),
        }
    }

    pub fn of(mut self, service: &str) -> Self {
        self.service = Some(service.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.public)?;
        match &self.private {
            Some(private) => write!(formatter, " ({private})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
