//! Which request a line belongs to: the one on whose behalf a guest prints.
//!
//! WASI's streams do not say it. Of an instance that serves one request at a time it is that one. In one that serves
//! several, the functions that print are ours: they ask which task calls, and then do what WASI's own do.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    FutureReader, Linker, Resource, Source, StreamConsumer, StreamReader, StreamResult,
};
use wasmtime_wasi::p2::bindings::io::streams::{self as p2, Host as _, HostOutputStream as _};
use wasmtime_wasi::p2::{DynOutputStream, StreamError};
use wasmtime_wasi::p3::bindings::cli::types::ErrorCode;

use super::{Lines, Stream as Output};
use crate::state::StoreData;
use wasm_host_capabilities::context::{RequestContext, calling_request};
use wasm_host_limits as limits;

/// The request whose code prints in an instance at the moment. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct LogAttribution(Arc<Mutex<Option<RequestContext>>>);

impl LogAttribution {
    /// What is printed from now on is printed for this request.
    pub fn set(&self, request: Option<RequestContext>) {
        *self.0.lock() = request;
    }

    /// None: it is not known, or no request's.
    pub(super) fn request(&self) -> Option<RequestContext> {
        self.0.lock().clone()
    }
}

/// Link the functions that print, in place of WASI's own. For guests of 0.3: their standard library may print by 0.2.
/// What is written by others, such as those that splice streams, is no request's and has the bound of its service.
pub fn add_to_linker(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut streams = linker.instance("wasi:io/streams@0.2.12")?;
    streams.func_wrap(
        "[method]output-stream.write",
        |mut store: StoreContextMut<'_, StoreData>, (stream, bytes): (Stream, Vec<u8>)| {
            attribute(&mut store);
            let written = store.data_mut().table().write(stream, bytes);
            ended(&mut store, written)
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-and-flush",
        |mut store: StoreContextMut<'_, StoreData>, (stream, bytes): (Stream, Vec<u8>)| {
            Box::new(async move {
                attribute(&mut store);
                let table = store.data_mut().table();
                let written = table.blocking_write_and_flush(stream, bytes).await;
                ended(&mut store, written)
            })
        },
    )?;
    for (interface, stream) in
        [("wasi:cli/stdout@0.3.0", Output::Stdout), ("wasi:cli/stderr@0.3.0", Output::Stderr)]
    {
        linker.instance(interface)?.func_wrap(
            "write-via-stream",
            move |mut store: StoreContextMut<'_, StoreData>, (bytes,): (StreamReader<u8>,)| {
                let opened_by = running(&mut store);
                let lines = store.data().output(stream).lines();
                let (printing, printed) = oneshot::channel();
                bytes.pipe(&mut store, Printer { lines, opened_by, _printing: printing })?;
                let ended = async move {
                    let _ = printed.await;
                    wasmtime::error::Ok(Ok(()))
                };
                Ok((FutureReader::<Result<(), ErrorCode>>::new(&mut store, ended)?,))
            },
        )?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

type Stream = Resource<DynOutputStream>;

/// The request whose code runs now.
fn running(store: &mut StoreContextMut<'_, StoreData>) -> Option<RequestContext> {
    calling_request(store, |store| &store.data().requests)
}

/// Note which request's code prints.
fn attribute(store: &mut StoreContextMut<'_, StoreData>) {
    let request = running(store);
    store.data().attribution().set(request);
}

/// Forget which request's code it was, and tell that code how its writing ended.
fn ended(
    store: &mut StoreContextMut<'_, StoreData>,
    written: Result<(), StreamError>,
) -> wasmtime::Result<(Result<(), p2::StreamError>,)> {
    store.data().attribution().set(None);
    let written = match written {
        Ok(()) => Ok(()),
        Err(error) => Err(store.data_mut().table().convert_stream_error(error)?),
    };
    Ok((written,))
}

/// Takes what a guest writes into a stream of 0.3.
struct Printer {
    lines: Lines,
    /// The request that it belongs to when it is not written by running code.
    opened_by: Option<RequestContext>,
    /// What waits for the end of it all sees this go.
    _printing: oneshot::Sender<()>,
}

impl StreamConsumer<StoreData> for Printer {
    type Item = u8;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut store: StoreContextMut<'_, StoreData>,
        source: Source<'_, u8>,
        _: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let attribution = self.lines.attribution().clone();
        attribution.set(running(&mut store).or_else(|| self.opened_by.clone()));
        let mut source = source.as_direct(store);
        // The rest when it asks again: between the two it can be interrupted.
        let bytes = source.remaining().len().min(limits::LOG_WRITE_BYTES);
        self.lines.push(source.remaining().get(..bytes).unwrap_or_default());
        source.mark_read(bytes);
        attribution.set(None);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
