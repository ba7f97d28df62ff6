//! Figures. One that can be had from the code is had from it, so that a page cannot fall behind.

use std::{collections::BTreeMap, time::Duration};

use suno_callback::{
    DedupStore, Drain, Limits, MemoryStore, SigningKey, TaskId, Times, UrlSecret,
    product::{
        AnyProduct, CoverImage, Job, Lyrics, Midi, Music, Product, Stems, Video, Voice, Wav,
    },
    reconcile::Pace,
    store::{KEEP_FENCE, MAX_LEASE, Record},
};

use crate::text::{Page, constant, file, members};

/// 4096 is `4,096`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// 16384 is `16 KiB`.
fn size(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mib => format!("{mib} MiB"),
    }
}

/// `13` and `4.5`.
fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

/// What a value of a default is written as; a time in whichever unit it is whole in.
fn spellings(value: &str) -> Vec<String> {
    if let Ok(number) = value.parse() {
        return vec![grouped(number)];
    }
    if value == "None" {
        return vec!["`None`".into(), ": what the store says".into()];
    }
    let millis = match value.strip_suffix("ms") {
        Some(millis) => millis.parse(),
        None => value.trim_end_matches('s').parse().map(|it: f64| it * 1e3),
    };
    let millis: f64 = millis.unwrap_or_else(|error| panic!("{value}: {error}"));
    [(1.0, "ms"), (1e3, "s"), (60e3, "min"), (3600e3, "h")]
        .map(|(unit, name)| format!("{} {name}", millis / unit))
        .into()
}

/// That each field's documentation has the value that stands in `defaults`, as `Debug` shows them.
fn assert_documented(path: &str, declaration: &str, defaults: impl std::fmt::Debug) {
    let shown = format!("{defaults:?}");
    let (_, fields) = shown.split_once(" { ").expect("a struct");
    let fields = fields.trim_end_matches(" }").split(", ");
    let fields = fields.map(|field| field.split_once(": ").expect("a field"));
    let documented: BTreeMap<_, _> = members(path, declaration).into_iter().collect();
    let mut count = 0;
    for (name, value) in fields {
        let said = &documented[name];
        let is_said = |spelling: &String| {
            let after = said.split("efault ").chain(said.split("efault")).skip(1);
            after.into_iter().any(|rest| {
                let rest = rest.strip_prefix(spelling.as_str());
                rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
            })
        };
        let spellings = spellings(value);
        assert!(spellings.iter().any(is_said), "{name} is {value}: {said}");
        count += 1;
    }
    assert_eq!(count, documented.len());
}

#[test]
fn the_documentation_of_each_knob_has_its_default() {
    assert_documented(
        "src/config/times.rs",
        "pub struct Times {",
        Times::default(),
    );
    assert_documented(
        "src/config/limits.rs",
        "pub struct Limits {",
        Limits::default(),
    );
    assert_documented("src/watch/pace.rs", "pub struct Pace {", Pace::default());
}

/// When the store is given up on, after the head.
fn patience(times: &Times) -> Duration {
    times.reply_deadline - Duration::from_secs(3) - times.store_operation
}

#[test]
fn the_readme_has_the_times() {
    let (readme, times) = (Page::of("README.md"), Times::default());
    let deadline = seconds(times.reply_deadline);
    let tolerance = seconds(times.tolerance);
    let operation = times.store_operation;
    let (lease, patience) = (times.lease, patience(&times));
    readme.says(format!("the handler is not done after {deadline} s |"));
    readme.says(format!("after {deadline} seconds the provider gets a 503"));
    readme.says(format!("below the reply deadline of {deadline} seconds"));
    readme.says(format!("slower than {} s |", seconds(times.body)));
    readme.says(format!(
        "tried again until {} s after the head, then 503 and `Retry-After`: an outage of {} s costs no try",
        seconds(patience),
        seconds(patience - operation),
    ));
    readme.says(format!("it is good for {tolerance} seconds"));
    readme.says(format!("within its {tolerance} seconds"));
    readme.says(format!(
        "beyond its lease of {} seconds, and one whose store is away for longer than the lease less \
         one operation, {} seconds",
        seconds(lease),
        seconds(lease - operation),
    ));
    let bound = seconds(Drain::BOUND);
    readme.says(format!("from the signal on: {bound} seconds here"));
    let made_up = times.tolerance * 2;
    readme.says("for ten minutes |");
    assert_eq!(made_up, Duration::from_secs(600));
}

#[test]
fn the_readme_has_the_limits() {
    let (readme, limits, pace) = (Page::of("README.md"), Limits::default(), Pace::default());
    let events = limits.events_per_task;
    readme.says(format!(
        "more than {} wait for one event, or a task has more than {events} phrases",
        limits.waiters_per_slot,
    ));
    readme.says(format!("hands over {} bodies of that task", 16 * events));
    readme.says(format!("| 500 contradictions | {events} delivered"));
    readme.says(format!(
        "| 500 statuses that nobody listed | {events} delivered"
    ));
    let voice = size(Voice::generate().body_limit());
    readme.says(format!("over the product's limit, {voice} for voices"));
    readme.says(format!("the layer takes at most {voice} of each"));
    let most = size(AnyProduct.body_limit());
    readme.says(format!("which is {voice} for voices and {most} for MIDI"));
    readme.says(format!(
        "| {}, each with its body, {voice} at most for voices |",
        grouped(limits.waiters)
    ));
    readme.says(format!(
        "| handled events whose commit is under way | {} |",
        grouped(limits.deferred_commits)
    ));
    let tasks = grouped(pace.tasks);
    readme.says(format!("the list of {tasks} ([`Pace`]"));
    readme.says(format!("asks on about | {tasks} of 500 bytes |"));
    readme.says(format!("[`Reconciler`]'s list | {tasks} of 600 bytes |"));
    assert_eq!(MemoryStore::DEFAULT_CAPACITY, 1_000_000);
    readme.says("| `MemoryStore` | a million entries of");
}

#[test]
fn the_readme_has_what_the_manifest_and_the_examples_have() {
    let (readme, manifest) = (Page::of("README.md"), file("Cargo.toml"));
    let field = |name: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.strip_prefix(" = "));
        value
            .unwrap_or_else(|| panic!("no {name}"))
            .trim_matches('"')
    };
    readme.says(format!("Rust {}; with", field("rust-version")));
    let (major_and_minor, _) = field("version").rsplit_once('.').expect("three numbers");
    readme.says(format!(
        "suno-callback = {{ version = \"{major_and_minor}\""
    ));
    let lines = file("examples/own_product.rs").lines().count();
    readme.says(format!("`examples/own_product.rs` is one in {lines} lines"));
    let default = field("default");
    for row in Page::rows("README.md", "| feature | default | what it adds |") {
        for name in row[0].split(", ").map(|name| name.trim_matches('`')) {
            let is_default = default.contains(&format!("\"{name}\""));
            assert_eq!(row[1] == "yes", is_default, "{name}");
            assert!(manifest.contains(&format!("\n{name} = [")), "{name}");
        }
    }
}

/// The file that documents a product, what the receiver calls it, its limit, and its record.
fn products() -> Vec<(&'static str, &'static str, usize, Option<&'static str>)> {
    fn of<P: Product>(
        file: &'static str,
        product: P,
    ) -> (&'static str, &'static str, usize, Option<&'static str>) {
        (
            file,
            product.name(),
            product.body_limit(),
            product.record_path(),
        )
    }
    vec![
        of("", Voice::generate()),
        of("", Voice::validate()),
        of("src/product/music/mod.rs", Music),
        of("src/product/lyrics.rs", Lyrics),
        of("src/product/wav.rs", Wav),
        of("src/product/stems/mod.rs", Stems),
        of("src/product/midi.rs", Midi),
        of("src/product/video.rs", Video),
        of("src/product/cover_image.rs", CoverImage),
        of("src/product/job.rs", Job),
        of("src/product/any.rs", AnyProduct),
    ]
}

#[test]
fn each_product_is_documented_with_its_name_its_limit_and_the_place_of_its_record() {
    let head = "| `--product` | product | the provider's words | confirmed at | body up to |";
    let rows = Page::rows("README.md", head);
    assert_eq!(rows.len(), products().len());
    for (row, (path, name, limit, record)) in rows.iter().zip(products()) {
        assert_eq!(row[0], format!("`{name}`"));
        let place = record.map_or_else(|| "nowhere".into(), |path| format!("`{path}`"));
        assert_eq!(row[3], place, "{name}");
        assert_eq!(row[4], size(limit), "{name}");
        if !path.is_empty() {
            Page::of(path).says(format!("body is at most {}", size(limit)));
        }
    }
    let head = "| product | submitted to | is told | success is | confirmed by |";
    let module = Page::rows("src/product/mod.rs", head);
    for (_, name, _, record) in products() {
        let path = record.unwrap_or("nothing").replace("/api/v1", "");
        let is_named =
            |row: &&Vec<String>| row[4].split(", ").any(|it| it.trim_matches('`') == path);
        assert!(module.iter().any(|row| is_named(&row)), "{name}: {path}");
    }
    Page::of("src/product/mod.rs")
        .says(format!("Default {}", size(Voice::generate().body_limit())));
}

#[test]
fn the_stores_are_documented_with_what_they_keep_and_for_how_long() {
    let store = Page::of("src/store/mod.rs");
    assert_eq!(MAX_LEASE, Duration::from_secs(60));
    store.says("The longest lease that a store grants or believes in: 60 seconds.");
    assert_eq!(KEEP_FENCE, Duration::from_secs(3600));
    store.says("a held or released slot is kept after its last change: one hour.");
    store.says(format!(
        "by default for {} seconds",
        seconds(patience(&Times::default()))
    ));
    let record = Record::MAX_LEN;
    Page::of("src/store/record.rs").says(format!("at most {record} bytes"));
    let memory = Page::of("src/store/memory/mod.rs");
    memory.says(format!("{} hours.", 24 * days(&MemoryStore::default())));
    assert_eq!(MemoryStore::DEFAULT_CAPACITY, 1_000_000);
    memory.says("holds: one million.");
}

fn days(store: &impl DedupStore) -> u64 {
    store.retention().as_secs() / (24 * 3600)
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_store_that_says_nothing_else_keeps_an_outcome_for_the_days_of_the_documentation() {
    let pool = sqlx::PgPool::connect_lazy("postgres://127.0.0.1/").unwrap();
    let days = days(&suno_callback::store::PostgresStore::new(pool));
    Page::of("src/store/mod.rs").says(format!("Default: {days} days."));
}

#[cfg(feature = "redis")]
#[test]
fn a_redis_store_keeps_an_outcome_for_the_seven_days_of_its_documentation() {
    use suno_callback::store::RedisStore;

    let client = redis::Client::open("redis://127.0.0.1/").unwrap();
    assert_eq!(days(&RedisStore::new(client)), 7);
    let redis = Page::of("src/store/redis/mod.rs");
    redis.says("by default [seven days]");
    redis.says("Seven days.");
}

#[test]
fn keys_and_ids_are_documented_with_their_lengths() {
    let id = TaskId::MAX_LEN;
    Page::of("src/event/id.rs").says(format!("1 to {id} bytes without control characters"));
    Page::of("src/event/invalid.rs").says(format!("not a string of 1 to {id} bytes"));
    let short = SigningKey::new("a".repeat(SigningKey::MIN_LEN - 1)).unwrap_err();
    let said = format!("shorter than {} bytes", SigningKey::MIN_LEN);
    assert!(short.to_string().contains(&said), "{short}");
    let least = UrlSecret::MIN_LEN;
    Page::of("src/signature/url_secret.rs").says(format!("at least {least} characters"));
    let weak = UrlSecret::new("").unwrap_err().to_string();
    assert!(
        weak.contains(&format!("at least {least} characters")),
        "{weak}"
    );
}

#[test]
fn a_shutdown_is_documented_with_its_bound() {
    let drain = Page::of("src/process/drain/mod.rs");
    drain.says(format!(
        "A good bound for [`serve`](Self::serve): {} s",
        seconds(Drain::BOUND)
    ));
    let documented = Page::of("src/config/times.rs");
    let patience = patience(&Times::default());
    documented.says(format!(
        "by default {} seconds after the head",
        seconds(patience)
    ));
}

#[test]
fn the_stores_are_documented_with_how_they_grow() {
    let every = |file| constant(file, "CLAIMS_PER_SWEEP");
    let rows = |file| grouped(constant(file, "ROWS_PER_SWEEP"));
    let sweep = "src/store/postgres/sweep.rs";
    Page::of("src/store/postgres/mod.rs").says(format!(
        "Every {}th claim removes up to {} rows",
        every(sweep),
        rows(sweep)
    ));
    let sweep = "src/store/sqlite/sweep.rs";
    Page::of("src/store/sqlite/mod.rs").says(format!(
        "removed by every {}th claim, {} rows at most",
        every(sweep),
        rows(sweep)
    ));
    let apart = constant("src/store/redis/link/mod.rs", "APART");
    let redis = Page::of("src/store/redis/mod.rs");
    redis.says(format!("the next begins {apart} ms later"));
    let (path, entry) = ("src/store/memory/mod.rs", 125);
    Page::of("README.md").says(format!("a million entries of some {entry} bytes"));
    Page::of(path).says(format!("An entry takes some {entry} bytes"));
    let places = constant(path, "MAX_SHARDS") * constant(path, "SHARE");
    let (most, bytes) = (places / 1_000_000, places * entry / 1_000_000_000);
    Page::of(path).says(format!("at most {most} million ({bytes} GB)"));
    let looked_at = constant("src/store/memory/shards.rs", "LOOKED_AT");
    assert_eq!(looked_at * constant(path, "SHARD_CAPACITY") / 100_000, 2);
    Page::of(path).says("(of a large store: among 200,000)");
}

#[test]
fn the_tables_of_the_layer_are_documented_with_their_bounds() {
    let tasks = grouped(constant("src/process/variants.rs", "TASKS"));
    Page::of("README.md").says(format!("| {tasks} tasks of some"));
    Page::of("src/config/limits.rs").says(format!("for at most {tasks} tasks"));
    let settle = constant("src/process/drain/mod.rs", "SETTLE");
    Page::of("README.md").says(format!("what still runs {settle} seconds before the bound"));
    Page::of("src/process/drain/mod.rs").says(format!("which takes at most {settle} s more"));
    let longest = constant("src/watch/run.rs", "LONGEST");
    Page::of("src/confirm/mod.rs").says(format!("The layer asks {longest} s at the longest"));
}
