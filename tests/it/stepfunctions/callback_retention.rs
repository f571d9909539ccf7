//! A record that owes does not expire before whoever waits was told, whoever has ended its task.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use dynamo_tracker::{Clock, ErrorKind, NewTask, TaskToken};
use futures_util::stream;
use serde_json::{Value, json};

use super::callback::{kept, telling, waited_for};
use crate::bed::Bed;
use crate::bed::http::Fault;
use crate::bed::states::{States, Told};

crate::tests![
    what_an_expired_record_owes_is_paid_first,
    no_end_lets_what_is_owed_expire,
    a_late_copy_of_a_refused_end_is_refused_again,
    a_record_that_owes_does_not_expire,
    no_dump_lets_what_is_owed_expire,
];

/// As the states of a state machine leave it, which know of no token that came after the start.
async fn expired_and_owing(bed: &Bed, states: &States, id: &str) -> TaskToken {
    let client = bed.builder::<Value>().retention(Duration::from_secs(10)).build().unwrap();
    client.start(id).await.unwrap().succeed().await.unwrap();
    let token = states.wait();
    bed.set(id, "callback", AttributeValue::S(token.as_str().to_owned())).await;
    bed.clock.advance(Duration::from_secs(11));
    token
}

async fn what_an_expired_record_owes_is_paid_first(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).retention(Duration::from_secs(10)).build().unwrap();
    for id in ["loaded", "started", "created"] {
        for told in [true, false] {
            let id = format!("{id}-{told}");
            let token = expired_and_owing(&bed, &states, &id).await;
            if !told {
                // A start looks again where it could not take the place of the record.
                let looks = if id.starts_with("started") { 2 } else { 1 };
                states.http.plan(vec![Fault::Denied; looks]);
            }
            // It is there again until its retention is over, which counts from when they were told.
            match id.split_once('-').unwrap().0 {
                "loaded" => assert!(client.load(&id).await.unwrap().is_some(), "{id}"),
                "started" => assert!(client.start(&id).await.unwrap_err().is_already_succeeded(), "{id}"),
                _ => assert!(client.create(id.as_str()).await.unwrap_err().is_already_exists(), "{id}"),
            }
            assert_eq!((states.told(&token).is_some(), kept(&bed, &id).await.is_none()), (told, told), "{id}");
            if !told {
                bed.clock.advance(Duration::from_secs(3600));
                assert!(client.load(&id).await.unwrap().is_some() && states.told(&token).is_some(), "{id}");
            }
            bed.clock.advance(Duration::from_secs(11));
            assert!(client.load(&id).await.unwrap().is_none(), "{id}");
            assert_eq!(client.start(&id).await.unwrap().attempt(), 1);
        }
    }
    // One who tells nobody takes the token along.
    expired_and_owing(&bed, &states, "silent").await;
    let lease = bed.client::<Value>().start("silent").await.unwrap();
    assert_eq!((lease.tracker().callback(), kept(&bed, "silent").await), (None, None));
}

/// A token that comes between the look at a record and the write that ends it, by those who tell nobody.
async fn no_end_lets_what_is_owed_expire(bed: Bed) {
    let states = States::new();
    let silent = bed.builder::<Value>().retention(Duration::from_secs(10)).max_attempts(1).build().unwrap();
    let comes = async |id: &str| {
        let token = states.wait();
        assert_eq!(silent.call_back(id, token.clone()).await.unwrap().callback(), Some(&token));
        token
    };
    let owes = async |id: &str| {
        let record = silent.load(id).await.unwrap().unwrap();
        assert_eq!((record.owes_callback(), record.expire_at), (true, None), "{id}");
    };
    let receipt = |id: &str| {
        let put = Put::builder().table_name(&bed.table).item("id", AttributeValue::S(format!("receipt of {id}")));
        vec![TransactWriteItem::builder().put(put.build().unwrap()).build()]
    };
    for id in ["succeeded", "exhausted", "together"] {
        let mut lease = silent.start(id).await.unwrap();
        comes(id).await;
        match id {
            "succeeded" => drop(lease.succeed().await.unwrap()),
            "exhausted" => drop(lease.fail("no paper").await.unwrap()),
            _ => drop(lease.succeed_with(receipt(id)).await.unwrap()),
        }
        owes(id).await;
    }
    let batch = silent.open_batch("import", 1).await.unwrap();
    batch.create_many(stream::iter([NewTask::new("member")]), 1).await.unwrap();
    let lease = silent.start("member").await.unwrap();
    comes("member").await;
    lease.succeed().await.unwrap();
    owes("member").await;
    assert_eq!(batch.status().await.unwrap().open_tasks, 0);

    let seen = silent.create("ignored").await.unwrap();
    comes("ignored").await;
    silent.ignore(&seen).await.unwrap();
    owes("ignored").await;

    drop(silent.start("abandoned").await.unwrap());
    bed.clock.advance(Duration::from_secs(62));
    let (late, token) = (silent.clone(), states.wait());
    // The refusal of the start is there, and says of nobody who waits.
    bed.http.before_answer(move || async move { drop(late.call_back("abandoned", token).await.unwrap()) });
    assert!(silent.start("abandoned").await.unwrap_err().is_exhausted());
    owes("abandoned").await;
}

/// A copy of the outcome that was refused for somebody who waits comes late, and changes nothing.
async fn a_late_copy_of_a_refused_end_is_refused_again(bed: Bed) {
    let states = States::new();
    let silent = bed.builder::<Value>().retention(Duration::from_secs(10)).build().unwrap();
    let lease = silent.start("t").await.unwrap();
    silent.call_back("t", states.wait()).await.unwrap();
    bed.http.forget();
    lease.succeed().await.unwrap();
    assert_eq!(bed.http.sent(), ["UpdateItem", "UpdateItem"]);
    let record = silent.load("t").await.unwrap().unwrap();
    bed.http.repeat(0).await;
    assert_eq!(silent.load("t").await.unwrap().unwrap(), record);
}

async fn a_record_that_owes_does_not_expire(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).retention(Duration::from_secs(10)).build().unwrap();
    let token = waited_for(&client, &states, "t").await;
    let ignored = waited_for(&client, &states, "u").await;
    states.http.plan([Fault::Denied, Fault::Denied]);
    let owed = client.start("t").await.unwrap().succeed().await.unwrap();
    assert_eq!((owed.owes_callback(), owed.expire_at), (true, None));
    let seen = client.load("u").await.unwrap().unwrap();
    let owed = client.ignore(&seen).await.unwrap();
    assert_eq!((owed.owes_callback(), owed.expire_at), (true, None));
    // Nor does one that was ended by somebody who tells nobody.
    let silent = bed.builder::<Value>().retention(Duration::from_secs(10)).max_attempts(1).build().unwrap();
    waited_for(&silent, &states, "w").await;
    assert_eq!(silent.start("w").await.unwrap().succeed().await.unwrap().expire_at, None);
    waited_for(&silent, &states, "x").await;
    drop(silent.start("x").await.unwrap());
    bed.clock.advance(Duration::from_secs(62));
    let exhausted = silent.start("x").await.unwrap_err();
    assert_eq!((exhausted.kind(), exhausted.tracker().unwrap().expire_at), (ErrorKind::Exhausted, None));
    assert_eq!(silent.load("x").await.unwrap().unwrap().expire_at, None);
    // One that came while the work went on, of which its lease knows nothing.
    let lease = client.start("v").await.unwrap();
    let late = states.wait();
    client.call_back("v", late.clone()).await.unwrap();
    states.http.plan([Fault::Denied]);
    let owed = lease.succeed().await.unwrap();
    assert_eq!((owed.owes_callback(), owed.expire_at), (true, None));
    bed.clock.advance(Duration::from_secs(3600));
    for (id, token) in [("t", token), ("u", ignored), ("v", late)] {
        let record = client.load(id).await.unwrap().unwrap();
        assert!(states.told(&token).is_some() && !record.owes_callback());
        assert_eq!(record.expire_at, Some(bed.clock.now() + chrono::TimeDelta::seconds(10)), "from when it was told");
        assert_eq!(client.load(id).await.unwrap().unwrap().expire_at, record.expire_at);
    }
    bed.clock.advance(Duration::from_secs(10));
    for id in ["t", "u", "v"] {
        assert!(client.load(id).await.unwrap().is_none(), "its retention is over");
    }
}

/// Who waits comes between the look at a record and its dump, which is no change of the version.
async fn no_dump_lets_what_is_owed_expire(bed: Bed) {
    let states = States::new();
    let client = telling::<Value>(&bed, &states).retention(Duration::from_secs(10)).build().unwrap();
    let silent = bed.builder::<Value>().retention(Duration::from_secs(10)).build().unwrap();
    for lost in [false, true] {
        let id = format!("lost-{lost}");
        silent.start(&id).await.unwrap().succeed().await.unwrap();
        let mut seen = silent.load(&id).await.unwrap().unwrap();
        let mut late = seen.clone();
        let token = states.wait();
        silent.call_back(id.as_str(), token.clone()).await.unwrap();
        seen.data = json!(7);
        if lost {
            bed.http.plan([Fault::LostAnswer, Fault::None, Fault::LostAnswer]);
        }
        silent.dump(&mut seen).await.unwrap();
        assert_eq!((seen.expire_at, seen.owes_callback()), (None, true));
        assert_eq!(silent.load(&id).await.unwrap().unwrap(), seen);
        // One that is of another version changes nothing, here or there.
        let before = late.clone();
        assert_eq!(silent.dump(&mut late).await.unwrap_err().kind(), ErrorKind::Changed);
        assert!(late == before && late.expire_at.is_some());
        // Whoever tells has it expire from then on.
        seen.expire_at = before.expire_at;
        bed.clock.advance(Duration::from_secs(5));
        client.dump(&mut seen).await.unwrap();
        assert_eq!(states.told(&token), Some(Told::Success(json!(7))));
        let until = bed.clock.now() + chrono::TimeDelta::seconds(10);
        assert_eq!((seen.expire_at, client.load(&id).await.unwrap().unwrap().expire_at), (Some(until), Some(until)));
    }
}
