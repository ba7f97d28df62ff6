//! Files over HTTP. An application would use a client with TLS here; the rest is the same.

use std::time::Duration;

use axum::{body::Body, http::StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

use crate::BoxError;

/// How long one file may take, and how many bytes it may have.
const PATIENCE: Duration = Duration::from_secs(60);
const LIMIT: usize = 64 << 20;

#[derive(Clone)]
pub struct Downloader {
    client: Client<HttpConnector, Body>,
    links: String,
}

impl Downloader {
    /// `links` is how a link must begin: the provider signs no link, so whoever has one header pair
    /// can send any, one of our own network too.
    pub fn new(links: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let links = links.to_owned();
        Self { client, links }
    }

    /// The size of the file.
    pub async fn fetch(&self, link: &str) -> Result<usize, BoxError> {
        if !link.starts_with(&self.links) {
            return Err("the link does not begin as it must".into());
        }
        timeout(PATIENCE, self.read(link)).await?
    }

    async fn read(&self, link: &str) -> Result<usize, BoxError> {
        let answer = self.client.get(link.parse()?).await?;
        if answer.status() != StatusCode::OK {
            return Err(format!("the file is answered with {}", answer.status()).into());
        }
        let file = Limited::new(answer.into_body(), LIMIT).collect().await?;
        Ok(file.to_bytes().len())
    }
}
