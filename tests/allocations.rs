mod common;
use bytes::Bytes;
use common::*;
use http::{Request, Response};
use http_body_util::Full;
use std::{future::Future, pin::pin, task::*};
use suno_callback::*;
use tower::{Layer, Service};

fn finish<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(o) => o,
        _ => panic!(),
    }
}
async fn h(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    Ok(Response::new(Full::default()))
}
#[tokio::test]
async fn count() {
    let mut s = SunoCallbackLayer::new(key(), MemoryStore::default()).layer(tower::service_fn(h));
    for i in 0..200 {
        let _ = finish(s.call(Callback::success(&format!("x{i}"), "v").request()));
    }
    let mut bare = tower::service_fn(h);
    for (n, c) in [
        ("acc", Callback::success("a", "v")),
        ("dup", Callback::success("a", "v")),
        ("forged", {
            let mut c = Callback::success("b", "v");
            c.signature = key().sign("c", 1);
            c
        }),
        ("stale", Callback::success("b", "v").signed_at(1)),
    ] {
        let r = c.request();
        let r2 = c.request();
        let b = allocation_counter::measure(|| {
            let _ = finish(bare.call(r2));
        });
        let a = allocation_counter::measure(|| {
            let _ = finish(s.call(r));
        });
        println!(
            "{n}: bare {} layer {} bytes {}",
            b.count_total, a.count_total, a.bytes_total
        );
    }
}
