//! `TrackerClient::run`, with the response as the task's data, as the README has it.

use dynamo_tracker::{RunError, StartOptions, TrackerClient};

use super::{Payment, amount, pay};
use crate::command::Operation;

pub(super) struct Run(TrackerClient<Payment>);

impl Run {
    pub(super) fn new(client: TrackerClient<Payment>) -> Self {
        Self(client)
    }

    pub(super) async fn task(&self, operation: Operation, order_id: &str) {
        let run = self.0.run(order_id, StartOptions::new(), |mut lease| async move {
            let payment = pay(order_id, amount(operation)).await?;
            lease.set_data(payment.clone())?;
            Ok(payment)
        });
        let payment = match run.await {
            Ok(payment) => payment,
            Err(RunError::Refused(refused)) if refused.is_already_succeeded() => {
                refused.tracker_as::<Payment>().expect("a refusal has the record").expect("it can be read").data
            }
            Err(RunError::Failed { .. }) if operation == Operation::Failure => return,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(payment, Payment::of(order_id));
    }
}
