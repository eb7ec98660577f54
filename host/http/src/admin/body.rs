//! Reading a whole request body: bounded in size and in time, and never taken as whole when it was cut off.

use std::time::Duration;

use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use wasm_host_limits as limits;
use wasm_host_service::failure::{Failure, Kind};

/// All of `body`, of at most `limit` bytes.
pub(super) async fn read<B>(body: B, limit: u64) -> Result<Vec<u8>, Failure>
where
    B: Body<Data = bytes::Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    read_within(body, limit, limits::ADMIN_BODY_PAUSE, limits::ADMIN_BODY_TIMEOUT).await
}

/// The same with other bounds of time: between two pieces, and for all of it.
pub(crate) async fn read_within<B>(
    body: B,
    limit: u64,
    pause: Duration,
    time: Duration,
) -> Result<Vec<u8>, Failure>
where
    B: Body<Data = bytes::Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let slow = || Failure::new(Kind::BodyTooSlow, "The request body did not come in time.");
    timeout(time, pieces(body, limit, pause)).await.map_err(|_| slow())?
}

async fn pieces<B>(mut body: B, limit: u64, pause: Duration) -> Result<Vec<u8>, Failure>
where
    B: Body<Data = bytes::Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let large =
        || Failure::new(Kind::BodyTooLarge, format!("This takes a body of at most {limit} bytes."));
    if body.size_hint().lower() > limit {
        return Err(large());
    }
    let mut whole = Vec::new();
    loop {
        let piece = timeout(pause, body.frame()).await.map_err(|_| {
            Failure::new(Kind::BodyTooSlow, "The request body stopped before its end.")
        })?;
        let Some(piece) = piece else { return Ok(whole) };
        let piece = piece.map_err(|error| {
            Failure::new(Kind::Malformed, "The request body was cut off.").because(error)
        })?;
        let Ok(data) = piece.into_data() else { continue };
        if whole.len() as u64 + data.len() as u64 > limit {
            return Err(large());
        }
        whole.extend_from_slice(&data);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound() {
        let body = || Full::new(Bytes::from_static(b"12345"));
        assert_eq!(read(body(), 5).await.unwrap(), b"12345");
        assert_eq!(read(body(), 4).await.unwrap_err().kind, Kind::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_bounded_as_well() {
        let frames = || {
            let data = |text: &'static [u8]| Ok::<_, String>(Frame::data(Bytes::from_static(text)));
            StreamBody::new(futures_util::stream::iter([data(b"123"), data(b"45")]))
        };
        assert_eq!(read(frames(), 5).await.unwrap(), b"12345");
        assert_eq!(read(frames(), 4).await.unwrap_err().kind, Kind::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_body_that_was_cut_off_is_an_error() {
        let frames = [Ok(Frame::data(Bytes::from_static(b"123"))), Err("reset".to_string())];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        assert_eq!(read(body, 5).await.unwrap_err().kind, Kind::Malformed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_go_on_is_given_up() {
        let body = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, String>>());
        // Time is virtual: this wait takes none.
        assert_eq!(read(body, 5).await.unwrap_err().kind, Kind::BodyTooSlow);
    }
}
