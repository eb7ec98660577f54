use std::pin::pin;
use std::task::Waker;

use futures_util::stream;

use super::*;

/// The outcome of a future that needs no host.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it waits"),
    }
}

fn failing() -> Body {
    Body::from_stream(stream::iter([Ok("begun"), Err("no more")]))
}

#[test]
fn a_whole_body_is_one_piece_and_its_length_is_known() {
    let mut body = Body::from("abc");
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(3));
    assert_eq!(now(body.chunk()), Ok(Some(Bytes::from("abc"))));
    assert_eq!(now(body.chunk()), Ok(None));
    assert!(http_body::Body::is_end_stream(&body));
    assert_eq!(now(Body::empty().chunk()), Ok(None));
}

#[test]
fn a_body_is_read_to_its_limit_and_not_beyond() {
    for (limit, expected) in
        [(3, Ok(Bytes::from("abc"))), (2, Err(BodyError::TooLarge { limit: 2 }))]
    {
        assert_eq!(now(Body::from("abc").bytes(limit)), expected);
        let pieces = stream::iter(["a", "bc"].map(Ok::<_, BoxError>));
        assert_eq!(now(Body::from_stream(pieces).bytes(limit)), expected);
    }
}

#[test]
fn a_stream_that_fails_is_never_a_whole_body() {
    assert_eq!(now(failing().bytes(100)), Err(BodyError::Other("no more".to_string())));
    let mut body = failing();
    assert_eq!(now(body.chunk()), Ok(Some(Bytes::from("begun"))));
    assert!(now(body.chunk()).is_err());
}

#[test]
fn what_is_produced_is_read_piece_by_piece_and_not_ahead() {
    let body = |ending: Result<(), &'static str>| {
        Body::produce(move |mut writer| async move {
            for piece in ["a", "", "bc"] {
                writer.write(piece).await?;
            }
            ending.map_err(Into::into)
        })
    };
    assert_eq!(now(body(Ok(())).bytes(100)), Ok(Bytes::from("abc")));
    let mut broken = body(Err("lost"));
    assert_eq!(now(broken.chunk()), Ok(Some(Bytes::from("a"))));
    assert_eq!(now(broken.chunk()), Ok(Some(Bytes::from("bc"))));
    assert_eq!(now(broken.chunk()), Err(BodyError::Other("lost".to_string())));
}

#[test]
fn a_body_in_a_body_is_that_body() {
    let body = Body::new(Body::from("abc"));
    assert!(matches!(body.0, Inner::Full(_)));
    let body = Body::new(http_body_util::Full::new(Bytes::from("abc")));
    assert!(matches!(body.0, Inner::Other(_)));
    assert_eq!(now(body.bytes(3)), Ok(Bytes::from("abc")));
}

#[test]
fn json_is_read_or_says_where_it_is_none() {
    assert_eq!(now(Body::from("[1, 2]").json::<Vec<u8>>(10)), Ok(vec![1, 2]));
    let Err(BodyError::Json(why)) = now(Body::from("[1, x]").json::<Vec<u8>>(10)) else {
        panic!("it is none")
    };
    assert!(why.contains("line 1 column 5"), "{why}");
    assert_eq!(now(Body::from("[1, 2]").json::<Vec<u8>>(5)), Err(BodyError::TooLarge { limit: 5 }));
}
