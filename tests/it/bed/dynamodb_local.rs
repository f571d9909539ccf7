//! DynamoDB Local: found, started once for the whole run, and gone when the run is.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::port::{answers, free_port};

const HELP: &str =
    "DynamoDB Local is not here, and tests/dynamodb-local can't get it. Mend what it says, or give it in another way:
  DYNAMODB_LOCAL_DIR=DIR                 a folder with DynamoDBLocal.jar, and java on the PATH
  DYNAMODB_LOCAL_ENDPOINT=http://…       one that runs already
  docker                                 with an engine that runs, and no Java: the image is used
or ask for less: TRACKER_TEST_BACKEND=embedded";

/// How long a start may take. It is about a second, and more on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
const IMAGE: &str = "amazon/dynamodb-local:3.1.0";

/// A shell that starts the server and stops it as soon as its standard input ends. That happens when this process ends,
/// however it ends, so no server is left behind by a crash, a `kill -9` or Ctrl-C.
const WATCHDOG: &str = r#"
stop=$1; shift
"$@" </dev/null >"$LOG" 2>&1 &
server=$!
echo $server
cat >/dev/null
case $stop in
    kill) kill -9 $server ;;
    *) docker rm -f "$stop" >/dev/null 2>&1 ;;
esac
wait
"#;

/// Where DynamoDB Local answers. It is started by the first call.
pub(crate) fn endpoint() -> Result<String, String> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    let server = SERVER.get_or_init(|| match std::env::var("DYNAMODB_LOCAL_ENDPOINT") {
        Ok(endpoint) if !endpoint.is_empty() => Ok(Server { endpoint, _watchdog: None }),
        _ => start(),
    });
    server.as_ref().map(|server| server.endpoint.clone()).map_err(Clone::clone)
}

/// Another server, for one test. `None` where the server is somebody else's.
pub(crate) fn another() -> Result<Option<Server>, String> {
    match std::env::var("DYNAMODB_LOCAL_ENDPOINT") {
        Ok(endpoint) if !endpoint.is_empty() => Ok(None),
        _ => start().map(Some),
    }
}

pub(crate) struct Server {
    pub(crate) endpoint: String,
    /// Holds the pipe whose end stops the server.
    _watchdog: Option<Child>,
}

/// Docker's where that runs and Java does not, so that nothing is installed; else the jar.
fn start() -> Result<Server, String> {
    if !runs("java", &["-version"]) && runs("docker", &["info"]) {
        return start_docker();
    }
    match folder() {
        Ok(folder) => start_jar(&folder),
        Err(_) if runs("docker", &["info"]) => start_docker(),
        Err(words) => Err(format!("{HELP}\n{words}")),
    }
}

/// The folder with the jar: the one that the user names, or where the first call on a machine puts it. After that, the script only
/// looks whether it is there.
fn folder() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let got = Command::new(root.join("tests/dynamodb-local")).stdin(Stdio::null()).output();
    let got = got.map_err(|error| format!("can't run tests/dynamodb-local: {error}"))?;
    let named = std::env::var_os("DYNAMODB_LOCAL_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = named.unwrap_or_else(|| root.join("target/dynamodb-local/current"));
    match got.status.success() {
        true if folder.join("DynamoDBLocal.jar").exists() => Ok(folder),
        true => Err(format!("there is no DynamoDBLocal.jar in {}", folder.display())),
        false => Err(String::from_utf8_lossy(&got.stderr).into_owned()),
    }
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let command = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    command.is_ok_and(|status| status.success())
}

fn start_jar(folder: &Path) -> Result<Server, String> {
    // A port that is free now may be taken a moment later, by another run of this suite.
    for _ in 0..5 {
        let port = free_port()?;
        let mut command = watchdog("kill");
        command
            .args(["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .arg(format!("-Djava.library.path={}", folder.join("DynamoDBLocal_lib").display()))
            .arg("-jar")
            .arg(folder.join("DynamoDBLocal.jar"))
            .args(["-inMemory", "-sharedDb", "-disableTelemetry", "-port", &port.to_string()]);
        if let Some(server) = started(command, port)? {
            return Ok(server);
        }
    }
    Err(format!("DynamoDB Local in {} does not start; its last words are in {}", folder.display(), log().display()))
}

fn start_docker() -> Result<Server, String> {
    let port = free_port()?;
    let name = format!("dynamo-tracker-test-{port}");
    let mut command = watchdog(&name);
    command.args(["docker", "run", "--rm", "--name", &name, "-p", &format!("127.0.0.1:{port}:8000"), IMAGE]);
    command.args(["-jar", "DynamoDBLocal.jar", "-inMemory", "-sharedDb", "-disableTelemetry"]);
    started(command, port)?.ok_or_else(|| format!("docker can't run {IMAGE}; see {}", log().display()))
}

fn watchdog(stop: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", WATCHDOG, "watchdog", stop]).env("LOG", log());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // Ctrl-C reaches this process, whose end stops the server; the shell itself must live until then.
    command.process_group(0);
    command
}

fn log() -> PathBuf {
    std::env::temp_dir().join(format!("dynamodb-local-{}.log", std::process::id()))
}

/// Waits until the server answers. `None` where it ended before, such as when the port was taken in the meantime.
fn started(mut command: Command, port: u16) -> Result<Option<Server>, String> {
    let mut watchdog = command.spawn().map_err(|error| format!("can't start sh: {error}"))?;
    let mut pid = String::new();
    let output = watchdog.stdout.take().ok_or("the shell has no output")?;
    BufReader::new(output).read_line(&mut pid).map_err(|error| format!("the shell does not start: {error}"))?;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && runs("kill", &["-0", pid.trim()]) {
        if answers(port) {
            // What it says from now on interests nobody.
            let _ = std::fs::remove_file(log());
            let endpoint = format!("http://127.0.0.1:{port}");
            eprintln!("DynamoDB Local answers at {endpoint} after {:.1} s", begun.elapsed().as_secs_f32());
            return Ok(Some(Server { endpoint, _watchdog: Some(watchdog) }));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(None)
}
