//! The state machines of `infra/`, run with real functions, tables and queues.

use serde_json::json;

use super::definition::Template;
use crate::bed::lambda::{Deployed, Function};
use crate::bed::stepfunctions::StateMachines;
use crate::bed::{Backend, Bed, example};

pub(crate) fn tests(backend: Backend) -> Vec<libtest_mimic::Trial> {
    super::on_moto(trials(backend), backend)
}

fn trials(backend: Backend) -> Vec<libtest_mimic::Trial> {
    vec![crate::test("stepfunctions::machines::an_order_is_paid_for_once", backend, an_order_is_paid_for_once)]
}

fn payments(bed: &Bed) -> Deployed {
    let function = Function::new(example("lambda_step")).name("step").env("DYNAMO_TRACKER_TABLE", &bed.table);
    function.env("AWS_ENDPOINT_URL_DYNAMODB", &bed.endpoint).concurrency(2).deploy()
}

/// The example as `infra/` has it: another execution gets the same payment, and another amount is refused.
async fn an_order_is_paid_for_once(bed: Bed) {
    let function = payments(&bed);
    let machines = StateMachines::new(&bed, [&function]);
    let definition = Template::step_functions().definition("Payments", &[("Function", "step")]);
    let machine = machines.create(&definition).await;
    let order = json!({ "order_id": "A1", "amount": 1200 });
    let paid = machines.run_again(&machine, &order).await.succeeded();
    assert_eq!(paid["order_id"], "A1");
    assert_eq!(machines.run_again(&machine, &order).await.succeeded(), paid);
    let other = machines.run_again(&machine, &json!({ "order_id": "A1", "amount": 1300 })).await;
    assert_eq!(other.failed().0, "PayloadMismatch");
    assert_eq!(machines.entered(&other.arn).await, ["Charge", "Rejected"]);
}
