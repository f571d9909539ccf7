//! `run ID -- COMMAND`.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use dynamo_tracker::{Status, Tracker};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::lease::start;
use super::terminal::Terminal;
use super::{finish, lines, on, said, until};
use crate::bed::Bed;
use crate::bed::http::Fault;
use crate::bed::proxy::Proxy;

crate::tests![
    a_command_runs_once,
    it_costs_two_requests,
    its_output_becomes_the_data,
    output_that_is_no_good_does_not_undo_the_success,
    its_environment_says_what_it_works_on,
    large_data_comes_in_a_file,
    a_failure_keeps_exit_code_and_last_lines,
    a_signal_is_a_failure,
    without_capture_nothing_is_kept,
    a_command_that_is_not_there_is_fatal,
    retries_go_on_until_it_works,
    retries_end_with_the_attempts,
    a_locked_task_is_waited_for,
    the_wait_has_an_end,
    work_longer_than_its_lease_keeps_it,
    signals_are_passed_on,
    a_second_signal_kills,
    a_lost_lease_stops_the_command,
    a_command_that_does_not_stop_is_killed,
    lost_answers_do_no_harm,
    an_outcome_that_can_not_be_recorded_is_told,
    two_at_once_run_it_once,
    it_works_under_timeout_and_xargs,
    a_child_that_holds_the_stream_open_does_not_keep_it,
    arguments_and_output_need_not_be_text,
    streams_are_inherited,
    an_id_may_begin_with_a_dash,
    a_folder_that_can_not_be_made_costs_no_attempt,
    a_command_may_extend_its_own_lease,
    a_command_may_record_its_own_outcome,
    output_that_is_no_plain_file_is_left_alone,
    a_signal_ends_the_wait,
    a_signal_during_the_start_runs_nothing,
    what_was_ignored_stays_ignored,
    hanging_up_does_not_kill,
    the_end_of_what_it_wrote_is_kept_whoever_reads,
    a_lease_that_is_stolen_is_not_stolen_back,
    a_retry_that_comes_too_late_says_so,
    a_run_within_a_run_has_its_own_environment,
];

async fn load(bed: &Bed, id: &str) -> Tracker<Value> {
    bed.client().load(id).await.unwrap().unwrap()
}

async fn a_command_runs_once(bed: Bed) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("effects");
    let command = format!("echo done >> {}", file.display());
    for _ in 0..3 {
        bed.cli(["run", "t", "--", "sh", "-c", &command]).await.exits(0);
    }
    assert_eq!(lines(&file), ["done"]);
    let said = bed.cli(["run", "t", "--", "sh", "-c", &command]).await.exits(0);
    assert_eq!(said.out, "refused: already_succeeded\n");
    let said = bed.cli(["--json", "run", "u", "--", "echo", "hello"]).await.exits(0);
    assert_eq!((&said.json()["status"], &said.json()["attempts"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(said.err, "hello\n", "standard output is for the record alone");
}

async fn it_costs_two_requests(bed: Bed) {
    let proxy = Proxy::before(&bed.endpoint).await;
    said(on(&proxy.endpoint, &bed.table).args(["run", "t", "--", "true"])).await.exits(0);
    said(on(&proxy.endpoint, &bed.table).args(["run", "u", "--", "false"])).await.exits(1);
    assert_eq!(proxy.sent(), ["UpdateItem"; 4]);
    said(on(&proxy.endpoint, &bed.table).args(["run", "t", "--", "true"])).await.exits(0);
    assert_eq!(proxy.sent().len(), 5, "a refusal costs one");
}

async fn its_output_becomes_the_data(bed: Bed) {
    let outputs = [
        (r#"echo '{"rows": 3}' > "$DYNAMO_TRACKER_OUTPUT""#, json!({"rows": 3})),
        (r#"echo 1 > "$DYNAMO_TRACKER_OUTPUT"; echo '"two"' >> "$DYNAMO_TRACKER_OUTPUT""#, json!("two")),
        ("true", Value::Null),
    ];
    for (number, (command, data)) in outputs.into_iter().enumerate() {
        let said = bed.cli(["--json", "run", &format!("t{number}"), "--", "sh", "-c", command]).await.exits(0);
        assert_eq!(said.json()["data"], data);
        assert_eq!(load(&bed, &format!("t{number}")).await.data, data);
    }
    // Without output, the data that is there stays.
    bed.cli(["create", "kept", "--data", "7"]).await.exits(0);
    assert_eq!(bed.cli(["--json", "run", "kept", "--", "true"]).await.exits(0).json()["data"], 7);
}

async fn output_that_is_no_good_does_not_undo_the_success(bed: Bed) {
    let commands = [
        ("a", "echo nonsense > \"$DYNAMO_TRACKER_OUTPUT\"", "is no JSON"),
        ("b", "printf '\"%0500000d\"' 0 > \"$DYNAMO_TRACKER_OUTPUT\"", "400 KB"),
        ("c", "echo 1e-200 > \"$DYNAMO_TRACKER_OUTPUT\"", "too near to 0"),
        ("d", "echo '{\"a\": {\"\": 1}}' > \"$DYNAMO_TRACKER_OUTPUT\"", "an empty name"),
        (
            "e",
            "printf '%040d%040d' 0 0 | sed 's/^0*/[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]/' > \"$DYNAMO_TRACKER_OUTPUT\"",
            "32 levels",
        ),
    ];
    for (id, command, why) in commands {
        let said = bed.cli(["run", id, "--", "sh", "-c", command]).await.exits(0);
        assert!(said.err.contains(why) && said.err.contains("its data is not kept"), "{said:?}");
        assert_eq!((load(&bed, id).await.status, load(&bed, id).await.data), (Status::Succeeded, Value::Null));
    }
}

async fn its_environment_says_what_it_works_on(bed: Bed) {
    bed.cli(["create", "t", "--data", r#"{"a": 1}"#]).await.exits(0);
    let command = r#"echo "$DYNAMO_TRACKER_ID $DYNAMO_TRACKER_ATTEMPT $DYNAMO_TRACKER_GENERATION $DYNAMO_TRACKER_DATA $DYNAMO_TRACKER_NAMESPACE""#;
    let said = bed.cli(["run", "t", "--", "sh", "-c", command]).await.exits(0);
    assert_eq!(said.out, "t 1 1 {\"a\":1} test\n");
    // With its lock, the command can use the program on its own task.
    let program = env!("CARGO_BIN_EXE_dynamo-tracker");
    let command = format!("{program} --json heartbeat \"$DYNAMO_TRACKER_ID\" --lock \"$DYNAMO_TRACKER_LOCK\"");
    let said = bed.cli(["run", "u", "--", "sh", "-c", &command]).await.exits(0);
    assert_eq!((&said.json()["id"], &said.json()["step"]), (&json!("u"), &json!(1)));
}

async fn large_data_comes_in_a_file(bed: Bed) {
    let text = "x".repeat(200_000);
    bed.client::<Value>().create(dynamo_tracker::NewTask::new("t").data(json!(text))).await.unwrap();
    let command = r#"test -z "$DYNAMO_TRACKER_DATA" && wc -c < "$DYNAMO_TRACKER_DATA_FILE""#;
    assert_eq!(bed.cli(["run", "t", "--", "sh", "-c", command]).await.exits(0).out.trim(), "200002");
}

async fn a_failure_keeps_exit_code_and_last_lines(bed: Bed) {
    let command = "for i in $(seq 30); do echo line $i >&2; done; exit 7";
    let said = bed.cli(["run", "t", "--", "sh", "-c", command]).await.exits(7);
    assert!(said.err.starts_with("line 1\nline 2\n") && said.err.contains("line 30\n"), "it is passed on: {said:?}");
    let errors = load(&bed, "t").await.errors;
    assert_eq!((errors[0].error_type.as_str(), errors[0].message.as_str()), ("ExitCode", "exit code 7"));
    let trace: Vec<_> = errors[0].trace.as_deref().unwrap().lines().collect();
    assert_eq!((trace.len(), trace[0], trace[19]), (20, "line 11", "line 30"));
    let said = bed.cli(["--json", "run", "t", "--", "sh", "-c", "exit 3"]).await.exits(3);
    assert_eq!((&said.json()["status"], &said.json()["attempts"]), (&json!("failed"), &json!(2)));
    bed.cli(["run", "t", "--", "false"]).await.exits(1);
    assert_eq!(load(&bed, "t").await.status, Status::Exhausted);
    bed.cli(["run", "t", "--", "true"]).await.exits(77);
}

async fn a_signal_is_a_failure(bed: Bed) {
    bed.cli(["run", "t", "--", "sh", "-c", "kill -KILL $$"]).await.exits(137);
    let errors = load(&bed, "t").await.errors;
    assert_eq!((errors[0].error_type.as_str(), errors[0].message.as_str()), ("Signal", "killed by signal 9 (SIGKILL)"));
}

async fn without_capture_nothing_is_kept(bed: Bed) {
    let said = bed.cli(["run", "t", "--no-capture", "--", "sh", "-c", "echo oops >&2; exit 1"]).await.exits(1);
    assert!(said.err.starts_with("oops\n"));
    assert_eq!(load(&bed, "t").await.errors[0].trace, None);
}

async fn a_command_that_is_not_there_is_fatal(bed: Bed) {
    for (id, command, exit, kind) in
        [("t", "no-such-command", 127, "CommandNotFound"), ("u", "/", 126, "CommandNotRunnable")]
    {
        bed.cli(["run", id, "--", command]).await.exits(exit);
        let record = load(&bed, id).await;
        assert_eq!(
            (record.status, record.attempts, record.errors[0].error_type.as_str()),
            (Status::Exhausted, 1, kind)
        );
    }
}

async fn retries_go_on_until_it_works(bed: Bed) {
    let command = r#"test "$DYNAMO_TRACKER_ATTEMPT" = 3 || exit 5"#;
    let retry = ["run", "t", "--retries", "5", "--backoff", "10ms", "--", "sh", "-c", command];
    let said = bed.cli(retry).await.exits(0);
    assert_eq!(said.err.matches("trying again in").count(), 2, "{said:?}");
    let record = load(&bed, "t").await;
    assert_eq!((record.status, record.attempts, record.errors.len()), (Status::Succeeded, 3, 2));
}

async fn retries_end_with_the_attempts(bed: Bed) {
    let retry = ["run", "t", "--retries", "9", "--backoff", "10ms", "--max-attempts", "2", "--", "sh", "-c", "exit 5"];
    bed.cli(retry).await.exits(5);
    assert_eq!((load(&bed, "t").await.status, load(&bed, "t").await.attempts), (Status::Exhausted, 2));
    bed.cli(["run", "u", "--retries", "1", "--backoff", "10ms", "--", "sh", "-c", "exit 5"]).await.exits(5);
    assert_eq!((load(&bed, "u").await.status, load(&bed, "u").await.attempts), (Status::Failed, 2));
}

async fn a_locked_task_is_waited_for(bed: Bed) {
    let lock = start(&bed, "t").await;
    let proxy = Proxy::before(&bed.endpoint).await;
    let mut waiting = on(&proxy.endpoint, &bed.table);
    let waiting =
        waiting.args(["run", "t", "--wait", "1m", "--", "true"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    until("it looks twice", async || proxy.sent().len() >= 2).await;
    bed.cli(["fail", "t", "--lock", &lock, "--error", "x"]).await.exits(0);
    finish(waiting).await.exits(0);
    assert_eq!((load(&bed, "t").await.status, load(&bed, "t").await.attempts), (Status::Succeeded, 2));
}

async fn the_wait_has_an_end(bed: Bed) {
    start(&bed, "t").await;
    let proxy = Proxy::before(&bed.endpoint).await;
    let begun = Instant::now();
    said(on(&proxy.endpoint, &bed.table).args(["run", "t", "--wait", "1s", "--", "true"])).await.exits(75);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(proxy.sent().len() <= 12, "no busy loop: {}", proxy.sent().len());
}

async fn work_longer_than_its_lease_keeps_it(bed: Bed) {
    let proxy = Proxy::before(&bed.endpoint).await;
    let command = ["run", "t", "--lease", "1500ms", "--", "sleep", "4"];
    said(on(&proxy.endpoint, &bed.table).args(command)).await.exits(0);
    assert!(proxy.sent().len() >= 2 + 4, "{:?}", proxy.sent());
    assert_eq!((load(&bed, "t").await.status, load(&bed, "t").await.attempts), (Status::Succeeded, 1));
}

/// Runs a command that says when it is ready.
fn ready(bed: &Bed, arguments: &[&str], command: &str) -> (Child, u32) {
    let mut program = bed.program();
    program.args(["run", "t"]).args(arguments).args(["--", "sh", "-c", command]);
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().unwrap())
}

pub(super) fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

async fn signals_are_passed_on(bed: Bed) {
    let command = "trap 'echo tidied >&2; exit 9' TERM; echo $$; while :; do sleep 0.05; done";
    let (child, _) = ready(&bed, &[], command);
    send(child.id(), Signal::TERM);
    let said = finish(child).await.exits(9);
    assert!(said.err.contains("tidied"), "{said:?}");
    assert_eq!(load(&bed, "t").await.errors[0].message, "exit code 9");
    // A command that does not mind them dies of it, and that is recorded.
    let (child, _) = ready(&bed, &["--retries", "5"], "echo $$; exec sleep 60");
    send(child.id(), Signal::INT);
    finish(child).await.exits(130);
    assert_eq!(load(&bed, "t").await.errors[1].message, "killed by signal 2 (SIGINT)", "and not tried again");
}

async fn a_second_signal_kills(bed: Bed) {
    let (child, _) = ready(&bed, &[], "trap '' TERM; echo $$; while :; do sleep 0.05; done");
    send(child.id(), Signal::TERM);
    let program = child.id();
    let ended = tokio::spawn(finish(child));
    // The first is ignored; how many come as one is not for us to say.
    while !ended.is_finished() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = kill_process(Pid::from_raw(program.try_into().unwrap()).unwrap(), Signal::TERM);
    }
    ended.await.unwrap().exits(137);
    assert_eq!(load(&bed, "t").await.errors[0].message, "killed by signal 9 (SIGKILL)");
}

async fn a_lost_lease_stops_the_command(bed: Bed) {
    let command = "trap 'echo tidied >&2; exit 0' TERM; echo $$; while :; do sleep 0.05; done";
    let (child, _) = ready(&bed, &["--lease", "1500ms"], command);
    bed.cli(["ignore", "t"]).await.exits(0);
    let said = finish(child).await.exits(70);
    assert!(said.err.contains("tidied") && said.err.contains("ignored now"), "{said:?}");
    assert_eq!(load(&bed, "t").await.status, Status::Ignored, "nothing was written");
}

async fn a_command_that_does_not_stop_is_killed(bed: Bed) {
    let command = "trap '' TERM; echo $$; while :; do sleep 0.05; done";
    let (child, pid) = ready(&bed, &["--lease", "1500ms", "--grace", "300ms"], command);
    bed.cli(["unlock", "t"]).await.exits(0);
    let said = finish(child).await.exits(70);
    assert!(said.err.contains("the lease is lost"), "{said:?}");
    assert!(!alive(pid));
}

fn alive(pid: u32) -> bool {
    rustix::process::test_kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap()).is_ok()
}

async fn lost_answers_do_no_harm(bed: Bed) {
    let proxy = Proxy::before(&bed.endpoint).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("effects");
    let command = format!("echo done >> {}", file.display());
    let faults = [Fault::LostAnswer, Fault::DoneButFailed, Fault::LostRequest, Fault::Throttled, Fault::Failed];
    for (number, fault) in faults.iter().enumerate() {
        let id = number.to_string();
        // The start meets it, and the outcome.
        proxy.plan([*fault, Fault::None, *fault]);
        said(on(&proxy.endpoint, &bed.table).args(["run", &id, "--", "sh", "-c", &command])).await.exits(0);
        let record = load(&bed, &id).await;
        assert_eq!((record.status, record.attempts, record.generation), (Status::Succeeded, 1, 1), "{fault:?}");
    }
    assert_eq!(lines(&file).len(), faults.len());
}

async fn an_outcome_that_can_not_be_recorded_is_told(bed: Bed) {
    let proxy = Proxy::before(&bed.endpoint).await;
    proxy.plan([Fault::None, Fault::Denied]);
    let said = said(on(&proxy.endpoint, &bed.table).args(["run", "t", "--json", "--", "true"])).await.exits(69);
    assert_eq!(said.error()["error"], "access_denied");
    assert!(said.error()["message"].as_str().unwrap().contains("the work is done"), "{said:?}");
    assert_eq!(load(&bed, "t").await.status, Status::InProgress);
}

async fn two_at_once_run_it_once(bed: Bed) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("effects");
    let command = format!("echo done >> {}; sleep 0.2", file.display());
    let racers = (0..6).map(|_| {
        let mut racer = bed.program();
        racer.args(["run", "t", "--", "sh", "-c", &command]);
        finish(racer.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    });
    let mut exits: Vec<_> = futures_util::future::join_all(racers).await.iter().map(|said| said.exit).collect();
    exits.sort_unstable();
    assert_eq!(lines(&file), ["done"]);
    assert!(exits[0] == 0 && exits.iter().all(|exit| [0, 75].contains(exit)), "{exits:?}");
}

async fn it_works_under_timeout_and_xargs(bed: Bed) {
    let program = env!("CARGO_BIN_EXE_dynamo-tracker");
    let shell = |command: String| {
        let mut shell = std::process::Command::new("sh");
        shell.env_clear().args(["-c", &command]);
        for (name, value) in bed.program().get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        shell.stdin(Stdio::null());
        shell
    };
    let out_of_time = shell(format!("timeout 1 {program} run t -- sh -c 'sleep 60'; echo $?"));
    let mut out_of_time = out_of_time;
    assert_eq!(said(&mut out_of_time).await.out, "124\n");
    assert_eq!(load(&bed, "t").await.errors[0].message, "killed by signal 15 (SIGTERM)");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("effects");
    // Each id twice, four at a time, standard input closed.
    let each = format!("{program} run {{}} --wait 1m -- sh -c 'echo {{}} >> {}'", file.display());
    let mut many =
        shell(format!("for i in 1 2 3 4 5 1 2 3 4 5; do echo $i; done | xargs -P 4 -I{{}} sh -c \"exec <&-; {each}\""));
    said(&mut many).await.exits(0);
    let mut done = lines(&file);
    done.sort();
    assert_eq!(done, ["1", "2", "3", "4", "5"]);
}

async fn a_child_that_holds_the_stream_open_does_not_keep_it(bed: Bed) {
    let begun = Instant::now();
    bed.program()
        .args(["run", "t", "--", "sh", "-c", "sleep 30 & exit 4"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(load(&bed, "t").await.errors[0].message, "exit code 4");
}

async fn arguments_and_output_need_not_be_text(bed: Bed) {
    let folder = TempDir::new().unwrap();
    let name = OsStr::from_bytes(b"caf\xe9 \xff");
    fs::File::create(folder.path().join(name)).unwrap().write_all(b"\xfe\xff\n").unwrap();
    let mut program = bed.program();
    program.current_dir(folder.path()).args(["run", "t", "--"]).args([OsStr::new("cat"), name]);
    let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), b"\xfe\xff\n".as_slice()));
    let mut program = bed.program();
    program.args(["run", "u", "--", "sh", "-c"]).arg(OsStr::from_bytes(b"printf 'caf\xe9\\n' >&2; exit 2"));
    said(&mut program).await.exits(2);
    assert_eq!(load(&bed, "u").await.errors[0].trace.as_deref(), Some("caf\u{fffd}"));
    let mut program = bed.program();
    said(program.arg("show").arg(name)).await.exits(64);
}

async fn streams_are_inherited(bed: Bed) {
    let mut program = bed.program();
    program.args(["run", "t", "--", "tr", "a-z", "A-Z"]).stdin(Stdio::piped());
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    assert_eq!(finish(child).await.exits(0).out, "HELLO\n");
    let terminal = Terminal::open(80);
    let child = terminal.spawn(bed.program().args([
        "run",
        "u",
        "--no-capture",
        "--",
        "sh",
        "-c",
        "test -t 0 && test -t 1 && test -t 2",
    ]));
    terminal.finish(child).await.exits(0);
}

async fn an_id_may_begin_with_a_dash(bed: Bed) {
    bed.cli(["run", "--", "-x", "--", "true"]).await.exits(0);
    assert_eq!(load(&bed, "-x").await.status, Status::Succeeded);
    for bad in [vec!["run", "t"], vec!["run", "--", "true"], vec!["run", "t", "--"]] {
        bed.cli(bad).await.exits(64);
    }
}

/// The program as a shell's command, with the environment of `bed`'s.
fn shell(bed: &Bed, command: &str) -> std::process::Command {
    let mut shell = std::process::Command::new("sh");
    shell.env_clear().args(["-c", command]).stdin(Stdio::null());
    for (name, value) in bed.program().get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell.env("P", env!("CARGO_BIN_EXE_dynamo-tracker"));
    shell
}

async fn a_folder_that_can_not_be_made_costs_no_attempt(bed: Bed) {
    let told = said(bed.program().env("TMPDIR", "/nowhere").args(["run", "t", "--", "true"])).await.exits(64);
    assert!(told.err.contains("can't make a folder"), "{told:?}");
    assert!(bed.client::<()>().load("t").await.unwrap().is_none());
}

async fn a_command_may_extend_its_own_lease(bed: Bed) {
    // Its heartbeats and ours use the same numbers; it shortens the lease, and we must notice.
    let command = r#"for i in 1 2 3; do "$P" heartbeat t --lock "$DYNAMO_TRACKER_LOCK" --lease 1500ms >/dev/null || exit 9; sleep 1; done
        "$P" run t -- true; test $? = 75"#;
    let told = said(&mut shell(&bed, &format!("\"$P\" run t --lease 3s -- sh -c '{command}'"))).await;
    told.exits(0);
    assert_eq!((load(&bed, "t").await.status, load(&bed, "t").await.attempts), (Status::Succeeded, 1));
}

async fn a_command_may_record_its_own_outcome(bed: Bed) {
    let done = r#""$P" --json run t -- sh -c '"$P" succeed t --lock "$DYNAMO_TRACKER_LOCK" --data 5 >/dev/null'"#;
    let told = said(&mut shell(&bed, done)).await.exits(0).json();
    assert_eq!((&told["status"], &told["data"]), (&json!("succeeded"), &json!(5)));
    let failed =
        r#""$P" run u -- sh -c '"$P" fail u --lock "$DYNAMO_TRACKER_LOCK" --fatal --error no >/dev/null; exit 3'"#;
    said(&mut shell(&bed, failed)).await.exits(3);
    assert_eq!((load(&bed, "u").await.status, load(&bed, "u").await.errors.len()), (Status::Exhausted, 1));
}

async fn output_that_is_no_plain_file_is_left_alone(bed: Bed) {
    let commands = [
        ("a", "mkfifo \"$DYNAMO_TRACKER_OUTPUT\"", "no plain file"),
        ("b", "mkdir \"$DYNAMO_TRACKER_OUTPUT\"", "no plain file"),
        ("c", "ln -s /dev/zero \"$DYNAMO_TRACKER_OUTPUT\"", "no plain file"),
        ("d", "truncate -s 5G \"$DYNAMO_TRACKER_OUTPUT\"", "over 1 MB"),
    ];
    for (id, command, why) in commands {
        let said = bed.cli(["run", id, "--", "sh", "-c", command]).await.exits(0);
        assert!(said.err.contains(why), "{said:?}");
        assert_eq!(load(&bed, id).await.status, Status::Succeeded);
    }
}

async fn a_signal_ends_the_wait(bed: Bed) {
    let lock = start(&bed, "t").await;
    let proxy = Proxy::before(&bed.endpoint).await;
    let mut waiting = on(&proxy.endpoint, &bed.table);
    waiting.args(["run", "t", "--wait", "1m", "--", "true"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    until("it waits", async || !proxy.sent().is_empty()).await;
    send(waiting.id(), Signal::TERM);
    let told = finish(waiting).await.exits(143);
    assert!(told.err.contains("asked to end before the command was run"), "{told:?}");
    bed.cli(["succeed", "t", "--lock", &lock]).await.exits(0);
}

async fn a_signal_during_the_start_runs_nothing(bed: Bed) {
    let proxy = Proxy::before(&bed.endpoint).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("effects");
    let command = format!("echo done >> {}", file.display());
    // The answer comes late: the lock is given back. It never comes: nobody waits for it.
    for (id, fault) in [("t", Fault::Late), ("u", Fault::NoAnswer)] {
        proxy.plan(vec![fault; 50]);
        let seen = proxy.sent().len();
        let mut program = on(&proxy.endpoint, &bed.table);
        program.args(["run", id, "--", "sh", "-c", &command]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = program.spawn().unwrap();
        until("it starts", async || proxy.sent().len() > seen).await;
        let begun = Instant::now();
        send(child.id(), Signal::TERM);
        finish(child).await.exits(143);
        assert!(begun.elapsed() < Duration::from_secs(8), "{fault:?}");
    }
    assert_eq!((load(&bed, "t").await.status, load(&bed, "t").await.attempts), (Status::Pending, 0));
    assert!(lines(&file).is_empty());
}

async fn what_was_ignored_stays_ignored(bed: Bed) {
    let mut program = shell(&bed, "trap '' HUP; exec \"$P\" run t -- sh -c 'echo $$; sleep 0.5; echo finished'");
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    send(child.id(), Signal::HUP);
    finish(child).await.exits(0);
    assert_eq!(load(&bed, "t").await.status, Status::Succeeded);
    let mut program = shell(&bed, "trap '' CHLD; exec \"$P\" run u -- sh -c 'sleep 0.3'");
    said(&mut program).await.exits(0);
}

async fn hanging_up_does_not_kill(bed: Bed) {
    let command = "trap 'n=$((n+1)); test $n = 3 && exit 9' HUP; echo $$; while :; do sleep 0.05; done";
    let (child, _) = ready(&bed, &[], command);
    let program = child.id();
    let ended = tokio::spawn(finish(child));
    while !ended.is_finished() {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let _ = kill_process(Pid::from_raw(program.try_into().unwrap()).unwrap(), Signal::HUP);
    }
    ended.await.unwrap().exits(9);
}

async fn the_end_of_what_it_wrote_is_kept_whoever_reads(bed: Bed) {
    // Nobody reads until the end, and then all of it is there.
    let mut program = bed.program();
    program.args(["run", "t", "--", "sh", "-c", "seq 1 24000 >&2; echo THE REASON >&2; exit 3"]);
    let child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it is recorded", async || {
        bed.client::<()>().load("t").await.unwrap().is_some_and(|record| record.status == Status::Failed)
    })
    .await;
    assert!(load(&bed, "t").await.errors[0].trace.as_deref().unwrap().ends_with("24000\nTHE REASON"));
    let told = finish(child).await.exits(3);
    assert!(told.err.contains("\n24000\nTHE REASON\n") && told.err.contains("exit code 3"), "{}", told.err.len());
}

async fn a_lease_that_is_stolen_is_not_stolen_back(bed: Bed) {
    let command = ["--ignore-lock", "--retries", "2", "--backoff", "50ms"];
    // Whoever steals it while the command runs keeps it.
    let steal = r#"test "$DYNAMO_TRACKER_ATTEMPT" = 1 || exit 0; (sleep 0.01; "$P" start t --ignore-lock >/dev/null) & wait; exit 5"#;
    let mut program = bed.program();
    program
        .env("P", env!("CARGO_BIN_EXE_dynamo-tracker"))
        .args(["run", "t"])
        .args(command)
        .args(["--", "sh", "-c", steal]);
    let told = said(&mut program).await;
    assert_eq!(told.exit, 70, "its lease was stolen, and it does not steal back: {told:?}");
    assert_eq!(load(&bed, "t").await.attempts, 2);
}

async fn a_retry_that_comes_too_late_says_so(bed: Bed) {
    let proxy = Proxy::before(&bed.endpoint).await;
    let mut program = on(&proxy.endpoint, &bed.table);
    program.args(["run", "t", "--json", "--retries", "3", "--backoff", "1m", "--", "sh", "-c", "exit 7"]);
    let child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("it has failed", async || {
        bed.client::<()>().load("t").await.unwrap().is_some_and(|record| record.status == Status::Failed)
    })
    .await;
    bed.cli(["ignore", "t"]).await.exits(0);
    // Whoever does not want to wait for the next try says so.
    until("it pauses", async || proxy.sent().len() == 2).await;
    send(child.id(), Signal::TERM);
    let told = finish(child).await.exits(7);
    assert_eq!((&told.json()["status"], &told.json()["attempts"]), (&json!("failed"), &json!(1)));
    // A retry that is refused prints the refusal, and ends as the command did.
    let command = r#""$P" ignore u >/dev/null 2>&1; exit 7"#;
    let mut program = bed.program();
    program.env("P", env!("CARGO_BIN_EXE_dynamo-tracker"));
    program.args(["run", "u", "--json", "--retries", "1", "--backoff", "10ms", "--", "sh", "-c", command]);
    let told = said(&mut program).await;
    assert_eq!(told.exit, 70, "the command has taken its own lease away: {told:?}");
}

async fn a_run_within_a_run_has_its_own_environment(bed: Bed) {
    let text = json!("x".repeat(200_000));
    bed.client::<Value>().create(dynamo_tracker::NewTask::new("t").data(text)).await.unwrap();
    let inner = r#""$P" run u -- sh -c 'echo "$DYNAMO_TRACKER_ID-$DYNAMO_TRACKER_DATA-$DYNAMO_TRACKER_DATA_FILE"'"#;
    let mut program = bed.program();
    program.env("P", env!("CARGO_BIN_EXE_dynamo-tracker")).env("DYNAMO_TRACKER_DATA", "7");
    program.args(["run", "t", "--", "sh", "-c", &format!("test -z \"$DYNAMO_TRACKER_DATA\" && {inner}")]);
    assert_eq!(said(&mut program).await.exits(0).out, "u-null-\n");
}
