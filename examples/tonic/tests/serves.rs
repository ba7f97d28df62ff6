use harness::{
    Callback, post_to,
    program::{From, Server, program},
};
use http::StatusCode;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

#[tokio::test]
async fn it_serves_grpc_and_callbacks_on_one_port() {
    let mut tonic = program(env!("CARGO_BIN_EXE_tonic"));
    let (server, _lines) = Server::start(tonic.arg("127.0.0.1:0"), From::Stdout);
    let channel = tonic::transport::Endpoint::new(format!("http://{}", server.addr))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut health = HealthClient::new(channel);
    let question = HealthCheckRequest {
        service: "voice".into(),
    };
    let before = health.check(question.clone()).await;
    assert_eq!(before.unwrap_err().code(), tonic::Code::NotFound);

    let url = format!("http://{}/callbacks/suno/voice", server.addr);
    let (status, _) = post_to(&url, &Callback::success("task", "voice")).await;
    assert_eq!(status, StatusCode::OK);
    let after = health.check(question).await.unwrap().into_inner();
    assert_eq!(after.status(), ServingStatus::Serving);
}
