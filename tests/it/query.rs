//! The index: what it holds, queries in one order over all shards, cursors, counts, scans.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use dynamo_tracker::{
    Clock, ErrorKind, NewTask, Query, StartOptions, Stats, Status, StatusSet, TaskRef, TrackerClient,
};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use crate::bed::http::Fault;
use crate::bed::meter::Meter;
use crate::bed::{Bed, SHARDS};

crate::tests![
    each_state_has_its_place_in_the_index,
    one_order_and_limit_over_all_shards,
    a_cursor_goes_on_where_the_page_ended,
    a_bad_cursor_is_refused,
    ties_at_a_page_s_end_are_neither_lost_nor_repeated,
    a_range_of_due_times,
    newest_first_is_the_reverse,
    a_stream_has_them_all,
    records_are_read_as_they_are_now,
    unprocessed_keys_are_asked_for_again,
    states_are_counted,
    a_namespace_is_scanned_exactly,
    shards_can_be_raised,
    an_older_table_gets_the_index,
    without_an_index_it_says_so,
    a_stage_finds_what_the_one_before_has_done,
    the_index_costs_what_the_docs_say,
    what_is_due_costs_what_is_due,
    a_task_that_is_seen_twice_is_read_once,
    another_stage_leaves_what_it_does_not_know_in_its_place,
    a_missing_permission_is_no_missing_index,
    an_item_that_can_not_be_read_does_not_stop_a_reindex,
    all_due_at_once_is_due_for_every_clock,
];

fn indexed<D: dynamo_tracker::Data>(bed: &Bed) -> TrackerClient<D> {
    bed.builder().index(SHARDS).build().unwrap()
}

fn table<D: dynamo_tracker::Data>(bed: &Bed) -> TrackerClient<D> {
    bed.http.forget();
    indexed(bed)
}

/// What an item has for the index.
async fn place(bed: &Bed, id: &str) -> Option<(String, i64)> {
    let item = bed.sdk().get_item().table_name(&bed.table).key("id", Bed::key(id)).send().await.unwrap().item.unwrap();
    let shard = item.get("shard").map(|shard| shard.as_s().unwrap().rsplit_once('#').unwrap().0.to_owned());
    let due = item.get("due_time").map(|due| due.as_n().unwrap().parse().unwrap());
    assert_eq!(shard.is_some(), due.is_some(), "both or neither: {item:?}");
    shard.zip(due)
}

async fn each_state_has_its_place_in_the_index(bed: Bed) {
    let client = table::<Value>(&bed);
    let millis = |after: i64| (bed.clock.now() + TimeDelta::seconds(after)).timestamp_millis();
    let at = |code: u32, after: i64| Some((format!("test#{code}"), millis(after)));
    client.create("t").await.unwrap();
    assert_eq!(place(&bed, "t").await, at(0, -1), "due at once");
    client.create(NewTask::new("later").due(bed.clock.now() + TimeDelta::seconds(99))).await.unwrap();
    assert_eq!(place(&bed, "later").await, at(0, 99));
    let mut lease = client.start("t").await.unwrap();
    assert_eq!(place(&bed, "t").await, at(10, 60), "in progress until its lease ends");
    assert_eq!(lease.tracker().due_time, client.load("t").await.unwrap().unwrap().due_time);
    bed.clock.advance(Duration::from_secs(5));
    lease.mark_as_in_progress().await.unwrap();
    assert_eq!(place(&bed, "t").await, at(10, 60));
    lease.checkpoint(json!(1)).await.unwrap();
    assert_eq!(place(&bed, "t").await, at(10, 60));
    let failed = lease.fail(dynamo_tracker::WorkError::from("x").after(Duration::from_secs(7))).await.unwrap();
    assert_eq!(place(&bed, "t").await, at(20, 7));
    assert_eq!(failed.due_time, client.load("t").await.unwrap().unwrap().due_time);
    bed.clock.advance(Duration::from_secs(7));
    client.start("t").await.unwrap().release().await.unwrap();
    assert_eq!(place(&bed, "t").await, at(0, -1));
    client.start("t").await.unwrap().mark_as_exhausted("x").await.unwrap();
    assert_eq!(place(&bed, "t").await, at(30, -1));
    let seen = client.load("t").await.unwrap().unwrap();
    let seen = client.redrive(&seen).await.unwrap();
    assert_eq!(place(&bed, "t").await, at(0, -1));
    let seen = client.ignore(&seen).await.unwrap();
    assert_eq!(place(&bed, "t").await, at(50, -1));
    client.redrive(&seen).await.unwrap();
    let _lost = client.start("t").await.unwrap();
    client.unlock(&client.load("t").await.unwrap().unwrap()).await.unwrap();
    assert_eq!(place(&bed, "t").await, at(10, -1), "it may be taken at once");
    client.start("t").await.unwrap().succeed().await.unwrap();
    assert_eq!(place(&bed, "t").await, None, "what is done costs nothing there");
    let mut record = client.load("later").await.unwrap().unwrap();
    record.status = Status::Exhausted;
    client.dump(&mut record).await.unwrap();
    assert_eq!(place(&bed, "later").await.unwrap().0, "test#30");
    assert_eq!(record.due_time, client.load("later").await.unwrap().unwrap().due_time);
    // An abandoned last attempt.
    let one = bed.builder::<Value>().index(SHARDS).max_attempts(1).build().unwrap();
    let _abandoned = one.start("u").await.unwrap();
    bed.clock.advance(Duration::from_secs(100));
    let exhausted = one.start("u").await.unwrap_err();
    assert_eq!(place(&bed, "u").await, at(30, -1));
    assert_eq!(exhausted.tracker().unwrap().due_time, one.load("u").await.unwrap().unwrap().due_time);
}

/// Pending tasks, one due each second from now on; returns their ids in that order.
async fn create(bed: &Bed, client: &TrackerClient<Value>, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let id = format!("task-{number}");
        let due = bed.clock.now() + TimeDelta::seconds(number as i64);
        client.create(NewTask::new(&id).due(due).data(json!(number))).await.unwrap();
        ids.push(id);
    }
    ids
}

fn ids(found: &[TaskRef]) -> Vec<String> {
    found.iter().map(|task| task.id.as_str().to_owned()).collect()
}

/// All that a query finds, page by page.
async fn all_pages(client: &TrackerClient<Value>, query: &Query) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = client.query(query, cursor.as_deref()).await.unwrap();
        found.extend(ids(&page.items));
        cursor = page.cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn one_order_and_limit_over_all_shards(bed: Bed) {
    let client = table(&bed);
    let wanted = create(&bed, &client, 30).await;
    let page = client.query(&Query::new().status(Status::Pending).limit(12), None).await.unwrap();
    assert_eq!(ids(&page.items), wanted[..12]);
    assert!(page.items.iter().all(|task| task.status == Status::Pending) && page.cursor.is_some());
    let page = client.query(&Query::new(), None).await.unwrap();
    assert_eq!((ids(&page.items), page.cursor), (wanted, None));
    let none = client.query(&Query::new().status(Status::Failed).status(Status::Ignored), None).await.unwrap();
    assert_eq!((none.items.len(), none.cursor), (0, None));
    let nothing = client.query(&Query::new().limit(0), None).await.unwrap();
    assert_eq!(nothing.items.len(), 0);
}

async fn a_cursor_goes_on_where_the_page_ended(bed: Bed) {
    let client = table(&bed);
    let wanted = create(&bed, &client, 23).await;
    for query in [Query::new().limit(5), Query::new().limit(1).newest_first()] {
        let mut found = all_pages(&client, &query).await;
        assert_eq!(found.len(), wanted.len());
        if found[0] != wanted[0] {
            found.reverse();
        }
        assert_eq!(found, wanted);
    }
    // What the last page ended with may be gone by the next.
    let page = client.query(&Query::new().limit(5), None).await.unwrap();
    client
        .start_with(page.items[4].id.as_str(), StartOptions::new().force_execution())
        .await
        .unwrap()
        .succeed()
        .await
        .unwrap();
    let next = client.query(&Query::new().limit(5), page.cursor.as_deref()).await.unwrap();
    assert_eq!(ids(&next.items), wanted[5..10]);
}

async fn a_bad_cursor_is_refused(bed: Bed) {
    let client = table(&bed);
    create(&bed, &client, 3).await;
    let query = Query::new().status(Status::Pending).limit(1);
    let cursor = client.query(&query, None).await.unwrap().cursor.unwrap();
    for bad in ["", "nonsense", "e30=", &cursor[1..]] {
        let error = client.query(&query, Some(bad)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("cursor"), "{error}");
    }
    for other in [Query::new().status(Status::Failed), Query::new().status(Status::Pending).newest_first()] {
        let error = client.query(&other, Some(&cursor)).await.unwrap_err();
        assert!(error.to_string().contains("this cursor is for another"), "{error}");
    }
}

async fn ties_at_a_page_s_end_are_neither_lost_nor_repeated(bed: Bed) {
    let client = table::<Value>(&bed);
    let mut wanted = BTreeSet::new();
    for number in 0..40 {
        let id = format!("task-{number}");
        client.create(NewTask::new(&id)).await.unwrap();
        wanted.insert(id);
    }
    for query in [Query::new().limit(3), Query::new().limit(3).newest_first()] {
        let found = all_pages(&client, &query).await;
        assert_eq!((found.len(), found.into_iter().collect::<BTreeSet<_>>()), (40, wanted.clone()));
    }
}

async fn a_range_of_due_times(bed: Bed) {
    let client = table(&bed);
    let wanted = create(&bed, &client, 20).await;
    let at = |seconds| bed.clock.now() + TimeDelta::seconds(seconds);
    let due = client.query(&Query::new().due_by(at(4)), None).await.unwrap();
    assert_eq!(ids(&due.items), wanted[..5]);
    let later = client.query(&Query::new().due_from(at(15)), None).await.unwrap();
    assert_eq!(ids(&later.items), wanted[15..]);
    let between = client.query(&Query::new().due_from(at(3)).due_by(at(6)), None).await.unwrap();
    assert_eq!(ids(&between.items), wanted[3..7]);
    let none = client.query(&Query::new().due_from(at(6)).due_by(at(3)), None).await.unwrap();
    assert!(none.items.is_empty());
    // A lease that ran out is due.
    let _abandoned = client.start("task-0").await.unwrap();
    bed.clock.advance(Duration::from_secs(61));
    let stuck = Query::new().status(Status::InProgress).due_by(bed.clock.now());
    assert_eq!(ids(&client.query(&stuck, None).await.unwrap().items), ["task-0"]);
}

async fn newest_first_is_the_reverse(bed: Bed) {
    let client = table(&bed);
    let mut wanted = create(&bed, &client, 20).await;
    wanted.reverse();
    let page = client.query(&Query::new().newest_first().limit(7), None).await.unwrap();
    assert_eq!(ids(&page.items), wanted[..7]);
}

async fn a_stream_has_them_all(bed: Bed) {
    let client = table(&bed);
    let wanted = create(&bed, &client, 150).await;
    let found: Vec<TaskRef> = client.query_stream(Query::new()).try_collect().await.unwrap();
    assert_eq!(ids(&found), wanted);
    let found: Vec<TaskRef> = client.query_stream(Query::new().limit(7)).try_collect().await.unwrap();
    assert_eq!(ids(&found), wanted[..7]);
}

async fn records_are_read_as_they_are_now(bed: Bed) {
    let client = table(&bed);
    let wanted = create(&bed, &client, 120).await;
    let query = Query::new().status(Status::Pending).limit(110);
    let page = client.query_records(&query, None).await.unwrap();
    assert_eq!(page.items.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), wanted[..110]);
    assert_eq!((&page.items[7].data, page.items[7].create_time), (&json!(7), bed.clock.now()));
    assert_eq!(bed.http.sent().iter().filter(|sent| *sent == "BatchGetItem").count(), 2);
    // What has left the state since the index was written is left out. Here the index is made to lie.
    bed.set("task-3", "status", AttributeValue::N("40".to_owned())).await;
    let page = client.query_records(&query, None).await.unwrap();
    assert_eq!(page.items.len(), 109);
}

async fn unprocessed_keys_are_asked_for_again(bed: Bed) {
    // It waits in between, so its clock must go on.
    let client = bed.builder::<Value>().index(SHARDS).clock(dynamo_tracker::SystemClock).build().unwrap();
    create(&bed, &client, 5).await;
    bed.http.forget();
    bed.http.plan([
        Fault::None,
        Fault::None,
        Fault::None,
        Fault::None,
        Fault::None,
        Fault::Unprocessed,
        Fault::Unprocessed,
    ]);
    let page = client.query_records(&Query::new().status(Status::Pending), None).await.unwrap();
    let asked = bed.http.sent().iter().filter(|sent| *sent == "BatchGetItem").count();
    assert!(page.items.len() == 5 && asked == 3, "{} after {asked}", page.items.len());
}

async fn states_are_counted(bed: Bed) {
    let client = table::<Value>(&bed);
    let none = client.stats().await.unwrap();
    assert_eq!((none, none.open()), (Stats::default(), 0));
    for number in 0..12 {
        let id = format!("task-{number}");
        match number {
            0..=3 => drop(client.create(id.as_str()).await.unwrap()),
            4..=5 => drop(client.start(&id).await.unwrap()),
            6..=8 => drop(client.start(&id).await.unwrap().fail("x").await.unwrap()),
            9 => drop(client.start(&id).await.unwrap().mark_as_exhausted("x").await.unwrap()),
            10 => drop(client.start(&id).await.unwrap().mark_as_ignored().await.unwrap()),
            _ => drop(client.start(&id).await.unwrap().succeed().await.unwrap()),
        }
    }
    let stats = client.stats().await.unwrap();
    let counts = [stats.pending, stats.in_progress, stats.failed, stats.exhausted, stats.ignored];
    assert_eq!((counts, stats.succeeded, stats.open()), ([4, 2, 3, 1, 1], None, 9));
    let scanned = client.scan_stats(3).await.unwrap();
    let counts = [scanned.pending, scanned.in_progress, scanned.failed, scanned.exhausted, scanned.ignored];
    assert_eq!((counts, scanned.succeeded), ([4, 2, 3, 1, 1], Some(1)));
}

async fn a_namespace_is_scanned_exactly(bed: Bed) {
    let client = table::<Value>(&bed);
    let other = bed.builder::<Value>().index(SHARDS).namespace("test-prod").build().unwrap();
    let wanted: BTreeSet<String> = create(&bed, &client, 30).await.into_iter().collect();
    create(&bed, &other, 10).await;
    client.start_with("task-1", StartOptions::new().force_execution()).await.unwrap().succeed().await.unwrap();
    let scanned: Vec<_> = client.scan(4, &[]).try_collect().await.unwrap();
    let found: BTreeSet<String> = scanned.iter().map(|record| record.id.as_str().to_owned()).collect();
    assert_eq!((scanned.len(), found), (30, wanted));
    assert!(scanned.iter().all(|record| record.id.namespace() == "test"));
    let done: Vec<_> = client.scan(1, &[Status::Succeeded]).try_collect().await.unwrap();
    assert_eq!((done.len(), done[0].id.as_str()), (1, "task-1"));
    assert_eq!(other.stats().await.unwrap().pending, 10);
}

async fn shards_can_be_raised(bed: Bed) {
    let few = table(&bed);
    let wanted: BTreeSet<String> = create(&bed, &few, 30).await.into_iter().collect();
    let many = bed.builder::<Value>().index(16).build().unwrap();
    assert!(!many.create_table().await.unwrap());
    for number in 30..60 {
        many.create(format!("task-{number}").as_str()).await.unwrap();
    }
    // Who looks from now on finds all, whatever it was built with; and what moves goes to where it belongs now.
    let stale = indexed::<Value>(&bed);
    for client in [&stale, &many] {
        let found: Vec<TaskRef> = client.query_stream(Query::new()).try_collect().await.unwrap();
        let found: BTreeSet<String> = ids(&found).into_iter().collect();
        assert!(found.len() == 60 && found.is_superset(&wanted));
    }
    bed.clock.advance(Duration::from_secs(100));
    for number in 0..60 {
        drop(many.start(format!("task-{number}")).await.unwrap());
    }
    assert_eq!(stale.stats().await.unwrap().in_progress, 60);
    // It never goes down.
    few.create_table().await.unwrap();
    assert_eq!(indexed::<Value>(&bed).stats().await.unwrap().in_progress, 60);
}

async fn an_older_table_gets_the_index(bed: Bed) {
    // DynamoDB Local never comes to the end of adding an index once it has had many tables.
    let bed = bed.on_a_server_of_its_own().await;
    let table = format!("{}-older", bed.table);
    let before = bed.builder::<Value>().table(&table).build().unwrap();
    before.create_table().await.unwrap();
    let wanted = create(&bed, &before, 25).await;
    let lease = before.start_with("task-3", StartOptions::new().force_execution()).await.unwrap();
    lease.succeed().await.unwrap();
    let client = bed.builder::<Value>().table(&table).index(SHARDS).build().unwrap();
    let error = client.query(&Query::new(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TableNotFound);
    assert!(error.to_string().contains("has no index; create_table adds it"), "{error}");
    assert!(!client.create_table().await.unwrap());
    let mut cursor = None;
    let (mut filled, mut right, mut pages) = (0, 0, 0);
    loop {
        let page = client.reindex(cursor.as_deref(), 7).await.unwrap();
        filled += page.filled;
        right += page.right;
        pages += 1;
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert!((filled, right) == (24, 1) && pages > 1, "{filled} filled, {right} right, {pages} pages");
    let found = client.query(&Query::new(), None).await.unwrap();
    assert_eq!(found.items.len(), 24);
    assert!(found.items.iter().all(|task| wanted.contains(&task.id.as_str().to_owned())));
    // Again, it has nothing to do.
    let page = client.reindex(None, 1000).await.unwrap();
    assert_eq!((page.filled, page.right, page.cursor), (0, 25, None));
}

async fn without_an_index_it_says_so(bed: Bed) {
    let client = bed.client::<()>();
    let error = client.query(&Query::new(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("keeps no index"), "{error}");
    let client = table::<()>(&bed);
    let error = client.query(&Query::new().status(Status::Succeeded), None).await.unwrap_err();
    assert!(error.to_string().contains("index_succeeded"), "{error}");
    let error = bed.builder::<()>().index(0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

async fn a_stage_finds_what_the_one_before_has_done(bed: Bed) {
    let first = StatusSet::default().index_succeeded();
    let states = [(100, "a"), (110, "b"), (120, "c"), (130, "d"), (140, "e"), (150, "f")];
    let second = StatusSet::new(states).unwrap().after(&first).unwrap();
    let one = bed.builder::<()>().index(SHARDS).statuses(first).build().unwrap();
    let two = bed.builder::<()>().index(SHARDS).statuses(second).build().unwrap();
    one.create_table().await.unwrap();
    one.start("t").await.unwrap().succeed().await.unwrap();
    assert_eq!(one.stats().await.unwrap().succeeded, Some(1));
    let ready = two.query(&Query::new().status(Status::Other(40)), None).await.unwrap();
    assert_eq!(ids(&ready.items), ["t"]);
    two.start("t").await.unwrap().succeed().await.unwrap();
    assert_eq!(one.stats().await.unwrap().succeeded, Some(0));
}

/// A client that keeps the index, and what its requests cost.
fn metered(bed: &Bed) -> (TrackerClient<Value>, Meter) {
    let meter = Meter::default();
    let sdk = aws_sdk_dynamodb::Client::from_conf(bed.sdk_config().interceptor(meter.clone()).build());
    let client = TrackerClient::<Value>::builder(sdk).table(&bed.table).namespace("test");
    let client = client.clock(bed.clock.clone()).index(SHARDS).build().unwrap();
    (client, meter)
}

async fn the_index_costs_what_the_docs_say(bed: Bed) {
    let (client, meter) = metered(&bed);
    client.create_table().await.unwrap();
    meter.forget();
    client.create("t").await.unwrap();
    let clock = bed.clock.clone();
    let work = |mut lease: dynamo_tracker::Lease<Value>| async move {
        clock.advance(Duration::from_secs(1));
        Ok(lease.mark_as_in_progress().await?)
    };
    bed.clock.advance(Duration::from_secs(2));
    client.run("t", StartOptions::new(), work).await.unwrap();
    client.run("fresh", StartOptions::new(), |_| async { Ok(()) }).await.unwrap();
    println!("create, start, extension, success; fresh start and success: {:?}", meter.units());
    assert_eq!(meter.units(), [2.0, 3.0, 3.0, 2.0, 2.0, 2.0]);
}

async fn all_due_at_once_is_due_for_every_clock(bed: Bed) {
    let client = table::<()>(&bed);
    client.create("t").await.unwrap();
    // A worker whose clock is behind by as much as the skew allows.
    let now = bed.clock.now() - TimeDelta::seconds(1);
    client.start_with("t", StartOptions::new().now(now)).await.unwrap().fail("x").await.unwrap();
    drop(client.start_with("t", StartOptions::new().now(now)).await.unwrap());
}

async fn what_is_due_costs_what_is_due(bed: Bed) {
    let (client, meter) = metered(&bed);
    let later = |number: usize| NewTask::new(format!("later-{number}")).due(bed.clock.now() + TimeDelta::days(1));
    create(&bed, &client, 20).await;
    // The first request also reads how many shards there are.
    client.query(&Query::new(), None).await.unwrap();
    let mut costs = Vec::new();
    let mut there = 0;
    for many in [100, if cfg!(debug_assertions) { 1_000 } else { 20_000 }] {
        client.create_many(futures_util::stream::iter((there..many).map(later)), 16).await.unwrap();
        there = many;
        meter.forget();
        let due = Query::new().due_by(bed.clock.now() + TimeDelta::hours(1));
        assert_eq!(client.query(&due, None).await.unwrap().items.len(), 20);
        costs.push(meter.units().iter().sum::<f64>());
    }
    println!("what is due, among 100 tasks that are not, and among {there}: {costs:?} read units");
    assert!(costs[0] > 0.0 && costs[0] == costs[1], "{costs:?}");
}

async fn a_task_that_is_seen_twice_is_read_once(bed: Bed) {
    let client = table(&bed);
    create(&bed, &client, 3).await;
    let found = client.query(&Query::new(), None).await.unwrap();
    let twice = found.items.iter().chain(&found.items).map(|task| task.id.clone());
    let records = client.load_many(twice).await.unwrap();
    assert_eq!(records.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), ["task-0", "task-1", "task-2"]);
}

async fn another_stage_leaves_what_it_does_not_know_in_its_place(bed: Bed) {
    let first = StatusSet::default().index_succeeded();
    let states = [(100, "a"), (110, "b"), (120, "c"), (130, "d"), (140, "e"), (150, "f")];
    let second = StatusSet::new(states).unwrap().after(&first).unwrap();
    let one = bed.builder::<()>().index(SHARDS).statuses(first).build().unwrap();
    let two = bed.builder::<()>().index(SHARDS).statuses(second).build().unwrap();
    one.start("done").await.unwrap().succeed().await.unwrap();
    let _running = one.start("running").await.unwrap();
    let before = (place(&bed, "done").await, place(&bed, "running").await);
    let page = two.reindex(None, 100).await.unwrap();
    assert_eq!((page.filled, page.right), (0, 2));
    assert_eq!((place(&bed, "done").await, place(&bed, "running").await), before);
    let mut record = two.load("done").await.unwrap().unwrap();
    two.dump(&mut record).await.unwrap();
    two.unlock(&two.load("running").await.unwrap().unwrap()).await.unwrap();
    assert_eq!((place(&bed, "done").await, place(&bed, "running").await), before);
}

async fn a_missing_permission_is_no_missing_index(bed: Bed) {
    let client = table::<()>(&bed);
    client.stats().await.unwrap();
    bed.http.plan([Fault::Denied; 50]);
    let error = client.query(&Query::new(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
}

async fn an_item_that_can_not_be_read_does_not_stop_a_reindex(bed: Bed) {
    let client = table(&bed);
    create(&bed, &client, 3).await;
    bed.set("task-1", "attempts", AttributeValue::S("many".to_owned())).await;
    let page = client.reindex(None, 100).await.unwrap();
    assert_eq!((page.filled, page.right, page.unreadable), (0, 2, 1));
}
