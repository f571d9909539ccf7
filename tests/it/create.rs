//! Creating, loading, deleting.

use std::time::Duration;

use chrono::TimeDelta;
use dynamo_tracker::{Clock, ErrorKind, NewTask, Status, StatusSet};
use serde_json::{Value, json};

use crate::bed::Bed;

crate::tests![
    a_created_task_reads_back_equal,
    an_existing_task_is_never_overwritten,
    an_absent_task_is_none,
    a_task_may_have_any_id,
    bad_ids_are_refused_before_any_request,
    a_task_is_deleted_as_it_was_seen,
    an_expired_task_is_as_good_as_gone,
    an_expired_task_can_be_created_anew,
    a_due_time_holds_a_task_back,
    codes_of_your_own_are_stored,
];

async fn a_created_task_reads_back_equal(bed: Bed) {
    let client = bed.client::<Value>();
    let data = json!({"file": "a.csv", "parts": [1, 2.5, null, true], "é": "💶"});
    let created = client.create(NewTask::new("t").data(data.clone())).await.unwrap();
    let loaded = client.load("t").await.unwrap().unwrap();
    assert_eq!(created, loaded);
    assert_eq!(loaded.data, data);
    assert_eq!((loaded.status, loaded.attempts, loaded.generation, loaded.max_attempts), (Status::Pending, 0, 0, 3));
    assert_eq!((loaded.create_time, loaded.update_time), (bed.clock.now(), bed.clock.now()));
    assert_eq!((loaded.lock, loaded.due_time, loaded.expire_at, loaded.errors), (None, None, None, vec![]));
}

async fn an_existing_task_is_never_overwritten(bed: Bed) {
    let client = bed.client::<Value>();
    client.create(NewTask::new("t").data(json!(1))).await.unwrap();
    let error = client.create(NewTask::new("t").data(json!(2))).await.unwrap_err();
    assert!(error.is_already_exists());
    assert!(error.to_string().contains(r#"task "test#t": it exists already, and is pending"#), "{error}");
    assert_eq!(error.tracker_as::<Value>().unwrap().unwrap().data, json!(1));
    assert_eq!(client.load("t").await.unwrap().unwrap().data, json!(1));
}

async fn an_absent_task_is_none(bed: Bed) {
    assert_eq!(bed.client::<()>().load("nobody").await.unwrap(), None);
}

async fn a_task_may_have_any_id(bed: Bed) {
    let client = bed.client::<()>();
    for id in ["🦀", "a#b#c", "\u{0}\u{1b}[31m", " ", "x".repeat(2043).as_str()] {
        client.run(id, Default::default(), |_| async { Ok(()) }).await.unwrap();
        assert_eq!(client.load(id).await.unwrap().unwrap().id.as_str(), id);
    }
}

async fn bad_ids_are_refused_before_any_request(bed: Bed) {
    let client = bed.client::<()>();
    for id in ["", "x".repeat(2044).as_str()] {
        assert_eq!(client.start(id).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert_eq!(client.load(id).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert_eq!(client.create(id).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(bed.http.sent(), Vec::<String>::new());
}

async fn a_task_is_deleted_as_it_was_seen(bed: Bed) {
    let client = bed.client::<Value>();
    let created = client.create(NewTask::new("t").data(json!("x"))).await.unwrap();
    let lease = client.start("t").await.unwrap();
    assert_eq!(client.delete(&created).await.unwrap_err().kind(), ErrorKind::Changed, "somebody works on it now");
    let done = lease.succeed().await.unwrap();
    client.delete(&client.load("t").await.unwrap().unwrap()).await.unwrap();
    assert_eq!(client.load("t").await.unwrap(), None);
    assert_eq!(client.delete(&done).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn an_expired_task_is_as_good_as_gone(bed: Bed) {
    let client = bed.builder::<Value>().retention(Duration::from_secs(3600)).build().unwrap();
    let mut lease = client.start("t").await.unwrap();
    lease.set_data(json!("old")).unwrap();
    let done = lease.succeed().await.unwrap();
    assert_eq!(done.expire_at, Some(bed.clock.now() + TimeDelta::hours(1)));

    bed.clock.advance(Duration::from_secs(3599));
    assert!(client.start("t").await.unwrap_err().is_already_succeeded());
    assert!(client.load("t").await.unwrap().is_some());

    bed.clock.advance(Duration::from_secs(1));
    assert_eq!(client.load("t").await.unwrap(), None);
    let lease = client.start("t").await.unwrap();
    assert_eq!((lease.attempt(), lease.generation()), (1, 2), "a new task, whose generation goes on counting");
    assert_eq!(lease.data(), &Value::Null);
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.create_time, record.expire_at, record.last_lock), (bed.clock.now(), None, None));
}

async fn an_expired_task_can_be_created_anew(bed: Bed) {
    let client = bed.builder::<Value>().retention(Duration::from_secs(10)).build().unwrap();
    let mut lease = client.start("t").await.unwrap();
    lease.set_data(json!("old")).unwrap();
    lease.succeed().await.unwrap();
    bed.set("t", "note", Bed::key("theirs")).await;
    bed.clock.advance(Duration::from_secs(9));
    assert!(client.create("t").await.unwrap_err().is_already_exists());
    bed.clock.advance(Duration::from_secs(1));
    let created = client.create(NewTask::new("t").data(json!("new"))).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap(), created);
    assert_eq!((created.status, created.generation, created.expire_at), (Status::Pending, 1, None));
    assert_eq!(client.start("t").await.unwrap().generation(), 2, "the generation goes on counting");
}

async fn a_due_time_holds_a_task_back(bed: Bed) {
    let client = bed.client::<()>();
    let due = bed.clock.now() + TimeDelta::milliseconds(1500);
    client.create(NewTask::new("t").due(due)).await.unwrap();
    let error = client.start("t").await.unwrap_err();
    assert!(error.is_not_due() && error.is_temporary());
    assert!(error.to_string().contains("not due until 2100-01-01T00:00:01.500Z"), "{error}");
    bed.clock.advance(Duration::from_millis(1500));
    client.start("t").await.unwrap().succeed().await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap().due_time, None);
}

async fn codes_of_your_own_are_stored(bed: Bed) {
    let statuses = [(7, "new"), (1, "busy"), (2, "failed"), (3, "dead"), (4, "done"), (5, "skipped")];
    let client = bed.builder::<()>().statuses(StatusSet::new(statuses).unwrap()).build().unwrap();
    client.run("t", Default::default(), |_| async { Ok(()) }).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap().status, Status::Succeeded);
    assert_eq!(bed.client::<()>().load("t").await.unwrap().unwrap().status, Status::Other(4));
}
