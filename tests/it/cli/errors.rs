//! What goes wrong, in plain words, and with its exit code.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use super::{on, program, said};
use crate::bed::Bed;
use crate::bed::http::Fault;
use crate::bed::proxy::Proxy;

crate::tests![
    bad_usage_is_64,
    an_item_that_can_not_be_read_is_65,
    what_is_not_there_is_66,
    what_can_not_be_reached_is_69,
    aws_without_credentials_or_region_says_so,
    the_causes_are_told_to_who_asks,
    table_and_namespace_are_asked_for,
];

async fn bad_usage_is_64(bed: Bed) {
    let lock = "0cdaa83b-4b7c-466b-ae3a-b5f58da5ab09";
    let bad: [&[&str]; 17] = [
        &[],
        &["nonsense"],
        &["show"],
        &["show", "a", "b"],
        &["show", ""],
        &["create", "a", "--data", "{"],
        &["create"],
        &["create", "a", "--from", "-"],
        &["start", "a", "--lease", "5"],
        &["start", "a", "--lease", "1ms"],
        &["start", "a", "--max-attempts", "0"],
        &["create", "a", "--data", "1e-200"],
        &["create", "a", "--data", "{\"\": 1}"],
        &["run", "a", "--wait", "500000000000y", "--", "true"],
        &["run", "a", "--grace", "18446744073709551615s", "--", "true"],
        &["succeed", "a", "--lock", "7"],
        &["fail", "a", "--lock", lock, "--error", ""],
    ];
    for args in bad {
        let said = bed.cli(args).await.exits(64);
        assert!(said.out.is_empty() && !said.err.is_empty(), "{args:?}: {said:?}");
    }
    let said = bed.cli(["show", "--json"]).await.exits(64);
    assert_eq!(said.error()["error"], "invalid_argument");
    let said = bed.cli(["--json", "start", "a", "--lease", "1ms"]).await.exits(64);
    assert!(said.error()["message"].as_str().unwrap().contains("skew"), "{said:?}");
    let said = bed.cli(["--endpoint-url", "http://127.0.0.1:1", "--embedded", "x", "show", "a"]).await.exits(64);
    assert!(said.err.contains("cannot be used with"), "{said:?}");
}

async fn an_item_that_can_not_be_read_is_65(bed: Bed) {
    bed.cli(["create", "t"]).await.exits(0);
    bed.set("t", "attempts", AttributeValue::S("many".to_owned())).await;
    for command in [vec!["show", "t"], vec!["redrive", "t"], vec!["start", "t"]] {
        let said = bed.cli(command.into_iter().chain(["--json"])).await.exits(65);
        assert_eq!(said.error()["error"], "unreadable");
    }
    // Data that JSON has no form for is shown as the nearest.
    bed.cli(["create", "u"]).await.exits(0);
    let data = [
        ("bytes".to_owned(), AttributeValue::B(vec![1, 2, 255].into())),
        ("set".to_owned(), AttributeValue::Ns(vec!["7".to_owned()])),
        ("none".to_owned(), AttributeValue::Null(true)),
    ];
    bed.set("u", "data", AttributeValue::M(data.into())).await;
    let data = json!({"bytes": "AQL/", "set": [7], "none": null});
    assert_eq!(bed.cli(["show", "u", "--json"]).await.exits(0).json()["data"], data);
}

async fn what_is_not_there_is_66(bed: Bed) {
    let said = bed.cli(["show", "t", "--json"]).await.exits(66);
    assert_eq!((&said.error()["error"], said.out.as_str()), (&json!("not_found"), ""));
    let said = super::said(on(&bed.endpoint, "no-such-table").args(["show", "t"])).await.exits(66);
    assert!(
        said.err.contains("there is no table \"no-such-table\"") && said.err.contains("`dynamo-tracker init`"),
        "{said:?}"
    );
    let said =
        super::said(on(&bed.endpoint, "no-such-table").args(["run", "t", "--json", "--", "true"])).await.exits(66);
    assert_eq!(said.error()["error"], "table_not_found");
}

async fn what_can_not_be_reached_is_69(bed: Bed) {
    let proxy = Proxy::before(&bed.endpoint).await;
    let refused = [
        (Fault::Denied, "access_denied"),
        (Fault::LostRequest, "unreachable"),
        (Fault::Throttled, "throttled"),
        (Fault::Failed, "unreachable"),
    ];
    for (fault, kind) in refused {
        proxy.plan(vec![fault; 100]);
        // As long as a lease is of use, and no longer.
        let command = ["start", "t", "--lease", "1100ms", "--json"];
        let said = said(on(&proxy.endpoint, &bed.table).args(command)).await.exits(69);
        assert_eq!((&said.error()["error"], said.out.as_str()), (&json!(kind), ""), "{fault:?}");
    }
    proxy.plan([Fault::Denied]);
    let said = said(on(&proxy.endpoint, &bed.table).args(["start", "t"])).await.exits(69);
    assert!(said.err.contains("dynamodb:UpdateItem"), "it says which permission: {said:?}");
}

async fn aws_without_credentials_or_region_says_so(bed: Bed) {
    let mut command = program();
    command.envs([("DYNAMO_TRACKER_TABLE", "tasks"), ("DYNAMO_TRACKER_NAMESPACE", "n"), ("AWS_REGION", "us-east-1")]);
    let told = said(command.args(["show", "a", "--endpoint-url", &bed.endpoint])).await.exits(69);
    assert!(told.err.contains("there are no AWS credentials; set AWS_PROFILE"), "{told:?}");
    let mut command = program();
    command.envs([("DYNAMO_TRACKER_TABLE", "tasks"), ("DYNAMO_TRACKER_NAMESPACE", "n")]);
    command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
    let told = said(command.args(["show", "a"])).await.exits(64);
    assert!(told.err.contains("no AWS region is set; set AWS_REGION"), "{told:?}");
}

async fn the_causes_are_told_to_who_asks(bed: Bed) {
    let proxy = Proxy::before(&bed.endpoint).await;
    for (verbose, told) in [(vec![], false), (vec!["-v"], true)] {
        proxy.plan([Fault::Denied]);
        let said = said(on(&proxy.endpoint, &bed.table).args(verbose).args(["start", "t"])).await.exits(69);
        assert_eq!(said.err.contains("caused by: service error"), told, "{said:?}");
        assert_eq!(said.err.contains("AWS request id: REQUEST-4711"), told, "{said:?}");
    }
    let said = bed.cli(["-vv", "start", "t"]).await.exits(0);
    assert!(said.err.contains("took the task"), "{said:?}");
}

async fn table_and_namespace_are_asked_for(bed: Bed) {
    let mut command = bed.program();
    let told = said(command.env_remove("DYNAMO_TRACKER_TABLE").args(["show", "a"])).await.exits(64);
    assert!(told.err.contains("--table, or set DYNAMO_TRACKER_TABLE"), "{told:?}");
    let mut command = bed.program();
    let told = said(command.env_remove("DYNAMO_TRACKER_NAMESPACE").args(["show", "a", "--json"])).await.exits(64);
    assert!(told.error()["message"].as_str().unwrap().contains("--namespace"), "{told:?}");
    // What is passed comes before what is set.
    let created = bed.cli(["create", "a", "--namespace", "other", "--json"]).await.exits(0).json();
    assert_eq!(created["namespace"], "other");
    assert_eq!(bed.cli(["show", "a"]).await.exit, 66);
}
