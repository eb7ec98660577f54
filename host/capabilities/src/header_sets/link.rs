//! The functions of WASI by which header sets grow, linked in place of the library's own: each does what that does, and
//! says how much there may be more of now.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentNamedList, Lift, Linker, Lower, Resource};
use wasmtime_wasi_http::p2::bindings::http::types as p2;
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
};
use wasmtime_wasi_http::p3::bindings::http::types as p3;
use wasmtime_wasi_http::{FieldMap, WasiHttpCtxView, WasiHttpView};

use super::{BODY_BYTES, HEADER_BYTES, RESOURCE_BYTES, TallyView, head_bytes};

type View<T> = fn(&mut T) -> TallyView<'_>;
type Fields = Resource<FieldMap>;

/// Link them, after the library's own.
pub fn add_to_linker<T: WasiHttpView + Send + 'static>(
    linker: &mut Linker<T>,
    view: View<T>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    add_fields::<T, P2>(linker, view)?;
    add_fields::<T, P3>(linker, view)?;
    let mut types = linker.instance(P2::TYPES)?;
    types.func_wrap(
        "[method]outgoing-request.body",
        move |mut store: StoreContextMut<'_, T>, (this,): (Resource<HostOutgoingRequest>,)| {
            grow(&mut store, view, RESOURCE_BYTES + BODY_BYTES)?;
            let body: Result<Resource<HostOutgoingBody>, ()> =
                p2::HostOutgoingRequest::body(&mut store.data_mut().http(), this)?;
            Ok((body,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-response.body",
        move |mut store: StoreContextMut<'_, T>, (this,): (Resource<HostOutgoingResponse>,)| {
            grow(&mut store, view, RESOURCE_BYTES + BODY_BYTES)?;
            let body: Result<Resource<HostOutgoingBody>, ()> =
                p2::HostOutgoingResponse::body(&mut store.data_mut().http(), this)?;
            Ok((body,))
        },
    )?;
    types.func_wrap(
        "[method]future-incoming-response.get",
        move |mut store: StoreContextMut<'_, T>,
              (this,): (Resource<HostFutureIncomingResponse>,)| {
            let got = p2::HostFutureIncomingResponse::get(&mut store.data_mut().http(), this)?;
            if let Some(Ok(Ok(response))) = &got {
                let response: &HostIncomingResponse =
                    store.data_mut().http().table.get(response)?;
                let bytes = head_bytes(&response.headers);
                grow(&mut store, view, RESOURCE_BYTES + bytes)?;
            }
            Ok((got,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What differs between the two versions of the interface: its name, and its errors.
trait Version: 'static {
    const TYPES: &'static str;
    type Error: Lower + Lift + Send + Sync + 'static;

    fn empty(http: &mut WasiHttpCtxView<'_>) -> wasmtime::Result<Fields>;
    fn from_list(
        http: &mut WasiHttpCtxView<'_>,
        entries: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<Fields, Self::Error>>;
    fn set(
        http: &mut WasiHttpCtxView<'_>,
        this: Fields,
        name: String,
        values: Vec<Vec<u8>>,
    ) -> wasmtime::Result<Result<(), Self::Error>>;
    fn append(
        http: &mut WasiHttpCtxView<'_>,
        this: Fields,
        name: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Self::Error>>;
    fn clone(http: &mut WasiHttpCtxView<'_>, this: Fields) -> wasmtime::Result<Fields>;
}

struct P2;
struct P3;

macro_rules! version {
    ($version:ident, $name:literal, $types:ident) => {
        impl Version for $version {
            const TYPES: &'static str = $name;
            type Error = $types::HeaderError;

            fn empty(http: &mut WasiHttpCtxView<'_>) -> wasmtime::Result<Fields> {
                $types::HostFields::new(http)
            }

            fn from_list(
                http: &mut WasiHttpCtxView<'_>,
                entries: Vec<(String, Vec<u8>)>,
            ) -> wasmtime::Result<Result<Fields, Self::Error>> {
                match $types::HostFields::from_list(http, entries) {
                    Ok(fields) => Ok(Ok(fields)),
                    Err(error) => $types::Host::convert_header_error(http, error).map(Err),
                }
            }

            fn set(
                http: &mut WasiHttpCtxView<'_>,
                this: Fields,
                name: String,
                values: Vec<Vec<u8>>,
            ) -> wasmtime::Result<Result<(), Self::Error>> {
                match $types::HostFields::set(http, this, name, values) {
                    Ok(()) => Ok(Ok(())),
                    Err(error) => $types::Host::convert_header_error(http, error).map(Err),
                }
            }

            fn append(
                http: &mut WasiHttpCtxView<'_>,
                this: Fields,
                name: String,
                value: Vec<u8>,
            ) -> wasmtime::Result<Result<(), Self::Error>> {
                match $types::HostFields::append(http, this, name, value) {
                    Ok(()) => Ok(Ok(())),
                    Err(error) => $types::Host::convert_header_error(http, error).map(Err),
                }
            }

            fn clone(http: &mut WasiHttpCtxView<'_>, this: Fields) -> wasmtime::Result<Fields> {
                $types::HostFields::clone(http, this)
            }
        }
    };
}

version!(P2, "wasi:http/types@0.2.12", p2);
version!(P3, "wasi:http/types@0.3.0", p3);

fn add_fields<T: WasiHttpView + Send + 'static, V: Version>(
    linker: &mut Linker<T>,
    view: View<T>,
) -> wasmtime::Result<()>
where
    (Result<Fields, V::Error>,): ComponentNamedList + Lower,
    (Result<(), V::Error>,): ComponentNamedList + Lower,
{
    let mut types = linker.instance(V::TYPES)?;
    types.func_wrap("[constructor]fields", move |mut store: StoreContextMut<'_, T>, (): ()| {
        grow(&mut store, view, RESOURCE_BYTES)?;
        Ok((V::empty(&mut store.data_mut().http())?,))
    })?;
    types.func_wrap(
        "[static]fields.from-list",
        move |mut store: StoreContextMut<'_, T>, (entries,): (Vec<(String, Vec<u8>)>,)| {
            let sizes = entries.iter().map(|(name, value)| entry_bytes(name, value));
            let bytes: usize = sizes.sum();
            let fields = V::from_list(&mut store.data_mut().http(), entries)?;
            if fields.is_ok() {
                grow(&mut store, view, RESOURCE_BYTES + bytes)?;
            }
            Ok((fields,))
        },
    )?;
    types.func_wrap(
        "[method]fields.set",
        move |mut store: StoreContextMut<'_, T>,
              (this, name, values): (Fields, String, Vec<Vec<u8>>)| {
            let bytes: usize = values.iter().map(|value| entry_bytes(&name, value)).sum();
            let set = V::set(&mut store.data_mut().http(), this, name, values)?;
            if set.is_ok() {
                grow(&mut store, view, bytes)?;
            }
            Ok((set,))
        },
    )?;
    types.func_wrap(
        "[method]fields.append",
        move |mut store: StoreContextMut<'_, T>, (this, name, value): (Fields, String, Vec<u8>)| {
            let bytes = entry_bytes(&name, &value);
            let appended = V::append(&mut store.data_mut().http(), this, name, value)?;
            if appended.is_ok() {
                grow(&mut store, view, bytes)?;
            }
            Ok((appended,))
        },
    )?;
    types.func_wrap(
        "[method]fields.clone",
        move |mut store: StoreContextMut<'_, T>, (this,): (Fields,)| {
            // They share the values; either may outlive the other.
            let bytes = head_bytes(store.data_mut().http().table.get(&this)?);
            let fields = V::clone(&mut store.data_mut().http(), this)?;
            grow(&mut store, view, RESOURCE_BYTES + bytes)?;
            Ok((fields,))
        },
    )
}

fn entry_bytes(name: &str, value: &[u8]) -> usize {
    HEADER_BYTES + name.len() + value.len()
}

fn grow<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    view: View<T>,
    bytes: usize,
) -> wasmtime::Result<()> {
    let TallyView { tally, table } = view(store.data_mut());
    Ok(tally.grow(table, bytes)?)
}
