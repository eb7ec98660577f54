//! Streams from a backend to a guest, shared by all capabilities.
//!
//! A backend writes into a bounded channel from a task of its own; [`Items`] hands what has arrived to the guest.
//! The bound is the back-pressure: a guest that reads slowly slows the backend down. A guest that
//! drops the stream, or whose instance ends, closes the channel, and the backend sees that.

use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, Lower, StreamProducer, StreamResult, VecBuffer};

use crate::budget::Reservation;
use wasm_host_limits as limits;

/// An item on its way, and what is held for it, where it is large, until it is handed over.
#[derive(Debug)]
pub struct Parcel<T> {
    item: T,
    held: Option<Reservation>,
}

impl<T> Parcel<T> {
    pub fn new(item: T, held: Option<Reservation>) -> Self {
        Self { item, held }
    }

    pub fn open(self) -> T {
        let Self { item, held } = self;
        drop(held);
        item
    }
}

impl<T> From<T> for Parcel<T> {
    fn from(item: T) -> Self {
        Self::new(item, None)
    }
}

impl<T> Deref for Parcel<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

/// The items of a channel as a component-model stream. The stream ends when the senders are gone.
pub struct Items<P, T> {
    receiver: mpsc::Receiver<P>,
    unpack: fn(P) -> T,
}

impl<P, T> Items<P, T> {
    /// `unpack` makes an item of what is in the channel. A channel has room for 32 of them from the beginning, so
    /// large ones are better boxed.
    pub fn new(receiver: mpsc::Receiver<P>, unpack: fn(P) -> T) -> Self {
        Self { receiver, unpack }
    }
}

impl<D, P, T> StreamProducer<D> for Items<P, T>
where
    P: Send + 'static,
    T: Lower + Send + Sync + 'static,
{
    type Item = T;
    type Buffer = VecBuffer<T>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, T, VecBuffer<T>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let room = destination
            .remaining(&mut store)
            .unwrap_or(limits::ITEMS_PER_READ)
            .min(limits::ITEMS_PER_READ);
        if room == 0 {
            // A read of nothing asks whether there is something; the next read will wait for it.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut items = Vec::new();
        let Self { receiver, unpack } = self.get_mut();
        let Poll::Ready(count) = receiver.poll_recv_many(cx, &mut items, room) else {
            return if finish { Poll::Ready(Ok(StreamResult::Cancelled)) } else { Poll::Pending };
        };
        if count == 0 {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        let items: Vec<T> = items.into_iter().map(unpack).collect();
        destination.set_buffer(items.into());
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
