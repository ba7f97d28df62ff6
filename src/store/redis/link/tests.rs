use std::{
    future::{pending, ready},
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};
use tokio::{
    sync::oneshot,
    time::{advance, sleep},
};

use super::*;

/// A connection, by its number: 1 for the first that was opened. Nothing is sent on it.
#[derive(Clone)]
struct Number(usize);

impl ConnectionLike for Number {
    fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(ready(Ok(Value::Nil)))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn get_db(&self) -> i64 {
        0
    }
}

/// A link that does `how` to connect, and how often it has.
fn link<W: Future<Output = RedisResult<()>> + Send + 'static>(
    how: impl Fn(usize) -> W + Send + Sync + 'static,
) -> (
    Link<impl RedisConnect<Connection = Number>>,
    Arc<AtomicUsize>,
) {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let link = Link::new(move || {
        let number = count.fetch_add(1, SeqCst) + 1;
        let connected = how(number);
        async move { connected.await.map(|()| Number(number)) }
    });
    (link, opened)
}

async fn number<C: RedisConnect<Connection = Number>>(link: &Link<C>) -> RedisResult<usize> {
    link.run(|it| ready(Ok(it.0))).await
}

fn broken() -> RedisError {
    io::Error::from(io::ErrorKind::BrokenPipe).into()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn an_attempt_outlives_whoever_gives_up_waiting_for_it() {
    let (link, opened) = link(async |_| {
        sleep(ms(900)).await;
        Ok(())
    });
    timeout(ms(500), number(&link)).await.expect_err("too soon");
    let began = Instant::now();
    assert_eq!(number(&link).await.unwrap(), 1);
    assert_eq!(began.elapsed(), ms(400));
    assert_eq!(opened.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_ends_with_the_time_of_one_operation() {
    let (link, opened) = link(async |number| match number {
        1 => pending().await,
        _ => Ok(()),
    });
    link.set_operation_timeout(ms(700));
    let began = Instant::now();
    assert!(number(&link).await.unwrap_err().is_timeout());
    assert_eq!(began.elapsed(), ms(700));
    assert_eq!(number(&link).await.unwrap(), 2);
    assert_eq!(began.elapsed(), ms(700), "and the next begins at once");
    assert_eq!(opened.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_fail_at_once_begin_apart() {
    let (link, opened) = link(async |_| Err(broken()));
    let end = Instant::now() + ms(975);
    while Instant::now() < end {
        assert!(number(&link).await.is_err());
    }
    assert_eq!(opened.load(SeqCst), 21, "at 0, 50, .. 1000 ms");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_one_command_keeps_the_connection_and_a_bad_sign_does_not() {
    let (link, _) = link(async |_| Ok(()));
    let refusal = redis::make_extension_error("UNREADABLE".into(), None);
    assert!(link.run(|_| ready(Err::<(), _>(refusal))).await.is_err());
    assert_eq!(number(&link).await.unwrap(), 1);
    assert!(link.run(|_| ready(Err::<(), _>(broken()))).await.is_err());
    assert_eq!(number(&link).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_an_old_connection_does_not_close_the_new_one() {
    let (link, _) = link(async |_| Ok(()));
    let mut old = Box::pin(link.run(|_| pending::<RedisResult<()>>()));
    timeout(ms(100), &mut old).await.expect_err("nothing comes");
    assert!(link.run(|_| ready(Err::<(), _>(broken()))).await.is_err());
    assert_eq!(number(&link).await.unwrap(), 2);
    drop(old);
    assert_eq!(number(&link).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_is_an_error_and_not_the_last() {
    let (link, _) = link(async |number| match number {
        1 => panic!("a rotten connector"),
        _ => Ok(()),
    });
    assert!(number(&link).await.is_err());
    assert_eq!(number(&link).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_share_one_attempt() {
    let (go, gone) = oneshot::channel::<()>();
    let gone = Mutex::new(Some(gone));
    let (link, opened) = link(move |_| {
        let gone = gone.lock().unwrap().take().unwrap();
        async move {
            gone.await.unwrap();
            Ok(())
        }
    });
    let link = Arc::new(link);
    let all: Vec<_> = (0..100)
        .map(|_| {
            let link = Arc::clone(&link);
            tokio::spawn(async move { number(&link).await })
        })
        .collect();
    advance(ms(100)).await;
    go.send(()).unwrap();
    for one in all {
        assert_eq!(one.await.unwrap().unwrap(), 1);
    }
    assert_eq!(opened.load(SeqCst), 1);
}
