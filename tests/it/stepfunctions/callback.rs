//! States that wait for a task are told of its end, whoever ends it and whatever gets lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use dynamo_tracker::protocol::{Acquire, Terms};
use dynamo_tracker::stepfunctions::Callbacks;
use dynamo_tracker::{
    Clock, Data, ErrorKind, LockToken, NewTask, RunError, StartOptions, Status, TaskToken, TrackerClient,
    TrackerClientBuilder, WorkError,
};
use futures_util::stream;
use serde_json::{Value, json};

use crate::bed::http::Fault;
use crate::bed::states::{States, Told};
use crate::bed::{Bed, SHARDS};

crate::tests![
    each_end_is_told_and_nothing_else,
    whoever_ends_it_tells,
    what_could_not_be_told_is_told_by_the_next_look,
    a_lost_answer_changes_nothing,
    a_state_that_waits_no_more_is_forgotten,
    a_token_of_elsewhere_is_kept_for_who_can_tell,
    a_task_that_is_over_answers_at_once,
    a_token_that_comes_to_nothing_is_an_error,
    a_task_that_is_redriven_meanwhile_is_waited_for,
    a_newer_state_takes_the_place_of_an_older,
    a_start_brings_its_token,
    a_state_may_come_while_the_work_runs,
    transactions_and_batches_tell_as_well,
    a_worker_tells_for_each,
    a_deletion_tells_who_came_after_the_look,
    lookers_at_once_do_no_harm,
    a_dump_leaves_whoever_waits_alone,
    a_lease_that_is_over_is_a_look_too,
    an_output_that_is_too_large_fails_the_state,
    data_that_was_not_kept_is_no_output,
    the_output_can_be_made_of_the_record,
    the_token_is_never_shown,
];

/// A client that tells `states`.
pub(super) fn telling<D: Data>(bed: &Bed, states: &States) -> TrackerClientBuilder<D> {
    bed.builder().callbacks(Callbacks::new(states.client()))
}

/// A pending task that a state waits for.
pub(super) async fn waited_for(client: &TrackerClient<Value>, states: &States, id: &str) -> TaskToken {
    let token = states.wait();
    let made = client.create(NewTask::new(id).callback(token.clone())).await.unwrap();
    assert_eq!(made.callback(), Some(&token));
    token
}

/// The token in the item, if there is one.
pub(super) async fn kept(bed: &Bed, id: &str) -> Option<String> {
    let item = bed.sdk().get_item().table_name(&bed.table).key("id", Bed::key(id)).consistent_read(true);
    let item = item.send().await.unwrap().item.unwrap();
    item.get("callback").map(|token| token.as_s().unwrap().clone())
}

async fn each_end_is_told_and_nothing_else(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).max_attempts(2).build().unwrap();

    let done = waited_for(&client, &states, "done").await;
    let mut lease = client.start("done").await.unwrap();
    lease.set_data(json!({"receipt": [7, 2.5, "x", null]})).unwrap();
    let record = lease.succeed().await.unwrap();
    assert_eq!(states.told(&done), Some(Told::Success(json!({"receipt": [7, 2.5, "x", null]}))));
    assert!(record.callback().is_none() && kept(&bed, "done").await.is_none());

    let failed = waited_for(&client, &states, "failed").await;
    client.start("failed").await.unwrap().fail("no paper").await.unwrap();
    assert_eq!((states.told(&failed), kept(&bed, "failed").await.is_some()), (None, true), "an attempt is left");
    client.start("failed").await.unwrap().fail(WorkError::from_parts("Jam", "paper jam", None)).await.unwrap();
    assert_eq!(states.told(&failed).unwrap().failure(), ("TaskExhausted".to_owned(), "Jam: paper jam".to_owned()));
    assert_eq!(kept(&bed, "failed").await, None);

    let abandoned = waited_for(&client, &states, "abandoned").await;
    for _ in 0..2 {
        drop(client.start("abandoned").await.unwrap());
        bed.clock.advance(Duration::from_secs(62));
    }
    assert!(client.start("abandoned").await.unwrap_err().is_exhausted());
    assert_eq!(states.told(&abandoned).unwrap().failure().0, "TaskExhausted");

    let ignored = waited_for(&client, &states, "ignored").await;
    let record = client.ignore(&client.load("ignored").await.unwrap().unwrap()).await.unwrap();
    assert!(record.callback().is_none());
    assert_eq!(states.told(&ignored).unwrap().failure().0, "TaskIgnored");

    let deleted = waited_for(&client, &states, "deleted").await;
    client.delete(&client.load("deleted").await.unwrap().unwrap()).await.unwrap();
    assert_eq!(states.told(&deleted).unwrap().failure().0, "TaskDeleted");

    let released = waited_for(&client, &states, "released").await;
    client.start("released").await.unwrap().release().await.unwrap();
    let taken = client.start("released").await.unwrap();
    client.unlock(&client.load("released").await.unwrap().unwrap()).await.unwrap();
    assert_eq!((states.told(&released), taken.tracker().callback()), (None, Some(&released)));
}

async fn whoever_ends_it_tells(bed: Bed) {
    let states = States::new();
    let (telling, silent) = (telling::<Value>(&bed, &states).build().unwrap(), bed.client::<Value>());
    let token = waited_for(&silent, &states, "t").await;
    let record = silent.start("t").await.unwrap().succeed().await.unwrap();
    assert!(record.owes_callback());
    assert_eq!((states.told(&token), states.calls().len()), (None, 0));
    let record = telling.load("t").await.unwrap().unwrap();
    assert!(!record.owes_callback() && kept(&bed, "t").await.is_none());
    assert_eq!(states.told(&token), Some(Told::Success(json!(null))));
    assert_eq!(states.calls(), ["SendTaskSuccess"]);
    telling.load("t").await.unwrap();
    assert_eq!(states.calls(), [""; 0]);
}

async fn what_could_not_be_told_is_told_by_the_next_look(bed: Bed) {
    let states = States::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&seen);
    let callbacks = Callbacks::new(states.client())
        .on_error(move |id, error| told.lock().unwrap().push(format!("{} {}", id.as_str(), error.kind().name())));
    let client = bed.builder::<Value>().callbacks(callbacks).build().unwrap();
    let looks: [(&str, Fault); 3] = [("a", Fault::Denied), ("b", Fault::Denied), ("c", Fault::Denied)];
    for (id, fault) in looks {
        let token = waited_for(&client, &states, id).await;
        states.http.plan([fault]);
        let record = client.start(id).await.unwrap().succeed().await.unwrap();
        assert!(record.owes_callback() && record.status == Status::Succeeded);
        assert_eq!(states.told(&token), None);
        match id {
            "a" => drop(client.load(id).await.unwrap()),
            "b" => assert!(client.start(id).await.unwrap_err().is_already_succeeded()),
            _ => client.delete(&record).await.unwrap(),
        }
        assert_eq!(states.told(&token), Some(Told::Success(json!(null))), "{id}");
    }
    assert_eq!(*seen.lock().unwrap(), ["a access_denied", "b access_denied", "c access_denied"]);
}

async fn a_lost_answer_changes_nothing(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    for fault in [Fault::LostAnswer, Fault::LostRequest, Fault::DoneButFailed, Fault::Throttled] {
        let id = format!("{fault:?}");
        let token = waited_for(&client, &states, &id).await;
        states.http.plan([fault]);
        let record = client.start(&id).await.unwrap().succeed().await.unwrap();
        assert!(!record.owes_callback(), "{id}");
        assert_eq!(states.told(&token), Some(Told::Success(json!(null))), "{id}");
        assert_eq!(kept(&bed, &id).await, None, "{id}");
    }
    // Told, and the process dies before that is written down.
    let token = waited_for(&client, &states, "dies").await;
    let lease = client.start("dies").await.unwrap();
    bed.http.forget();
    bed.http.plan([Fault::None, Fault::None, Fault::Denied]);
    assert!(lease.succeed().await.unwrap().owes_callback());
    assert_eq!(bed.http.sent(), ["UpdateItem", "GetItem", "UpdateItem"]);
    assert_eq!((states.told(&token).is_some(), kept(&bed, "dies").await.is_some()), (true, true));
    assert!(!client.load("dies").await.unwrap().unwrap().owes_callback());
    assert_eq!(kept(&bed, "dies").await, None);
}

async fn a_state_that_waits_no_more_is_forgotten(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let stale = waited_for(&client, &states, "timed-out").await;
    states.time_out(&stale);
    assert!(!client.start("timed-out").await.unwrap().succeed().await.unwrap().owes_callback());
    assert_eq!(kept(&bed, "timed-out").await, None);
}

async fn a_token_of_elsewhere_is_kept_for_who_can_tell(bed: Bed) {
    let (states, elsewhere) = (States::new(), States::new());
    let owed = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&owed);
    let callbacks = Callbacks::new(elsewhere.client()).on_error(move |_, error| {
        hook.lock().unwrap().push((error.kind(), error.to_string()));
    });
    let client = bed.builder::<Value>().callbacks(callbacks).build().unwrap();
    let token = waited_for(&client, &states, "t").await;
    assert!(client.start("t").await.unwrap().succeed().await.unwrap().owes_callback());
    assert_eq!(kept(&bed, "t").await.as_deref(), Some(token.as_str()));
    let (kind, message) = owed.lock().unwrap().pop().unwrap();
    assert!(kind == ErrorKind::InvalidArgument && message.contains("region") && !message.contains(token.as_str()));
    telling::<Value>(&bed, &states).build().unwrap().load("t").await.unwrap();
    assert_eq!((states.told(&token), kept(&bed, "t").await), (Some(Told::Success(json!(null))), None));
}

async fn a_task_that_is_over_answers_at_once(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let mut lease = client.start("t").await.unwrap();
    lease.set_data(json!(7)).unwrap();
    lease.succeed().await.unwrap();
    let (first, second, third) = (states.wait(), states.wait(), states.wait());
    let record = client.call_back("t", first.clone()).await.unwrap();
    assert_eq!((record.status, record.data), (Status::Succeeded, json!(7)));
    let refused = client.start_with("t", StartOptions::new().callback(second.clone())).await.unwrap_err();
    assert!(refused.is_already_succeeded());
    for token in [first, second] {
        assert_eq!(states.told(&token), Some(Told::Success(json!(7))));
    }
    // Where it can't be told, it is owed.
    states.http.plan([Fault::Denied]);
    client.call_back("t", third.clone()).await.unwrap();
    assert_eq!(kept(&bed, "t").await.as_deref(), Some(third.as_str()));
    client.load("t").await.unwrap();
    assert_eq!((states.told(&third).is_some(), kept(&bed, "t").await), (true, None));
    // By a client that tells nobody, it is owed too.
    let fourth = states.wait();
    assert!(bed.client::<Value>().call_back("t", fourth.clone()).await.unwrap().owes_callback());
    client.load("t").await.unwrap();
    assert_eq!(states.told(&fourth), Some(Told::Success(json!(7))));
}

async fn a_token_that_comes_to_nothing_is_an_error(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    client.start("t").await.unwrap().succeed().await.unwrap();
    let token = states.wait();
    let neither = || {
        // What shows the record, and what would keep the token.
        bed.http.plan([Fault::None, Fault::Denied]);
        states.http.plan([Fault::Denied]);
    };
    neither();
    let error = client.call_back("t", token.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.task().unwrap().as_str()), (ErrorKind::AccessDenied, "t"));
    assert!(error.to_string().contains("nor could its token be kept"), "{error}");
    neither();
    let error = client.start_with("t", StartOptions::new().callback(token.clone())).await.unwrap_err();
    assert_eq!((error.kind(), error.is_refused()), (ErrorKind::AccessDenied, false));
    assert!(!format!("{error} {error:?}").contains(token.as_str()));
    assert_eq!((states.told(&token), kept(&bed, "t").await), (None, None));
    client.call_back("t", token.clone()).await.unwrap();
    assert_eq!(states.told(&token), Some(Told::Success(json!(null))));
}

async fn a_task_that_is_redriven_meanwhile_is_waited_for(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let ignored = async |id: &'static str| {
        let ignored = client.ignore(&client.create(id).await.unwrap()).await.unwrap();
        let operator = bed.client::<Value>();
        states.http.plan([Fault::Denied]);
        states.http.after_fault(move || async move { drop(operator.redrive(&ignored).await.unwrap()) });
    };
    ignored("called").await;
    let (called, started) = (states.wait(), states.wait());
    let record = client.call_back("called", called.clone()).await.unwrap();
    assert_eq!((record.status, record.callback()), (Status::Pending, Some(&called)));
    client.start("called").await.unwrap().succeed().await.unwrap();
    ignored("started").await;
    let lease = client.start_with("started", StartOptions::new().callback(started.clone())).await.unwrap();
    lease.succeed().await.unwrap();
    for token in [called, started] {
        assert_eq!(states.told(&token), Some(Told::Success(json!(null))));
    }
}

async fn a_newer_state_takes_the_place_of_an_older(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let (first, second) = (states.wait(), states.wait());
    let made = client.call_back(NewTask::new("t").data(json!(1)), first.clone()).await.unwrap();
    assert_eq!((made.status, made.data), (Status::Pending, json!(1)));
    let again = client.call_back(NewTask::new("t").data(json!(2)), first.clone()).await.unwrap();
    assert_eq!((again.data, states.told(&first)), (json!(1), None), "the same again");
    bed.http.plan([Fault::None, Fault::LostAnswer]);
    client.call_back("t", second.clone()).await.unwrap();
    assert_eq!(states.told(&first).unwrap().failure().0, "CallbackReplaced");
    client.start("t").await.unwrap().succeed().await.unwrap();
    assert_eq!(states.told(&second), Some(Told::Success(json!(1))));
}

async fn a_start_brings_its_token(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let (first, second) = (states.wait(), states.wait());
    let with = |token: &TaskToken| StartOptions::new().callback(token.clone());
    let lease = client.start_with("t", with(&first)).await.unwrap();
    assert!(client.start_with("t", with(&second)).await.unwrap_err().is_locked());
    assert_eq!(kept(&bed, "t").await.as_deref(), Some(first.as_str()), "a refusal for now keeps nothing");
    lease.fail("no paper").await.unwrap();
    let lease = client.start_with("t", with(&second)).await.unwrap();
    lease.succeed().await.unwrap();
    assert_eq!((states.told(&first), states.told(&second)), (None, Some(Told::Success(json!(null)))));
}

async fn a_state_may_come_while_the_work_runs(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let token = states.wait();
    let paid = client.run("t", StartOptions::new(), |mut lease| {
        let (other, token) = (client.clone(), token.clone());
        async move {
            other.call_back("t", token).await?;
            lease.set_data(json!("paid"))?;
            Ok(())
        }
    });
    paid.await.unwrap();
    assert_eq!(states.told(&token), Some(Told::Success(json!("paid"))));
    assert_eq!(kept(&bed, "t").await, None);
    // Nobody waits, so nothing is read and nobody told.
    let lease = client.start("u").await.unwrap();
    bed.http.forget();
    states.calls();
    lease.succeed().await.unwrap();
    assert_eq!((bed.http.sent(), states.calls()), (vec!["UpdateItem".to_owned()], Vec::new()));
}

async fn transactions_and_batches_tell_as_well(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let token = waited_for(&client, &states, "t").await;
    let receipt = Put::builder().table_name(&bed.table).item("id", AttributeValue::S("receipt".to_owned())).build();
    let receipt = TransactWriteItem::builder().put(receipt.unwrap()).build();
    let record = client.start("t").await.unwrap().succeed_with(vec![receipt]).await.unwrap();
    assert!(!record.owes_callback() && states.told(&token).is_some());

    let batch = client.open_batch("import", 1).await.unwrap();
    let (one, two) = (states.wait(), states.wait());
    let tasks = [NewTask::new("one").callback(one.clone()), NewTask::new("two").callback(two.clone())];
    assert_eq!(batch.create_many(stream::iter(tasks), 2).await.unwrap().done, 2);
    client.start("one").await.unwrap().succeed().await.unwrap();
    client.ignore(&client.load("two").await.unwrap().unwrap()).await.unwrap();
    assert_eq!(states.told(&one), Some(Told::Success(json!(null))));
    assert_eq!(states.told(&two).unwrap().failure().0, "TaskIgnored");
    assert_eq!(batch.status().await.unwrap().open_tasks, 0);
}

async fn a_worker_tells_for_each(bed: Bed) {
    let states = States::new();
    // By the real clock, which a worker waits by.
    let client = telling::<Value>(&bed, &states).clock(dynamo_tracker::SystemClock).index(SHARDS).build().unwrap();
    let mut tokens = Vec::new();
    for number in 0..6 {
        tokens.push(waited_for(&client, &states, &number.to_string()).await);
    }
    let report = client.worker().concurrency(3).until_empty().run(|mut lease| async move {
        let number: u32 = lease.id().as_str().parse()?;
        lease.set_data(json!(number))?;
        if number.is_multiple_of(2) { Ok(()) } else { Err(WorkError::fatal("odd")) }
    });
    let report = report.await.unwrap();
    assert_eq!((report.succeeded, report.failed), (3, 3));
    for (number, token) in tokens.iter().enumerate() {
        match states.told(token).unwrap() {
            Told::Success(output) => assert_eq!(output, json!(number)),
            Told::Failure(error, _) => assert_eq!((error.as_str(), number % 2), ("TaskExhausted", 1)),
        }
    }
}

async fn a_deletion_tells_who_came_after_the_look(bed: Bed) {
    let states = States::new();
    let (client, silent) = (telling::<Value>(&bed, &states).build().unwrap(), bed.client::<Value>());
    let batch = client.open_batch("import", 1).await.unwrap();
    batch.create_many(stream::iter([NewTask::new("member")]), 1).await.unwrap();
    for id in ["alone", "lost", "member"] {
        if id != "member" {
            client.create(id).await.unwrap();
        }
        let seen = client.load(id).await.unwrap().unwrap();
        let token = states.wait();
        silent.call_back(id, token.clone()).await.unwrap();
        if id == "lost" {
            bed.http.plan([Fault::None, Fault::LostAnswer]);
        }
        client.delete(&seen).await.unwrap();
        assert_eq!(states.told(&token).unwrap().failure().0, "TaskDeleted", "{id}");
        assert!(client.load(id).await.unwrap().is_none());
    }
    // One that is over, which they began to wait for after that.
    let seen = client.ignore(&client.create("over").await.unwrap()).await.unwrap();
    let token = states.wait();
    silent.call_back("over", token.clone()).await.unwrap();
    client.delete(&seen).await.unwrap();
    assert_eq!(states.told(&token).unwrap().failure().0, "TaskIgnored");
    // It is still bound to the version that was seen.
    let seen = client.create("changed").await.unwrap();
    drop(client.start_with("changed", StartOptions::new().callback(states.wait())).await.unwrap());
    assert_eq!(client.delete(&seen).await.unwrap_err().kind(), ErrorKind::Changed);
}

async fn a_dump_leaves_whoever_waits_alone(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).retention(Duration::from_secs(10)).build().unwrap();
    client.create("t").await.unwrap();
    let mut seen = client.load("t").await.unwrap().unwrap();
    let token = states.wait();
    client.call_back("t", token.clone()).await.unwrap();
    seen.data = json!(7);
    client.dump(&mut seen).await.unwrap();
    assert_eq!(kept(&bed, "t").await.as_deref(), Some(token.as_str()));
    // One that knows of it, and ends the task, tells.
    let mut seen = client.load("t").await.unwrap().unwrap();
    seen.status = Status::Succeeded;
    client.dump(&mut seen).await.unwrap();
    assert_eq!((states.told(&token), seen.callback()), (Some(Told::Success(json!(7))), None));
    // A task that is made in the place of one that has expired is another's business.
    bed.set("t", "callback", AttributeValue::S("of the one before".to_owned())).await;
    client.start("u").await.unwrap().succeed().await.unwrap();
    bed.clock.advance(Duration::from_secs(11));
    bed.client::<Value>().create("t").await.unwrap();
    assert_eq!(kept(&bed, "t").await, None);
    let new = states.wait();
    client.create(NewTask::new("u").callback(new.clone())).await.unwrap();
    assert_eq!(kept(&bed, "u").await.as_deref(), Some(new.as_str()));
}

async fn a_lease_that_is_over_is_a_look_too(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let token = waited_for(&client, &states, "t").await;
    let lease = bed.client::<Value>().start("t").await.unwrap();
    let lock = lease.token();
    lease.succeed().await.unwrap();
    assert!(client.resume("t", lock).await.unwrap_err().is_lease_lost());
    assert_eq!((states.told(&token), kept(&bed, "t").await), (Some(Told::Success(json!(null))), None));
}

/// Each may tell, since whoever looks does not know of the others. The state goes on by the first, and the token is off.
async fn lookers_at_once_do_no_harm(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let token = waited_for(&client, &states, "t").await;
    bed.client::<Value>().start("t").await.unwrap().succeed().await.unwrap();
    let looks = (0..4).map(|_| client.load("t"));
    for look in futures_util::future::join_all(looks).await {
        assert!(!look.unwrap().unwrap().owes_callback());
    }
    assert_eq!(states.told(&token), Some(Told::Success(json!(null))));
    assert_eq!(kept(&bed, "t").await, None);
    let calls = states.calls();
    assert!((1..=4).contains(&calls.len()) && calls.iter().all(|call| call == "SendTaskSuccess"), "{calls:?}");
    client.load("t").await.unwrap();
    assert_eq!(states.calls(), [""; 0], "the token is off, so nobody is told again");
}

async fn an_output_that_is_too_large_fails_the_state(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let token = waited_for(&client, &states, "t").await;
    let mut lease = client.start("t").await.unwrap();
    lease.set_data(json!("x".repeat(300_000))).unwrap();
    let record = lease.succeed().await.unwrap();
    assert_eq!((record.status, record.owes_callback()), (Status::Succeeded, false));
    let (error, cause) = states.told(&token).unwrap().failure();
    assert!(error == "ResponseTooLarge" && cause.contains("300002 bytes"), "{error}: {cause}");
}

async fn data_that_was_not_kept_is_no_output(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let (first, second, third) = (states.wait(), states.wait(), states.wait());
    client.create(NewTask::new("t").data(json!({"order": 1})).callback(first.clone())).await.unwrap();
    // With what the work sets, the item is over DynamoDB's limit.
    bed.set("t", "note", AttributeValue::S("x".repeat(200_000))).await;
    let result = client.run("t", StartOptions::new(), |mut lease| async move {
        lease.set_data(json!("x".repeat(300_000)))?;
        Ok(())
    });
    let RunError::DataNotKept { tracker, .. } = result.await.unwrap_err() else { panic!() };
    assert!(tracker.data_not_kept());
    client.call_back("t", second.clone()).await.unwrap();
    for token in [first, second] {
        let (error, cause) = states.told(&token).unwrap().failure();
        assert!(error == "ResponseNotKept" && cause.contains("400 KB"), "{error}: {cause}");
    }
    // What the task had before is still there, and may be mended.
    let mut record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.status, &record.data), (Status::Succeeded, &json!({"order": 1})));
    assert_eq!(record.errors.last().unwrap().error_type, "DataNotKept");
    bed.clock.advance(Duration::from_millis(1));
    record.data = json!(7);
    client.dump(&mut record).await.unwrap();
    assert!(!client.load("t").await.unwrap().unwrap().data_not_kept());
    client.call_back("t", third.clone()).await.unwrap();
    assert_eq!(states.told(&third), Some(Told::Success(json!(7))));
}

async fn the_output_can_be_made_of_the_record(bed: Bed) {
    let states = States::new();
    let callbacks = Callbacks::new(states.client());
    let callbacks = callbacks.output(|record| json!({"id": record.id.as_str(), "attempts": record.attempts}));
    let client = bed.builder::<Value>().callbacks(callbacks).build().unwrap();
    let token = waited_for(&client, &states, "t").await;
    client.start("t").await.unwrap().succeed().await.unwrap();
    assert_eq!(states.told(&token), Some(Told::Success(json!({"id": "t", "attempts": 1}))));
}

async fn the_token_is_never_shown(bed: Bed) {
    let states = States::new();
    let lost = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&lost);
    let callbacks = Callbacks::new(states.client()).on_error(move |_, error| {
        *told.lock().unwrap() = format!("{error} {error:?} {:?}", std::error::Error::source(error));
    });
    let client = bed.builder::<Value>().callbacks(callbacks).build().unwrap();
    let task = NewTask::<Value>::new("t").callback("secret".parse().unwrap());
    let options = StartOptions::new().callback("secret".parse().unwrap());
    let now = bed.clock.now();
    let terms = Terms {
        now,
        lease: Duration::from_secs(60),
        skew: Duration::ZERO,
        max_attempts: 3,
        previous_succeeded: None,
        indexed: false,
    };
    let request = Acquire::new(&options, LockToken::from_u128(1), terms);
    let mut shown = format!("{client:?} {task:?} {options:?} {request:?}");
    let made = client.create(task).await.unwrap();
    let lease = client.start("t").await.unwrap();
    let refused = client.start("t").await.unwrap_err();
    shown += &format!("{made:?} {lease:?} {refused:?} {refused}");
    // An item with a token that is none is said, and not what is in it.
    bed.set("t", "callback", AttributeValue::S("secret".repeat(400))).await;
    let unreadable = client.load("t").await.unwrap_err();
    assert_eq!(unreadable.kind(), ErrorKind::Unreadable);
    shown += &format!("{unreadable} {unreadable:?}");
    // Step Functions quotes what it was sent.
    bed.set("t", "callback", AttributeValue::S("secret".to_owned())).await;
    states.http.plan([Fault::Quoting]);
    assert!(lease.succeed().await.unwrap().owes_callback());
    shown += &lost.lock().unwrap();
    assert!(shown.contains("refused the task token") && !shown.contains("secret"), "{shown}");
}
