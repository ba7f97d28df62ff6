//! `kill -9` in the one moment that matters: the job is written and the record of its event is not.

use crate::{books::Books, kill_9, provider, web};

#[test]
fn a_kill_between_job_and_record_on_postgres_leaves_one_job() {
    between(&Books::postgres());
}

#[test]
fn a_kill_between_job_and_record_on_sqlite_leaves_one_job() {
    between(&Books::sqlite());
}

fn between(books: &Books) {
    let mut first = web(books);
    books.hold_records();
    let provider = provider::Provider::send(1, "http://files.test/", first.0.addr);
    books.wait_until_held();
    kill_9(&mut first.0.child);
    books.let_go();
    let second = web(books);
    provider.goes_to(second.0.addr);
    provider.finish();
    assert_eq!(books.jobs().len(), 1);
}
