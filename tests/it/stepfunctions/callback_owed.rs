//! A token whose state is still to be told goes away only when it was told, or waits no more.

use std::collections::BTreeSet;
use std::time::Duration;

use dynamo_tracker::{ErrorKind, NewTask, StartOptions, TaskToken};
use serde_json::{Value, json};

use super::callback::{kept, telling, waited_for};
use crate::bed::Bed;
use crate::bed::http::Fault;
use crate::bed::states::{States, Told};
use crate::infra::template::Template;

crate::tests![
    what_is_owed_is_not_deleted_untold,
    what_is_owed_is_not_displaced,
    a_client_that_tells_nobody_keeps_what_a_start_brings,
    a_token_that_waits_no_more_displaces_nobody,
];

async fn what_is_owed_is_not_deleted_untold(bed: Bed) {
    let states = States::new();
    let (client, silent) = (telling::<Value>(&bed, &states).build().unwrap(), bed.client::<Value>());
    let token = waited_for(&client, &states, "t").await;
    states.http.plan([Fault::Denied, Fault::Denied]);
    let record = client.start("t").await.unwrap().succeed().await.unwrap();
    let error = client.delete(&record).await.unwrap_err();
    assert_eq!((error.kind(), error.task().unwrap().as_str()), (ErrorKind::AccessDenied, "t"));
    assert!(error.to_string().contains("was not deleted") && !format!("{error} {error:?}").contains(token.as_str()));
    assert_eq!((states.told(&token), kept(&bed, "t").await.is_some()), (None, true));
    client.delete(&record).await.unwrap();
    assert_eq!(states.told(&token), Some(Told::Success(json!(null))));
    assert!(client.load("t").await.unwrap().is_none());
    // One who has come after the look at it.
    let seen = client.ignore(&client.create("late").await.unwrap()).await.unwrap();
    let token = states.wait();
    silent.call_back("late", token.clone()).await.unwrap();
    states.http.plan([Fault::Denied]);
    assert_eq!(client.delete(&seen).await.unwrap_err().kind(), ErrorKind::AccessDenied);
    client.delete(&seen).await.unwrap();
    assert_eq!(states.told(&token).unwrap().failure().0, "TaskIgnored");
    // A token that nobody knows here would keep its record for ever.
    let elsewhere = States::new().wait();
    silent.create(NewTask::new("elsewhere").callback(elsewhere)).await.unwrap();
    let record = silent.start("elsewhere").await.unwrap().succeed().await.unwrap();
    client.delete(&record).await.unwrap();
    assert!(silent.load("elsewhere").await.unwrap().is_none());
}

async fn what_is_owed_is_not_displaced(bed: Bed) {
    let states = States::new();
    let (client, silent) = (telling::<Value>(&bed, &states).build().unwrap(), bed.client::<Value>());
    let (first, second) = (waited_for(&client, &states, "t").await, states.wait());
    silent.start("t").await.unwrap().succeed().await.unwrap();
    let brings = || StartOptions::new().callback(second.clone());
    states.http.plan([Fault::Denied, Fault::Denied, Fault::Denied, Fault::Denied]);
    let errors = [
        client.call_back("t", second.clone()).await.unwrap_err(),
        client.start_with("t", brings()).await.unwrap_err(),
        silent.call_back("t", second.clone()).await.unwrap_err(),
    ];
    let kinds = [ErrorKind::AccessDenied, ErrorKind::AccessDenied, ErrorKind::Changed];
    for (error, kind) in errors.iter().zip(kinds) {
        assert_eq!((error.kind(), error.task().unwrap().as_str()), (kind, "t"));
        assert!(error.to_string().contains("another state is still to be told"), "{error}");
        assert!(![&first, &second].iter().any(|token| format!("{error} {error:?}").contains(token.as_str())));
    }
    assert_eq!(kept(&bed, "t").await.as_deref(), Some(first.as_str()));
    // Who comes is told where they can be, whoever else can't.
    states.http.plan([Fault::Denied]);
    client.call_back("t", second.clone()).await.unwrap();
    assert_eq!((states.told(&first), states.told(&second)), (None, Some(Told::Success(json!(null)))));
    client.load("t").await.unwrap();
    assert_eq!((states.told(&first), kept(&bed, "t").await), (Some(Told::Success(json!(null))), None));
}

async fn a_client_that_tells_nobody_keeps_what_a_start_brings(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let silent = bed.builder::<Value>().max_attempts(1).retention(Duration::from_secs(10)).build().unwrap();
    let (succeeded, exhausted) = (states.wait(), states.wait());
    let brings = |token: &TaskToken| StartOptions::new().callback(token.clone());
    silent.start("succeeded").await.unwrap().succeed().await.unwrap();
    assert!(silent.start_with("succeeded", brings(&succeeded)).await.unwrap_err().is_already_succeeded());
    drop(silent.start("exhausted").await.unwrap());
    bed.clock.advance(Duration::from_secs(9));
    // That it succeeded is still known, and what is owed does not expire.
    assert!(silent.start_with("succeeded", brings(&succeeded)).await.unwrap_err().is_already_succeeded());
    bed.clock.advance(Duration::from_secs(53));
    let refused = silent.start_with("exhausted", brings(&exhausted)).await.unwrap_err();
    assert!(refused.is_exhausted() && refused.tracker().unwrap().owes_callback());
    for (id, token) in [("succeeded", &succeeded), ("exhausted", &exhausted)] {
        assert_eq!((states.told(token), kept(&bed, id).await.as_deref()), (None, Some(token.as_str())));
        client.load(id).await.unwrap();
        assert!(states.told(token).is_some() && kept(&bed, id).await.is_none(), "{id}");
    }
}

/// Messages come late, twice and in any order. That of a state which waits no more changes nothing.
async fn a_token_that_waits_no_more_displaces_nobody(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).build().unwrap();
    let (first, second, third) = (states.wait(), states.wait(), states.wait());
    client.call_back("t", first.clone()).await.unwrap();
    states.time_out(&first);
    client.call_back("t", second.clone()).await.unwrap();
    let record = client.call_back("t", first.clone()).await.unwrap();
    assert_eq!((record.callback(), states.told(&second)), (Some(&second), None));
    assert_eq!(kept(&bed, "t").await.as_deref(), Some(second.as_str()));
    // Whether it waits can't be asked: whoever comes says it again.
    states.http.plan([Fault::Denied]);
    let error = client.call_back("t", third.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.task().unwrap().as_str()), (ErrorKind::AccessDenied, "t"));
    assert_eq!(kept(&bed, "t").await.as_deref(), Some(second.as_str()));
    client.call_back("t", third.clone()).await.unwrap();
    assert_eq!(states.told(&second).unwrap().failure().0, "CallbackReplaced");
    client.start("t").await.unwrap().succeed().await.unwrap();
    assert_eq!(states.told(&third), Some(Told::Success(json!(null))));
    // The policy in `infra/` allows what was asked of Step Functions, and no more.
    let asked: BTreeSet<_> = states.calls().into_iter().map(|call| format!("states:{call}")).collect();
    let template = Template::step_functions();
    let statements = template.properties("ApproverPolicy")["PolicyDocument"]["Statement"].as_array().unwrap();
    let answers = statements.iter().find(|statement| statement["Sid"] == "Answers").unwrap();
    let allowed: BTreeSet<_> =
        answers["Action"].as_array().unwrap().iter().map(|action| action.as_str().unwrap()).collect();
    assert_eq!(asked.iter().map(String::as_str).collect::<BTreeSet<_>>(), allowed);
}
