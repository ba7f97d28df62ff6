//! The application's own work: prints the event, and takes as long and fails as often as told.

use std::{any::Any, io::Write, time::Duration};

use axum::http::StatusCode;
use serde_json::json;
use suno_callback::{Delivery, Product, VoiceEvent, product::Event};

use crate::{error::BoxError, options::Options};

#[derive(Clone)]
pub struct Handler {
    delay: Duration,
    fail_first: u32,
    #[cfg(feature = "postgres")]
    events: Option<sqlx::PgPool>,
}

impl Handler {
    #[cfg(feature = "postgres")]
    pub async fn new(options: &Options) -> Result<Self, BoxError> {
        let mut events = None;
        if options.in_transaction {
            if !options.store.starts_with("postgres") {
                return Err("--in-transaction needs --store postgres://...".into());
            }
            let pool = crate::store::postgres_pool(&options.store).await?;
            create_table(&pool).await?;
            events = Some(pool);
        }
        Ok(Self {
            delay: options.handler_delay,
            fail_first: options.fail_first,
            events,
        })
    }

    #[cfg(not(feature = "postgres"))]
    pub async fn new(options: &Options) -> Result<Self, BoxError> {
        if options.in_transaction {
            return Err("--in-transaction needs the feature postgres".into());
        }
        Ok(Self {
            delay: options.handler_delay,
            fail_first: options.fail_first,
        })
    }

    pub async fn handle<E: Event>(&self, event: &E, delivery: &Delivery) -> Result<(), StatusCode> {
        print(event, delivery).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        if delivery.attempt() <= self.fail_first {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        }
        self.record(event, delivery).await.map_err(|error| {
            tracing::warn!(%error, "the effect was rolled back");
            StatusCode::INTERNAL_SERVER_ERROR
        })?;
        let task_id = event.task_id().as_str();
        tracing::debug!(task_id, "the handler has done its work");
        Ok(())
    }

    /// The effect and the record of the event, together or not at all.
    #[cfg(feature = "postgres")]
    async fn record<E: Event>(&self, event: &E, delivery: &Delivery) -> Result<(), BoxError> {
        let Some(events) = &self.events else {
            return Ok(());
        };
        let result = match of_voice(event) {
            Some(voice) => voice.voice_id().map(|id| id.as_str().to_owned()),
            None => event.results().into_iter().next(),
        };
        let mut tx = events.begin().await?;
        sqlx::query("INSERT INTO suno_voice_events VALUES ($1, $2, $3)")
            .bind(event.task_id().as_str())
            .bind(event.name())
            .bind(result)
            .execute(&mut *tx)
            .await?;
        delivery.commit_in(&mut tx).await?;
        Ok(tx.commit().await?)
    }

    #[cfg(not(feature = "postgres"))]
    async fn record<E: Event>(&self, _: &E, _: &Delivery) -> Result<(), BoxError> {
        Ok(())
    }
}

/// Under a lock, because PostgreSQL lets replicas that start together collide here.
#[cfg(feature = "postgres")]
async fn create_table(pool: &sqlx::PgPool) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let lock = "SELECT pg_advisory_xact_lock(hashtext('suno_voice_events'))";
    sqlx::query(lock).execute(&mut *tx).await?;
    let table = "CREATE TABLE IF NOT EXISTS suno_voice_events \
                 (task_id text NOT NULL, status text NOT NULL, voice_id text)";
    sqlx::query(table).execute(&mut *tx).await?;
    tx.commit().await
}

/// What the event says beside what every event does, where it is a voice's.
fn of_voice<E: Event>(event: &E) -> Option<&VoiceEvent> {
    (event as &dyn Any).downcast_ref()
}

/// One shape for all products, so that one reader can read all lines.
pub fn print<E: Event>(event: &E, delivery: &Delivery) -> std::io::Result<()> {
    let (stage, voice) = (event.stage().as_str(), of_voice(event));
    let line = json!({
        "product": event.product().name(),
        "taskId": event.task_id().as_str(),
        "stage": stage,
        "name": event.name(),
        "results": event.results(),
        "status": event.name(),
        "outcome": voice.map_or(stage, |voice| voice.outcome().as_str()),
        "voiceId": voice.and_then(VoiceEvent::voice_id).map(|id| id.as_str()),
        "validateInfo": voice.and_then(VoiceEvent::validate_info),
        "attempt": delivery.attempt(),
        "trust": delivery.trust().as_str(),
        "via": delivery.via().as_str(),
    });
    writeln!(std::io::stdout(), "{line}")
}
