//! The protocol under everything that a network, a clock and a process can do to it, by exhaustive search.
//!
//!     cargo test --release --test model
//!     TRACKER_MODEL_DEPTH=16 cargo test --release --test model      deeper
//!
//! The rules are the crate's own pure functions, not a copy. The model adds what surrounds them: three workers that crash
//! and start again anywhere; requests that are lost, delivered twice, and late without bound; answers that are lost; clocks
//! that differ by as much as the skew; operators; and records that expire. Then each rule that matters is broken in turn,
//! and the search must find what that breaks: a model that finds nothing proves nothing.

mod item;
mod rules;
mod state;

use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use rules::Mutant;
use state::Protocol;

/// How many steps from the start are searched exhaustively, unless `TRACKER_MODEL_DEPTH` asks for more. A debug build is
/// ten times slower, so it searches less.
const DEPTH: usize = if cfg!(debug_assertions) { 8 } else { 12 };

/// Every broken rule shows within so many steps of the smallest scenario. A search ends with its discovery.
const MUTANT_DEPTH: usize = 14;

fn depth() -> usize {
    std::env::var("TRACKER_MODEL_DEPTH").ok().map_or(DEPTH, |depth| depth.parse().expect("a number of steps"))
}

/// What a search found: broken properties, each with the steps that lead there, and whether every example was found.
struct Found {
    broken: Vec<(&'static str, String)>,
    has_all_examples: bool,
}

/// Searches all states within so many steps.
fn search(model: Protocol, depth: usize, until: HasDiscoveries) -> Found {
    let begun = Instant::now();
    let (name, properties) = (format!("{model:?}"), model.properties());
    let checker = model
        .checker()
        .threads(std::thread::available_parallelism().map_or(1, Into::into))
        .target_max_depth(depth)
        .finish_when(until)
        .spawn_bfs()
        .join();
    let discoveries = checker.discoveries();
    let mut found = Found { broken: Vec::new(), has_all_examples: true };
    for property in properties {
        match (property.expectation, discoveries.get(property.name)) {
            (Expectation::Always, Some(path)) => {
                let steps: Vec<_> = path.clone().into_actions().iter().map(|step| format!("{step:?}")).collect();
                found.broken.push((property.name, steps.join("\n    ")));
            }
            (Expectation::Sometimes, None) => found.has_all_examples = false,
            _ => {}
        }
    }
    println!(
        "{name}: {} states, {} unique, to depth {} in {:.1} s, broken: {:?}",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f32(),
        found.broken.iter().map(|(property, _)| property).collect::<Vec<_>>(),
    );
    found
}

#[test]
fn the_protocol_holds() {
    for model in Protocol::scenarios() {
        let depth = depth() + model.deeper;
        let found = search(model, depth, HasDiscoveries::AnyFailures);
        if let Some((property, steps)) = found.broken.first() {
            panic!("{property} is broken by\n    {steps}");
        }
        // A search that reached nothing would prove nothing. The shallow one of a debug build does not reach it all.
        assert!(found.has_all_examples || cfg!(debug_assertions), "the search does not reach what should be possible");
    }
}

/// A broken rule is found, as the break of this property, in the smallest scenario with this limit of attempts.
fn finds(mutant: Mutant, limit: u32, property: &'static str) {
    let model = Protocol::smallest(limit).broken(mutant);
    let found = search(model, MUTANT_DEPTH, HasDiscoveries::AnyOf([property].into())).broken;
    let Some((_, steps)) = found.iter().find(|(name, _)| *name == property) else {
        panic!("{mutant:?} should break {property:?}, and the model does not find it");
    };
    println!("{property} is broken by\n    {steps}");
}

#[test]
fn without_a_fence_a_recorded_success_is_changed() {
    finds(Mutant::NoFence, 2, "a success stays");
}

#[test]
fn with_the_fresh_token_in_the_condition_attempts_are_counted_twice() {
    finds(Mutant::FreshTokenInCondition, 2, "a token takes the task once");
}

#[test]
fn without_skew_two_hold_the_task() {
    finds(Mutant::NoSkew, 2, "one holder");
}

#[test]
fn without_steps_two_hold_the_task() {
    finds(Mutant::NoStep, 2, "one holder");
}

#[test]
fn without_the_last_lock_a_late_copy_takes_the_task() {
    finds(Mutant::NoLastLock, 2, "a token takes the task once");
}

#[test]
fn a_late_start_that_is_not_recognised_is_a_false_refusal() {
    finds(Mutant::LateStartNotRecognised, 2, "a holder is not refused");
}

#[test]
fn a_late_outcome_that_is_not_recognised_is_a_false_loss() {
    finds(Mutant::LateEndNotRecognised, 2, "a recorded outcome is not lost");
}

#[test]
fn a_failure_without_its_error_is_not_recorded() {
    finds(Mutant::ErrorNotCompared, 1, "what is told is recorded");
}

#[test]
fn exhausting_whatever_the_expiry_ends_a_live_lease() {
    finds(Mutant::ExhaustIgnoresExpiry, 1, "a live lease is not ended");
}

#[test]
fn a_generation_that_begins_again_does_not_grow() {
    finds(Mutant::GenerationBeginsAgain, 2, "the generation grows");
}

#[test]
fn a_takeover_that_is_not_counted_goes_on_for_ever() {
    finds(Mutant::TakeoverNotCounted, 2, "attempts are limited");
}

#[test]
fn an_abandoned_last_attempt_that_nobody_ends_stays_for_ever() {
    finds(Mutant::AbandonedNotEnded, 1, "a task ends or can be taken");
}

#[test]
fn a_success_that_can_be_started_is_changed() {
    finds(Mutant::SucceededIsStartable, 2, "a success stays");
}
