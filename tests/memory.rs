//! What a hostile body can cost: never more memory than the body limit and a constant, whatever it
//! declares and however long it goes on. And what an entry of the memory store costs, and a task
//! that is asked about.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use harness::{
    Callback, Seen, accepting, assert_some, key,
    probe::{Probe, layer},
    provider::{Provider, Says},
    secs, serve,
};
use http::{Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Full, StreamBody};
use peak_alloc::PeakAlloc;
use suno_callback::{
    MemoryStore, Rejection, SunoCallbackLayer, TaskId, Unconfirmed,
    reconcile::Watchlist,
    store::{Claim, DedupStore, Owner, Record, SlotKey},
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    runtime::{Builder, Runtime},
    time::sleep,
};
use tower::{Layer, ServiceExt};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const LIMIT: usize = 16 * 1024;

/// The counter is the whole process's, so one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many bytes more than before `work` needed at one time.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    work();
    MEMORY.peak_usage().saturating_sub(before)
}

/// `left` times the same frame, of whatever length it declares.
struct Frames {
    frame: Bytes,
    left: u64,
    declared: SizeHint,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(Frame::data(self.frame.clone()))))
    }

    fn size_hint(&self) -> SizeHint {
        self.declared
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn request() -> Request<Full<Bytes>> {
    Callback::success("t", "v").request()
}

#[test]
fn the_counter_counts() {
    let _turn = alone();
    let size = 1 << 20;
    let peak = peak_of(|| drop(std::hint::black_box(vec![1_u8; size])));
    // The runner's own threads come and go beside it, and free what they had: some dozen bytes.
    assert!(peak.abs_diff(size) < size / 100, "{peak}");
}

#[test]
fn f60_a_stream_of_a_gibibyte_costs_the_limit_and_no_more() {
    let _turn = alone();
    let (runtime, probe) = (runtime(), Probe::default());
    for size in [1, 1000, 1024, LIMIT, 1 << 20] {
        let frame = Bytes::from(vec![b' '; size]);
        let left = (1 << 30) / size as u64;
        let body = Frames {
            frame,
            left,
            declared: SizeHint::default(),
        };
        let request = request().map(|_| body);
        let mut reply = None;
        let peak = peak_of(|| reply = Some(runtime.block_on(probe.send(request))));
        reply.unwrap().assert_refusal(Rejection::BodyTooLarge);
        println!("frames of {size}: {peak} bytes");
        assert!(peak < 2 * LIMIT + 4096, "frames of {size}: {peak} bytes");
    }
}

#[test]
fn f60_a_small_frame_before_a_huge_one_costs_no_copy_of_it() {
    let _turn = alone();
    let probe = Probe::default();
    for small in 1..3 {
        let frames = [vec![b' '; small], vec![b' '], vec![b' '; 8 << 20]];
        let frames = frames.map(|frame| Ok::<_, Infallible>(Frame::data(Bytes::from(frame))));
        let request = request().map(|_| StreamBody::new(stream::iter(frames)));
        let mut reply = None;
        let peak = peak_of(|| reply = probe.send(request).now_or_never());
        reply.unwrap().assert_refusal(Rejection::BodyTooLarge);
        assert!(peak < 4096, "{peak} bytes");
    }
}

#[test]
fn f60_a_declared_length_of_64_tib_costs_nothing() {
    let _turn = alone();
    let probe = Probe::default();
    for declared in [1 << 46, u64::MAX] {
        let body = Frames {
            frame: Bytes::from_static(b" "),
            left: u64::MAX,
            declared: SizeHint::with_exact(declared),
        };
        let request = request().map(|_| body);
        let mut reply = None;
        let peak = peak_of(|| reply = probe.send(request).now_or_never());
        reply.unwrap().assert_refusal(Rejection::BodyTooLarge);
        println!("{declared} declared: {peak} bytes");
        assert!(peak < 4096, "{peak} bytes");
    }
    // A length that is too small to be refused is not believed either: the upper bound lies.
    let mut hint = SizeHint::new();
    hint.set_upper(u64::MAX);
    let body = Frames {
        frame: Bytes::from_static(b"{"),
        left: 1,
        declared: hint,
    };
    let request = request().map(|_| body);
    let peak = peak_of(|| drop(probe.send(request).now_or_never().unwrap()));
    assert!(peak < 4096, "{peak} bytes");
}

#[test]
fn what_a_parser_hates_costs_a_few_times_the_limit() {
    let _turn = alone();
    let fill = |unit: &str, room: usize| unit.repeat(room / unit.len());
    let room = LIMIT - 200;
    let bodies = [
        ("arrays", format!(r#"{{"x":{}"#, fill("[", room))),
        ("objects", format!(r#"{{"x":{}"#, fill("{\"a\":", room))),
        ("arrays in data", format!(r#"{{"data":{}"#, fill("[", room))),
        ("numbers", format!(r#"{{"x":[{}1]}}"#, fill("1e9,", room))),
        ("keys", format!(r#"{{{}"x":1}}"#, fill("\"\":1,", room))),
        (
            "escapes in an id",
            format!(r#"{{"taskId":"{}"}}"#, fill("\\u0041", room)),
        ),
        (
            "escapes in a key",
            format!(r#"{{"{}":1}}"#, fill("\\u0041", room)),
        ),
        ("escapes in four ids", {
            let id = fill("\\n", room / 4);
            format!(
                r#"{{"taskId":"{id}","task_id":"{id}","data":{{"taskId":"{id}","task_id":"{id}"}}}}"#
            )
        }),
        (
            "a long id",
            format!(r#"{{"taskId":"{}"}}"#, fill("a", room)),
        ),
        (
            "a long number",
            format!(r#"{{"taskId":{}}}"#, fill("9", room)),
        ),
        (
            "a long status",
            format!(
                r#"{{"taskId":"u","data":{{"status":"{}"}}}}"#,
                fill("\\\\", room)
            ),
        ),
    ];
    let probe = Probe::default();
    for (name, body) in bodies {
        let request = request().map(|_| Full::new(Bytes::from(body)));
        let mut reply = None;
        let peak = peak_of(|| reply = probe.send(request).now_or_never());
        let status = reply.unwrap().status.as_u16();
        assert!([400, 401].contains(&status), "{name}: {status}");
        println!("{name}: {peak} bytes");
        assert!(peak < 4 * LIMIT, "{name}: {peak} bytes");
    }
    probe.assert_untouched();
}

#[test]
fn refusals_leave_no_memory_behind() {
    let _turn = alone();
    let probe = Probe::default();
    let round = || {
        for number in 0..2_000_u64 {
            let mut callback = Callback::success(&format!("t{number}"), "v");
            match number % 4 {
                0 => callback.signature.replace_range(..4, "AAAA"),
                1 => callback.timestamp = "1".into(),
                2 => callback.body.truncate(60),
                _ => callback.body.push('}'),
            }
            let reply = probe.send(callback.request()).now_or_never().unwrap();
            assert!(reply.status.is_client_error());
        }
    };
    round();
    let before = MEMORY.current_usage();
    round();
    let grown = MEMORY.current_usage().saturating_sub(before);
    assert!(grown < 4096, "{grown} bytes after 2,000 refusals");
    probe.assert_untouched();
}

/// Writes until the server hangs up or `bytes` are through, and says how many were.
async fn flood(stream: &mut TcpStream, part: &[u8], bytes: u64) -> u64 {
    let mut sent = 0;
    while sent < bytes {
        match stream.write(part).await {
            Ok(count) if count > 0 => sent += count as u64,
            _ => break,
        }
    }
    sent
}

#[test]
fn f60_neither_a_gibibyte_nor_64_tib_over_a_socket_costs_more_than_the_server_s_buffers() {
    let _turn = alone();
    let runtime = runtime();
    let probe = Probe::with(&layer());
    let part = vec![b' '; 64 * 1024];
    let chunk = [b"10000\r\n", &part[..], b"\r\n"].concat();
    let addr = runtime.block_on(async { serve(probe.service.clone()).await });
    for (framing, part) in [
        ("content-length: 70368744177664", &part),
        ("transfer-encoding: chunked", &chunk),
    ] {
        let callback = Callback::success("t", "v");
        let head = format!(
            "POST / HTTP/1.1\r\nhost: h\r\nx-webhook-timestamp: {}\r\nx-webhook-signature: {}\r\n{framing}\r\n\r\n",
            callback.timestamp, callback.signature
        );
        let peak = peak_of(|| {
            runtime.block_on(async {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                stream.write_all(head.as_bytes()).await.unwrap();
                let sent = flood(&mut stream, part, 1 << 30).await;
                println!("{framing}: the server took {sent} bytes");
                assert!(sent < 1 << 30, "the server reads for ever");
            });
        });
        println!("{framing}: {peak} bytes");
        assert!(peak < 1 << 20, "{framing}: {peak} bytes");
    }
    probe.assert_untouched();
}

/// A runtime whose time is virtual.
fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

const TASKS: usize = 3_000;

/// A handler that answers 200 and keeps nothing.
fn accepting_nothing() -> harness::Handler {
    harness::Handler::new(tower::service_fn(|_| async {
        Ok(harness::answer(StatusCode::OK))
    }))
}

/// Sends a success of each task under a confirmer that says that it is pending.
async fn send_unconfirmed(unconfirmed: Unconfirmed) -> SunoCallbackLayer<MemoryStore> {
    let layer = SunoCallbackLayer::new(key(), MemoryStore::default())
        .confirm(Provider::that([Says::PENDING]))
        .unconfirmed(unconfirmed);
    let service = layer.layer(accepting(Seen::default()));
    let all = (0..TASKS).map(|n| {
        let id = format!("{n:032}");
        let request = Callback::success(&id, "voice").request();
        service.clone().oneshot(request)
    });
    drop(futures_util::future::join_all(all).await);
    layer
}

/// How many bytes the layer still has for each task some seconds after it was refused.
fn bytes_for_each(unconfirmed: Unconfirmed) -> usize {
    paused().block_on(async {
        // The store and the runtime take their room once.
        drop(send_unconfirmed(unconfirmed).await);
        sleep(secs(3)).await;
        let before = MEMORY.current_usage();
        let _layer = send_unconfirmed(unconfirmed).await;
        sleep(secs(3)).await;
        MEMORY.current_usage().saturating_sub(before) / TASKS
    })
}

#[test]
fn an_answered_question_is_out_of_memory_within_three_seconds() {
    let _turn = alone();
    let bytes = bytes_for_each(Unconfirmed::Refuse);
    println!("{bytes} bytes for each task");
    // What stays is the note that it was asked about.
    assert!(bytes < 64, "{bytes} bytes for each task");
}

const README: &str = include_str!("../README.md");

#[test]
fn a_watch_and_what_a_layer_keeps_take_what_the_documentation_says() {
    let _turn = alone();
    let kept = bytes_for_each(Unconfirmed::Keep);
    let before = MEMORY.current_usage();
    let list: Watchlist = Watchlist::default();
    for n in 0..TASKS {
        let task = TaskId::new(format!("{n:032}")).unwrap();
        paused().block_on(async { drop(list.watch(&task)) });
    }
    let watched = MEMORY.current_usage().saturating_sub(before) / TASKS;
    println!("{kept} bytes for each task that is kept, {watched} for each that is watched");
    assert_some(kept, README, "asks on about | 100,000 of ");
    assert_some(watched, README, "list | 100,000 of ");
}

/// As many events of a task as are handed over beside its success and its failure.
#[test]
fn what_is_remembered_of_the_events_of_a_task_takes_what_the_documentation_says() {
    let _turn = alone();
    const EACH: usize = 16;
    const TASKS: usize = 1_500;
    // A store that drops what it knows, so that the table alone grows.
    let layer = SunoCallbackLayer::new(key(), MemoryStore::with_capacity(64));
    let service = layer.layer(accepting_nothing());
    let odd = |task: usize, event: usize| {
        let request = Callback::progress(&format!("{task:032}"), &format!("odd-{event}"));
        let reply = service.clone().oneshot(request.request()).now_or_never();
        assert!(reply.unwrap().unwrap().status().is_success());
    };
    (0..64).for_each(|event| odd(TASKS + event, 0));
    let before = MEMORY.current_usage();
    for task in 0..TASKS {
        (0..EACH).for_each(|event| odd(task, event));
    }
    let bytes = MEMORY.current_usage().saturating_sub(before) / TASKS;
    println!("{bytes} bytes for each task with {EACH} events");
    assert_some(bytes, README, "65,536 tasks of some ");
}

/// Claims and commits so many slots, and gives the bytes that are kept for each and the most bytes
/// that a single operation asked for.
fn fill(store: &MemoryStore, count: u64) -> (f64, usize) {
    let (lease, retain) = (Duration::from_secs(5), Duration::from_secs(24 * 3600));
    // As long as the layer's own.
    let record = Record::try_from(&[7; 42][..]).unwrap();
    let (before, mut largest) = (MEMORY.current_usage(), 0);
    let mut random = fastrand::Rng::with_seed(count);
    for number in 0..count {
        let slot = SlotKey::from(std::array::from_fn(|_| random.u8(..)));
        let owner = Owner::from(u128::from(number).to_be_bytes());
        let mut step = |work: &mut dyn FnMut()| largest = largest.max(peak_of(work));
        let mut held = None;
        step(&mut || held = store.claim(&slot, owner, lease).now_or_never());
        let Some(Ok(Claim::Granted(held))) = held else {
            panic!("{held:?}");
        };
        step(&mut || {
            let commit = store.commit(&slot, &held, &record, retain);
            let _ = commit.now_or_never().unwrap().unwrap();
        });
    }
    let bytes = MEMORY.current_usage().saturating_sub(before);
    (bytes as f64 / count as f64, largest)
}

#[test]
fn an_entry_of_the_memory_store_takes_few_bytes_and_no_operation_takes_many() {
    let _turn = alone();
    for (count, capacity) in [
        (10_000, 10_000),
        (10_000, 1_000_000),
        (200_000, 200_000),
        (200_000, 1_000_000),
    ] {
        let store = MemoryStore::with_capacity(capacity);
        let (bytes, largest) = fill(&store, count);
        println!("{count} of {capacity}: {bytes:.1} bytes a slot, at most {largest} at once");
        assert_eq!(store.len() as u64, count);
        assert!(bytes < 147.0, "{count} of {capacity}: {bytes} bytes a slot");
        assert_some(bytes as usize, README, "a million entries of some ");
        // The index of a shard with 16,384 places, and the list of its deadlines.
        assert!(largest < 200_000, "{largest} bytes in one operation");
    }
}
