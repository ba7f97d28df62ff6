//! The product of `examples/own_product.rs`.

use harness::program::{example, output};
use suno_callback::testkit::{
    LawBroken,
    products::{self, Samples},
};

use self::own_product::Images;

#[allow(dead_code)] // its `main` is run as a program
#[path = "../../examples/own_product.rs"]
mod own_product;

const MADE: &str =
    r#"{"code":200,"data":{"taskId":"t","resultUrls":["https://files.example/1.png","two"]}}"#;
const FAILED: &str = r#"{"code":500,"msg":"no","data":{"taskId":"t","resultUrls":[]}}"#;

#[tokio::test]
async fn a_product_of_ones_own_keeps_every_law() -> Result<(), LawBroken> {
    products::all(&Images, &Samples::new(MADE, FAILED)).await
}

#[test]
fn a_program_with_a_product_of_its_own_is_handed_each_event_once() {
    let output = output(&mut example("own_product"));
    let said = String::from_utf8(output.stdout).unwrap();
    let handed_over = "handed over: Success of TaskId(\"t-1\")\n";
    let answered = "answered: 200 OK\n";
    assert_eq!(said, [handed_over, answered, answered].concat());
    assert!(output.status.success());
}
