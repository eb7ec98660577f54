//! The compiled code of a component, with what all services have in common that run it.

use std::ops::Deref;

use wasmtime::component::Component;

use crate::link::Links;

/// Compiled code. All services with the same component have one of these between them, as long as one of them is there.
pub struct Code {
    component: Component,
    /// What it is linked to: the same for all of them, as what each is granted is looked up when it is called.
    pub(crate) links: Links,
}

impl Code {
    pub(crate) fn new(component: Component) -> Self {
        Self { component, links: Links::default() }
    }
}

impl Deref for Code {
    type Target = Component;

    fn deref(&self) -> &Component {
        &self.component
    }
}
