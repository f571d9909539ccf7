//! The original's way: change the record in memory, then write it whole.

use std::time::Duration;

use dynamo_tracker::{Clock, ErrorKind, Status, TaskId, Tracker};

use crate::bed::Bed;

crate::tests![
    a_record_is_locked_in_memory_and_dumped,
    of_two_who_loaded_one_dumps,
    a_dump_overwrites_no_outcome,
    a_new_record_is_dumped_once,
];

async fn a_record_is_locked_in_memory_and_dumped(bed: Bed) {
    let client = bed.client::<u32>();
    client.create("t").await.unwrap();
    let mut record = client.load("t").await.unwrap().unwrap();
    let token = record.lock_it(bed.clock.now(), Duration::from_secs(60));
    record.status = Status::InProgress;
    record.attempts += 1;
    record.data = 7;
    client.dump(&mut record).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap(), record);
    assert!(client.start("t").await.unwrap_err().is_locked());
    record.unlock_it();
    record.status = Status::Succeeded;
    client.dump(&mut record).await.unwrap();
    let stored = client.load("t").await.unwrap().unwrap();
    assert_eq!((stored.lock, stored.last_lock, stored.status, stored.data), (None, Some(token), Status::Succeeded, 7));
}

async fn of_two_who_loaded_one_dumps(bed: Bed) {
    let client = bed.client::<()>();
    client.create("t").await.unwrap();
    let mut first = client.load("t").await.unwrap().unwrap();
    let mut second = client.load("t").await.unwrap().unwrap();
    first.lock_it(bed.clock.now(), Duration::from_secs(60));
    second.lock_it(bed.clock.now(), Duration::from_secs(60));
    client.dump(&mut first).await.unwrap();
    let error = client.dump(&mut second).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
    assert_eq!(error.tracker().unwrap().lock, first.lock);
    assert_eq!(client.load("t").await.unwrap().unwrap(), first);
}

async fn a_dump_overwrites_no_outcome(bed: Bed) {
    let client = bed.client::<()>();
    let lease = client.start("t").await.unwrap();
    let mut seen = client.load("t").await.unwrap().unwrap();
    let done = lease.succeed().await.unwrap();
    seen.status = Status::Failed;
    assert_eq!(client.dump(&mut seen).await.unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(client.load("t").await.unwrap().unwrap(), done);
}

async fn a_new_record_is_dumped_once(bed: Bed) {
    let client = bed.client::<u32>();
    let id = TaskId::new("test", "t").unwrap();
    let mut record = Tracker::new(id, 5, 3, bed.clock.now());
    let mut twin = record.clone();
    client.dump(&mut record).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap(), record);
    assert_eq!(client.dump(&mut twin).await.unwrap_err().kind(), ErrorKind::Changed);
    bed.clock.advance(Duration::from_secs(1));
    client.dump(&mut record).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap().update_time, bed.clock.now());
}
