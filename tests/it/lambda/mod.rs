//! AWS Lambda, on the emulator in `bed/lambda`, and queues, on moto.

mod batch;
mod batch_event;
mod batch_function;
pub(crate) mod batch_queue;
pub(crate) mod batch_rules;
pub(crate) mod batch_streams;
pub(crate) mod core;
mod emulator;
pub(crate) mod functions;
pub(crate) mod handler;
pub(crate) mod layer;
mod poller;
pub(crate) mod responses;
pub(crate) mod shown;

use std::future::Future;

use libtest_mimic::Trial;

use crate::bed::Backend;

pub(crate) fn tests() -> Vec<Trial> {
    let queues = poller::tests().into_iter();
    // moto is a server to install, as DynamoDB Local is.
    let queues = queues.map(|trial| trial.with_ignored_flag(!Backend::DynamodbLocal.is_wanted()));
    emulator::tests().into_iter().chain(queues).collect()
}

/// The trials of a module: each function under its own name.
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        pub(super) fn tests() -> Vec<libtest_mimic::Trial> {
            let (_, module) = module_path!().rsplit_once("::").unwrap();
            vec![$(super::trial(&format!("{module}::{}", stringify!($name)), $name)),*]
        }
    };
}
use trials;

/// A test that needs no DynamoDB, on a runtime of its own.
fn trial<Fut: Future<Output = ()>>(name: &str, body: impl FnOnce() -> Fut + Send + 'static) -> Trial {
    crate::patience::trial(format!("lambda::{name}"), move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(body());
        Ok(())
    })
}
