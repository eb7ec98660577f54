//! Testing one component alone: the compiled file, its HTTP export, and scripted capabilities.
//!
//! A component's only ways out are its imports, so that a test which answers those decides everything that
//! the component sees: rows, tokens, failures, stalls, time and chance. The component runs on the same
//! engine as in `serve`; only what is behind the capabilities is replaced. It knows the engine and
//! the capabilities, and nothing of services, routes or listeners.

pub mod case;
