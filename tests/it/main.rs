//! One suite for every backend: the real DynamoDB Local, and the embedded one, which is held to it.
//!
//!     cargo test --test it                    everything
//!     cargo test --test it start              tests whose name contains `start`
//!     TRACKER_TEST_BACKEND=embedded cargo test --test it
//!
//! DynamoDB Local is started once, on a free port, by the first test that needs it, and is gone when this process is.

mod batch;
mod bed;
mod bulk;
mod cli;
mod crash;
mod create;
mod dump;
mod errors;
mod faults;
mod generate;
mod heartbeat;
mod infra;
mod lambda;
mod lost_answers;
mod operators;
mod outcomes;
mod packing;
mod patience;
mod powertools;
mod property;
mod query;
mod quickstart;
mod races;
mod requests;
mod run;
mod start;
mod stepfunctions;
mod table;
mod transactions;
mod transitions;
mod worker;

use std::future::Future;
use std::process::ExitCode;

use bed::{Backend, Bed};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if crash::is_holder() {
        return crash::hold();
    }
    if faults::is_worker() {
        return faults::work();
    }
    if lambda::handler::is_handler() {
        return lambda::handler::handle();
    }
    let arguments = Arguments::from_args();
    patience::watch();
    let mut trials = Vec::new();
    for backend in Backend::ALL {
        for tests in [
            create::tests,
            start::tests,
            outcomes::tests,
            operators::tests,
            dump::tests,
            run::tests,
            heartbeat::tests,
            transactions::tests,
            requests::tests,
            packing::tests,
            errors::tests,
            races::tests,
            lost_answers::tests,
            transitions::tests,
            property::tests,
            crash::tests,
            faults::tests,
            table::tests,
            infra::tests,
            query::tests,
            bulk::tests,
            batch::tests,
            worker::tests,
            cli::tests,
            powertools::tests,
            lambda::core::tests,
            lambda::batch_rules::tests,
            lambda::batch_streams::tests,
            lambda::batch_queue::tests,
            lambda::functions::tests,
            lambda::layer::tests,
            lambda::responses::tests,
            lambda::shown::tests,
            stepfunctions::asl::tests,
            stepfunctions::definitions::tests,
            stepfunctions::fanout::tests,
            stepfunctions::machines::tests,
            stepfunctions::no_code::tests,
            stepfunctions::waiting::tests,
            stepfunctions::step::tests,
            stepfunctions::callback::tests,
            stepfunctions::callback_cli::tests,
            stepfunctions::callback_owed::tests,
            stepfunctions::callback_retention::tests,
            stepfunctions::activity::tests,
            stepfunctions::activity_troubles::tests,
        ] {
            trials.extend(tests(backend));
        }
    }
    trials.extend(quickstart::tests());
    trials.extend(lambda::tests());
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test on a fresh table of `backend`, on a runtime of its own.
fn test<F, Fut>(name: &str, backend: Backend, body: F) -> Trial
where
    F: FnOnce(Bed) -> Fut + Send + 'static,
    Fut: Future<Output = ()>,
{
    let trial = patience::trial(format!("{backend}::{name}"), move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let bed = Bed::new(backend).await?;
            body(bed).await;
            Ok(())
        })
    });
    trial.with_ignored_flag(!backend.is_wanted())
}

/// The trials of a module: each function under its own name.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) fn tests(backend: crate::bed::Backend) -> Vec<libtest_mimic::Trial> {
            let (_, module) = module_path!().split_once("::").unwrap();
            vec![$(crate::test(&format!("{module}::{}", stringify!($name)), backend, $name)),*]
        }
    };
}
use tests;
