//! moto's server, which stands in for SQS, S3 and Step Functions: started once for the whole run, and gone when the run is.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::port::{answers, free_port};
use super::reaper::{self, Watched};

/// How long a start may take. It is about two seconds, and more on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    endpoint: String,
    _child: Child,
    _watched: Watched,
}

/// Where moto answers. It is started by the first call.
pub(super) fn endpoint() -> Result<String, String> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    SERVER.get_or_init(start).as_ref().map(|server| server.endpoint.clone()).map_err(Clone::clone)
}

fn start() -> Result<Server, String> {
    let python = python()?;
    for _ in 0..5 {
        if let Some(server) = start_on(&python, free_port()?)? {
            return Ok(server);
        }
    }
    Err(format!("moto in {} does not start; its last words are in {}", python.display(), log().display()))
}

/// The Python that has moto. It is got by the first call on a machine; after that, the script only looks whether it is there.
pub(super) fn python() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let got = Command::new(root.join("tests/moto")).stdin(Stdio::null()).output();
    let got = got.map_err(|error| format!("can't run tests/moto: {error}"))?;
    let words = String::from_utf8_lossy(&got.stderr);
    let help = "moto is not here, and tests/moto can't get it. Mend what it says, or ask for less: \
                TRACKER_TEST_BACKEND=embedded";
    let python = root.join("target/moto/current/bin/python");
    if got.status.success() { Ok(python) } else { Err(format!("{help}\n{words}")) }
}

fn log() -> PathBuf {
    std::env::temp_dir().join(format!("moto-{}.log", std::process::id()))
}

/// `None` where it ends before it answers, such as when the port was taken in the meantime.
fn start_on(python: &Path, port: u16) -> Result<Option<Server>, String> {
    let log = File::create(log()).map_err(|error| format!("can't write {}: {error}", log().display()))?;
    let mut command = Command::new(python);
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bed/stepfunctions/server.py");
    // Without compiled files beside the sources.
    command.arg("-B").arg(server).arg(port.to_string()).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(log);
    let mut child = command.spawn().map_err(|error| format!("can't start {}: {error}", python.display()))?;
    let watched = reaper::watch(child.id());
    let begun = Instant::now();
    while child.try_wait().is_ok_and(|ended| ended.is_none()) && begun.elapsed() < PATIENCE {
        if answers(port) {
            let endpoint = format!("http://127.0.0.1:{port}");
            eprintln!("moto answers at {endpoint} after {:.1} s", begun.elapsed().as_secs_f32());
            // What it says from now on, a line for each request, interests nobody.
            let _ = std::fs::remove_file(self::log());
            return Ok(Some(Server { endpoint, _child: child, _watched: watched }));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(None)
}
