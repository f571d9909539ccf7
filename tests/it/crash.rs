//! A process that dies with a task in hand.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use dynamo_tracker::{Clock, ManualClock, StartOptions, Status};

use crate::bed::Bed;

crate::tests![a_process_killed_with_a_task_in_hand_loses_it_when_its_lease_ends];

/// Set for a copy of this program that is to take a task and hold it: `ENDPOINT TABLE`.
const HOLDER: &str = "TRACKER_TEST_HOLDER";

async fn a_process_killed_with_a_task_in_hand_loses_it_when_its_lease_ends(bed: Bed) {
    let mut holder = Holder::start(&bed);
    assert_eq!(holder.line(), "holding in attempt 1");
    let real = ManualClock::new(Utc::now());
    let client = bed.builder::<()>().clock(real.clone()).build().unwrap();
    assert!(client.start("t").await.unwrap_err().is_locked());
    holder.0.kill().unwrap();
    holder.0.wait().unwrap();
    assert!(client.start("t").await.unwrap_err().is_locked(), "nobody knows that it is dead");
    real.set(real.now() + TimeDelta::seconds(70));
    let lease = client.start("t").await.unwrap();
    assert_eq!((lease.attempt(), lease.generation()), (2, 2));
    assert_eq!(lease.succeed().await.unwrap().status, Status::Succeeded);
}

/// The other process. It is killed when the test is over, however it is over.
struct Holder(Child);

impl Holder {
    fn start(bed: &Bed) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(HOLDER, format!("{} {}", bed.endpoint, bed.table)).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn is_holder() -> bool {
    std::env::var_os(HOLDER).is_some()
}

/// What the copy of this program does: takes the task, says so, and works until it is killed.
pub(crate) fn hold() -> ExitCode {
    let place = std::env::var(HOLDER).unwrap();
    let (endpoint, table) = place.split_once(' ').unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = crate::bed::sdk_config(endpoint).build();
        let client = dynamo_tracker::TrackerClient::<()>::builder(aws_sdk_dynamodb::Client::from_conf(config));
        let client = client.table(table).namespace("test").lease(Duration::from_secs(60)).build().unwrap();
        let work = |lease: dynamo_tracker::Lease<()>| async move {
            println!("holding in attempt {}", lease.attempt());
            std::future::pending().await
        };
        let _: Result<(), _> = client.run("t", StartOptions::new(), work).await;
    });
    ExitCode::FAILURE
}
