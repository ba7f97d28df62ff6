//! Every fixture of every product, through the layer over HTTP, with its record behind it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use harness::fake_api::{API_KEY, FakeApi};
use harness::{Callback, answer, key, post_to, serve, until};
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::json;
use suno_callback::{
    AnyStore, Delivery, MemoryStore, Product, Reconciler, SunoCallbackLayer, SunoCallbackService,
    SunoClient, TaskId, Trust, Via,
    client::{ApiKey, HttpsClient, Watched},
    product::{
        AnyProduct, CoverImage, Event, Job, Lyrics, Midi, Music, Stage, Stems, Video, Voice, Wav,
    },
};
use tower::{Layer, util::BoxCloneSyncService};

type Handler = BoxCloneSyncService<Request<Full<Bytes>>, http::Response<Full<Bytes>>, Infallible>;

/// What a handler was given.
#[derive(Clone, Debug, PartialEq)]
struct Handed {
    product: &'static str,
    task: String,
    stage: &'static str,
    name: String,
    results: Vec<String>,
    trust: Trust,
    via: Via,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Handed>>>);

impl Log {
    fn of(&self, product: &str, task: &str) -> Vec<Handed> {
        let all = self.0.lock().unwrap();
        let about = |it: &&Handed| it.product == product && it.task == task;
        all.iter().filter(about).cloned().collect()
    }

    fn stages(&self, product: &str, task: &str) -> Vec<(&'static str, String)> {
        let handed = self.of(product, task).into_iter();
        handed.map(|it| (it.stage, it.name)).collect()
    }

    /// A handler that notes what it is given, and takes it.
    fn handler<P: Product>(&self) -> Handler {
        let log = self.clone();
        Handler::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let event: &P::Event = request.extensions().get().expect("an event");
            let delivery: &Delivery = request.extensions().get().expect("a delivery");
            log.0.lock().unwrap().push(Handed {
                product: event.product().name(),
                task: event.task_id().to_string(),
                stage: event.stage().as_str(),
                name: event.name().to_owned(),
                results: event.results(),
                trust: delivery.trust(),
                via: delivery.via(),
            });
            std::future::ready(Ok(answer(StatusCode::OK)))
        }))
    }
}

/// All products on one address, one store and one drain, with a fake API behind them.
struct Rig {
    url: String,
    log: Log,
    api: FakeApi,
}

impl Rig {
    async fn start(confirmed: bool) -> Self {
        let (log, api) = (Log::default(), FakeApi::default());
        let client = confirmed.then(|| api.clone());
        let client = match client {
            Some(api) => Some(https(&api.serve().await)),
            None => None,
        };
        let shared = Shared {
            store: AnyStore::new(MemoryStore::default()),
            client,
            log: log.clone(),
        };
        let app = Router::new();
        let app = shared.mount(app, Music);
        let app = shared.mount(app, Lyrics);
        let app = shared.mount(app, Wav);
        let app = shared.mount(app, Stems);
        let app = shared.mount(app, Midi);
        let app = shared.mount(app, Video);
        let app = shared.mount(app, CoverImage);
        let app = shared.mount(app, Job);
        let app = shared.mount(app, AnyProduct);
        let url = format!("http://{}", serve(app).await);
        Self { url, log, api }
    }

    async fn post(&self, product: &str, task: &str, body: &str) -> StatusCode {
        let url = format!("{}/{product}", self.url);
        post_to(&url, &Callback::new(task, body)).await.0
    }

    /// The record of a task, at the endpoint of its product alone.
    fn record(&self, product: &str, task: &str, body: &str) {
        let paths = [
            ("music", "/api/v1/generate/record-info"),
            ("lyrics", "/api/v1/lyrics/record-info"),
            ("wav", "/api/v1/wav/record-info"),
            ("stems", "/api/v1/vocal-removal/record-info"),
            ("midi", "/api/v1/midi/record-info"),
            ("video", "/api/v1/mp4/record-info"),
            ("cover-image", "/api/v1/suno/cover/record-info"),
            ("job", "/api/v1/jobs/recordInfo"),
        ];
        let path = paths.iter().find(|it| it.0 == product);
        self.api.set_at(path.expect(product).1, task, body.into());
    }
}

struct Shared {
    store: AnyStore,
    client: Option<SunoClient<HttpsClient>>,
    log: Log,
}

impl Shared {
    fn service<P: Product>(&self, product: P) -> SunoCallbackService<Handler, AnyStore, P> {
        let layer = SunoCallbackLayer::new(key(), self.store.clone()).receives(product);
        match &self.client {
            Some(client) => layer.confirm(client.clone()).layer(self.log.handler::<P>()),
            None => layer.layer(self.log.handler::<P>()),
        }
    }

    fn mount<P: Product>(&self, app: Router, product: P) -> Router {
        let path = format!("/{}", product.name());
        app.route_service(&path, self.service(product))
    }
}

fn https(base: &str) -> SunoClient<HttpsClient> {
    let client = SunoClient::https(ApiKey::new(API_KEY).unwrap()).unwrap();
    let client = client.base_url(base).unwrap();
    client.rate(1_000, Duration::from_secs(1))
}

/// A documented body.
struct Fixture {
    name: String,
    product: &'static str,
    task: String,
    body: String,
}

impl Fixture {
    fn named(name: &str) -> Self {
        let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read_to_string(&path).expect(&path);
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        let places = ["/data/taskId", "/data/task_id", "/taskId", "/task_id"];
        let task = places.iter().find_map(|at| json.pointer(at)?.as_str());
        Self {
            name: name.into(),
            product: product_of(name),
            task: task.unwrap_or_default().into(),
            body,
        }
    }

    fn all() -> Vec<Self> {
        let folder = format!("{}/tests/fixtures", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(folder).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names
            .filter_map(|file| Some(file.strip_suffix(".json")?.to_owned()))
            .collect();
        names.sort();
        names.iter().map(|name| Self::named(name)).collect()
    }

    fn is_record(&self) -> bool {
        self.name.contains("record")
    }

    /// The same, about a task of its own.
    fn about(&self, task: &str) -> String {
        self.body
            .replace(&format!("\"{}\"", self.task), &format!("\"{task}\""))
    }

    /// How the document says that it comes out.
    fn stage(&self) -> &'static str {
        let has = |words: &[&str]| words.iter().any(|word| self.name.contains(word));
        match () {
            () if self.name == "job-signing-page-sample" => "unknown",
            () if has(&["failed", "error"]) => "failure",
            () if has(&["-text", "-first"]) => "progress",
            () => "success",
        }
    }
}

fn product_of(fixture: &str) -> &'static str {
    let prefixes = [
        ("music", "music"),
        ("add-", "music"),
        ("replace-section", "music"),
        ("lyrics", "lyrics"),
        ("wav", "wav"),
        ("stems", "stems"),
        ("midi", "midi"),
        ("mp4", "video"),
        ("cover-image", "cover-image"),
        ("job", "job"),
    ];
    let found = prefixes.iter().find(|it| fixture.starts_with(it.0));
    found.map_or("any", |it| it.1)
}

#[tokio::test]
async fn every_callback_of_the_documents_is_handed_over_once_as_what_it_is() {
    let rig = Rig::start(false).await;
    let mut seen = BTreeMap::<_, usize>::new();
    for fixture in Fixture::all().iter().filter(|it| !it.is_record()) {
        let body = fixture.about(&fixture.name);
        for _ in 0..2 {
            let status = rig.post(fixture.product, &fixture.name, &body).await;
            assert_eq!(status, StatusCode::OK, "{}", fixture.name);
        }
        let handed = rig.log.of(fixture.product, &fixture.name);
        let [handed] = &handed[..] else {
            panic!("{}: {handed:?}", fixture.name);
        };
        assert_eq!(
            handed.stage,
            fixture.stage(),
            "{}: {handed:?}",
            fixture.name
        );
        assert_eq!((handed.trust, handed.via), (Trust::SignedId, Via::Callback));
        // MIDI brings notes, lyrics bring texts.
        let brings_links = !matches!(fixture.product, "midi" | "lyrics");
        if handed.stage == "success" && brings_links {
            assert!(!handed.results.is_empty(), "{}", fixture.name);
        }
        *seen.entry(fixture.product).or_default() += 1;
    }
    assert_eq!(seen.values().sum::<usize>(), 50, "{seen:?}");
    assert_eq!(seen.len(), 9, "every product but voices: {seen:?}");
}

/// The record that confirms a documented callback; `None` where the provider has none.
fn record_of(callback: &Fixture) -> Option<Fixture> {
    let is_failure = callback.stage() == "failure";
    let name = match (callback.product, is_failure) {
        ("any", _) => return None,
        ("job", _) if callback.stage() == "unknown" => "job-record-waiting",
        // No page shows a record of the first stage; a later one confirms it.
        ("music", _) if callback.stage() == "progress" => "music-record-first",
        ("stems", false) if callback.name.contains("many") => "stems-record-many",
        ("stems", false) => "stems-record-two",
        ("video", true) => "mp4-record-failed",
        ("video", false) => "mp4-record-success",
        (product, true) => return Some(Fixture::named(&format!("{product}-record-failed"))),
        (product, false) => return Some(Fixture::named(&format!("{product}-record-success"))),
    };
    Some(Fixture::named(name))
}

/// Every documented callback that has a record, and that.
fn confirmed() -> Vec<(Fixture, Fixture)> {
    let callbacks = Fixture::all().into_iter().filter(|it| !it.is_record());
    let pairs = callbacks.filter_map(|it| record_of(&it).map(|record| (it, record)));
    pairs.collect()
}

#[tokio::test]
async fn every_callback_is_confirmed_by_the_record_at_the_endpoint_of_its_product() {
    let rig = Rig::start(true).await;
    let pairs = confirmed();
    assert_eq!(pairs.len(), 38, "all but those that have no record");
    for (callback, record) in &pairs {
        let task = &callback.name;
        rig.record(callback.product, task, &record.about(task));
        for _ in 0..2 {
            let status = rig
                .post(callback.product, task, &callback.about(task))
                .await;
            assert_eq!(status, StatusCode::OK, "{task}");
        }
        let handed = rig.log.of(callback.product, task);
        let [handed] = &handed[..] else {
            panic!("{task}: {handed:?}");
        };
        assert_eq!(handed.stage, callback.stage(), "{task}: {handed:?}");
        let trust = match callback.stage() {
            "unknown" => Trust::SignedId, // the record does not decide
            _ => Trust::Confirmed,
        };
        assert_eq!((handed.trust, handed.via), (trust, Via::Callback), "{task}");
    }
}

#[tokio::test]
async fn a_forged_end_is_replaced_by_what_the_record_says() {
    let rig = Rig::start(true).await;
    let is_end = |it: &(Fixture, Fixture)| matches!(it.0.stage(), "success" | "failure");
    let ends: Vec<_> = confirmed().into_iter().filter(is_end).collect();
    for (claimed, _) in &ends {
        for (told, record) in ends.iter().filter(|it| it.0.product == claimed.product) {
            if told.stage() == claimed.stage() {
                continue;
            }
            let task = format!("{} told {}", claimed.name, told.name);
            rig.record(claimed.product, &task, &record.about(&task));
            let status = rig
                .post(claimed.product, &task, &claimed.about(&task))
                .await;
            assert_eq!(status, StatusCode::OK, "{task}");
            let stages = rig.log.stages(claimed.product, &task);
            assert_eq!(stages.len(), 1, "{task}: {stages:?}");
            assert_eq!(stages[0].0, told.stage(), "{task}");
        }
    }
}

#[tokio::test]
async fn a_forged_first_track_is_not_handed_over_while_the_record_has_none() {
    let rig = Rig::start(true).await;
    let (first, pending) = (
        Fixture::named("music-first"),
        Fixture::named("music-record-pending"),
    );
    rig.record("music", "t", &pending.about("t"));
    let status = rig.post("music", "t", &first.about("t")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rig.log.stages("music", "t"), []);
    // What is further than the claim confirms it, and is what the handler gets.
    let done = Fixture::named("music-record-success");
    rig.record("music", "u", &done.about("u"));
    assert_eq!(
        rig.post("music", "u", &first.about("u")).await,
        StatusCode::OK
    );
    assert_eq!(
        rig.log.stages("music", "u"),
        [("success", "SUCCESS".into())]
    );
    let complete = Fixture::named("music-complete");
    assert_eq!(
        rig.post("music", "u", &complete.about("u")).await,
        StatusCode::OK
    );
    assert_eq!(rig.log.of("music", "u").len(), 1);
}

#[tokio::test]
async fn the_stages_of_a_song_come_in_any_order_with_twins_and_each_is_handed_over_once() {
    let rig = Rig::start(false).await;
    let stages = ["music-text", "music-first", "music-complete", "music-error"];
    let stages = stages.map(Fixture::named);
    for (number, order) in orders().into_iter().enumerate() {
        let task = format!("song-{number}");
        for step in order {
            let body = stages[step].about(&task);
            let twins = (0..3).map(|_| rig.post("music", &task, &body));
            for status in futures_util::future::join_all(twins).await {
                assert_eq!(status, StatusCode::OK, "{order:?}");
            }
        }
        // What comes behind the success is late.
        let end = order.iter().position(|step| *step == 2).unwrap();
        let expected: Vec<_> = order[..=end]
            .iter()
            .map(|step| stages[*step].stage())
            .collect();
        let handed = rig.log.stages("music", &task);
        let handed: Vec<_> = handed.into_iter().map(|it| it.0).collect();
        assert_eq!(handed, expected, "{order:?}");
    }
}

/// All orders of four.
fn orders() -> Vec<[usize; 4]> {
    let mut orders = Vec::new();
    for code in 0..256_usize {
        let order = [code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6];
        if (0..4).all(|step| order.contains(&step)) {
            orders.push(order);
        }
    }
    orders
}

#[tokio::test]
async fn a_task_without_a_callback_is_found_by_asking_for_every_product() {
    let api = FakeApi::default();
    let rig = Rig {
        url: String::new(),
        log: Log::default(),
        api: api.clone(),
    };
    let client = https(&api.serve().await);
    let shared = Shared {
        store: AnyStore::new(MemoryStore::default()),
        client: None,
        log: rig.log.clone(),
    };
    for record in [
        "music-record-success",
        "music-record-failed",
        "music-record-callback-exception",
        "lyrics-record-success",
        "lyrics-record-failed",
        "wav-record-success",
        "wav-record-failed",
        "stems-record-two",
        "stems-record-failed",
        "midi-record-success",
        "midi-record-failed",
        "mp4-record-success",
        "mp4-record-failed",
        "cover-image-record-success",
        "cover-image-record-failed",
        "job-record-success",
        "job-record-failed",
    ]
    .map(Fixture::named)
    {
        rig.record(record.product, &record.name, &record.about(&record.name));
        let task = TaskId::new(&record.name).unwrap();
        let found = match record.product {
            "music" => poll(&shared, &client, Music, &task).await,
            "lyrics" => poll(&shared, &client, Lyrics, &task).await,
            "wav" => poll(&shared, &client, Wav, &task).await,
            "stems" => poll(&shared, &client, Stems, &task).await,
            "midi" => poll(&shared, &client, Midi, &task).await,
            "video" => poll(&shared, &client, Video, &task).await,
            "cover-image" => poll(&shared, &client, CoverImage, &task).await,
            _ => poll(&shared, &client, Job, &task).await,
        };
        let expected = match record.name.contains("failed") {
            true => "failure",
            false => "success",
        };
        assert_eq!(found.as_str(), expected, "{}", record.name);
        let handed = rig.log.of(record.product, &record.name);
        assert_eq!(handed.len(), 1, "{handed:?}");
        assert_eq!(
            (handed[0].trust, handed[0].via),
            (Trust::Confirmed, Via::Poll)
        );
    }
}

/// Watches a task until its record was handed over, and says which stage it was. The first question
/// about a task of `watch_all` comes at once.
async fn poll<P: Product>(
    shared: &Shared,
    client: &SunoClient<HttpsClient>,
    product: P,
    task: &TaskId,
) -> Stage {
    let service = shared.service(product);
    let reconciler = Reconciler::new(client.clone(), service);
    let list = reconciler.watchlist();
    let running = tokio::spawn(reconciler.run());
    let found = Arc::new(Mutex::new(None));
    let ended = |_: &TaskId, watched: Watched<P::Event>| match watched {
        Watched::Delivered(record) => *found.lock().unwrap() = Some(record.stage()),
        other => panic!("{other:?}"),
    };
    list.watch_all([task.clone()], 1, ended).await;
    running.abort();
    let found = found.lock().unwrap();
    found.expect("a record")
}

#[tokio::test]
async fn a_record_without_data_says_that_the_task_is_not_known_yet() {
    let rig = Rig::start(true).await;
    let (complete, unknown) = (
        Fixture::named("wav-success"),
        Fixture::named("record-unknown"),
    );
    rig.record("wav", "t", &unknown.body);
    let status = rig.post("wav", "t", &complete.about("t")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    // It is asked on about, and handed over when there is a record.
    let record = Fixture::named("wav-record-success");
    rig.record("wav", "t", &record.about("t"));
    until("the record is handed over", || {
        rig.log.of("wav", "t").len() == 1
    })
    .await;
    assert_eq!(rig.log.of("wav", "t")[0].via, Via::Poll);
}

#[tokio::test]
async fn a_voice_of_the_job_api_is_confirmed_and_found_by_the_record_of_its_job() {
    let (log, api) = (Log::default(), FakeApi::default());
    let client = https(&api.serve().await);
    let shared = Shared {
        store: AnyStore::new(MemoryStore::default()),
        client: Some(client.clone()),
        log: log.clone(),
    };
    let voices = Voice::generate().as_job();
    let app = shared.mount(Router::new(), voices);
    let url = format!("http://{}/voice", serve(app).await);
    let record = |task: &str| {
        let result = json!({"resultObject": {"voiceId": "v-1", "status": "success"}}).to_string();
        let data = json!({"taskId": task, "state": "success", "resultJson": result});
        json!({"code": 200, "msg": "success", "data": data}).to_string()
    };
    for task in ["called", "polled"] {
        api.set_at("/api/v1/jobs/recordInfo", task, record(task));
    }
    let forged = Callback::success("called", "v-of-somebody-else");
    assert_eq!(post_to(&url, &forged).await.0, StatusCode::OK);
    let task = TaskId::new("polled").unwrap();
    let alone = Shared {
        client: None,
        ..shared
    };
    assert_eq!(poll(&alone, &client, voices, &task).await, Stage::Success);
    for task in ["called", "polled"] {
        let handed = log.of("voice", task);
        assert_eq!(handed.len(), 1, "{handed:?}");
        assert_eq!(handed[0].results, ["v-1"], "{task}");
        assert_eq!(handed[0].trust, Trust::Confirmed, "{task}");
    }
}
