//! AWS Lambda, on the emulator in `bed/lambda`.

mod emulator;
pub(crate) mod handler;

use std::future::Future;

use libtest_mimic::Trial;

pub(crate) fn tests() -> Vec<Trial> {
    emulator::tests()
}

/// A test that needs no DynamoDB, on a runtime of its own.
fn trial<Fut: Future<Output = ()>>(name: &str, body: impl FnOnce() -> Fut + Send + 'static) -> Trial {
    Trial::test(format!("lambda::{name}"), move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(body());
        Ok(())
    })
}
