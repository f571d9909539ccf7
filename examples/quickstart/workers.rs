//! Several workers on one list of files. What happens to a file is the tracker's to say.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dynamo_tracker::{Lease, Refusal, RunError, StartOptions, Status, Tracker, TrackerClient, WorkError};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::files::{Summary, summarize};

/// What every worker does.
pub(crate) struct Job {
    pub(crate) client: TrackerClient<Summary>,
    pub(crate) fail: Option<glob::Pattern>,
    pub(crate) pause: Duration,
}

/// What became of a file.
pub(crate) struct Done {
    pub(crate) file: PathBuf,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// Done in this run.
    Now(Summary, u32),
    /// Done before; this is what the record says.
    Before(Box<Tracker<Summary>>),
    /// Given up, for this reason, after so many attempts.
    Exhausted(String, u32),
    /// The tracker could not do its part.
    Error(String),
}

impl What {
    pub(crate) fn status(&self) -> &'static str {
        match self {
            What::Now(..) => "done now",
            What::Before(_) => "done before",
            What::Exhausted(..) => "exhausted",
            What::Error(_) => "error",
        }
    }
}

/// A file, and when it may be tried.
type Todo = (PathBuf, Instant);

/// Processes all files, and says what became of each.
pub(crate) async fn run(job: Job, files: Vec<PathBuf>, workers: u16) -> Vec<Done> {
    let bar = ProgressBar::new(files.len() as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let now = Instant::now();
    let list: Arc<Mutex<VecDeque<Todo>>> = Arc::new(Mutex::new(files.into_iter().map(|file| (file, now)).collect()));
    let job = Arc::new(job);
    let workers: Vec<_> = (0..workers)
        .map(|number| tokio::spawn(work(Arc::clone(&job), Arc::clone(&list), bar.clone(), number)))
        .collect();
    let mut done = Vec::new();
    for worker in workers {
        match worker.await {
            Ok(its) => done.extend(its),
            Err(error) => eprintln!("a worker died: {error}"),
        }
    }
    bar.finish_and_clear();
    done.sort_by(|a, b| a.file.cmp(&b.file));
    done
}

/// One worker: takes files off the list until it is empty.
async fn work(job: Arc<Job>, list: Arc<Mutex<VecDeque<Todo>>>, bar: ProgressBar, number: u16) -> Vec<Done> {
    let owner = format!("worker {number} of process {}", std::process::id());
    let mut done = Vec::new();
    loop {
        let Some((file, when)) = list.lock().await.pop_front() else { return done };
        if when > Instant::now() {
            bar.set_message(format!(
                "waiting {} s for the lease of a run that died",
                (when - Instant::now()).as_secs() + 1
            ));
            sleep_until(when).await;
        }
        bar.set_message(name(&file));
        match job.process(&file, &owner).await {
            Next::Done(what) => {
                bar.inc(1);
                // Without a terminal there is no bar, and a line a file shows how far it is.
                if bar.is_hidden() {
                    eprintln!("{}: {}", name(&file), what.status());
                }
                done.push(Done { file, what });
            }
            Next::At(when) => list.lock().await.push_back((file, when)),
        }
    }
}

/// What follows from one try.
enum Next {
    Done(What),
    /// Try again then.
    At(Instant),
}

impl Job {
    async fn process(&self, file: &Path, owner: &str) -> Next {
        let options = StartOptions::new().owner(owner);
        let work = |lease: Lease<Summary>| self.summarize(lease, file);
        match self.client.run(id(file), options, work).await {
            Ok((summary, attempt)) => Next::Done(What::Now(summary, attempt)),
            Err(RunError::Failed { tracker, .. }) if tracker.status == Status::Failed => Next::At(Instant::now()),
            Err(RunError::Failed { error, tracker }) => {
                Next::Done(What::Exhausted(error.to_string(), tracker.attempts))
            }
            Err(RunError::Refused(refused)) => after_refusal(&refused),
            Err(error) => Next::Done(What::Error(error.to_string())),
        }
    }

    /// The work itself.
    async fn summarize(&self, mut lease: Lease<Summary>, file: &Path) -> Result<(Summary, u32), WorkError> {
        tokio::time::sleep(self.pause).await;
        if self.fail.as_ref().is_some_and(|pattern| pattern.matches_path(file)) {
            return Err("it fails on purpose, by --fail".into());
        }
        let path = file.to_owned();
        let summary = tokio::task::spawn_blocking(move || summarize(&path)).await??;
        lease.set_data(summary.clone())?;
        Ok((summary, lease.attempt()))
    }
}

fn after_refusal(refused: &dynamo_tracker::Error) -> Next {
    match (refused.refusal(), refused.tracker_as::<Summary>()) {
        (Some(Refusal::AlreadySucceeded), Some(Ok(record))) => Next::Done(What::Before(Box::new(record))),
        (Some(Refusal::Exhausted), Some(Ok(record))) => {
            let why = record.errors.last().map_or("for no recorded reason".to_owned(), |error| error.message.clone());
            Next::Done(What::Exhausted(why, record.attempts))
        }
        (Some(Refusal::Locked { until, .. }), _) => {
            let wait = (*until - chrono::Utc::now()).to_std().unwrap_or_default();
            Next::At(Instant::now() + wait + Duration::from_millis(10))
        }
        _ => Next::Done(What::Error(refused.to_string())),
    }
}

/// A file's task: its path. One that is no text is named by its bytes, so that no two are the same.
fn id(file: &Path) -> String {
    file.to_str().map_or_else(|| format!("{file:?}"), str::to_owned)
}

/// A file's name for people, safe for a terminal.
pub(crate) fn name(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let shown = file.strip_prefix(here).unwrap_or(file).display().to_string();
    let safe = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    shown.chars().map(safe).collect()
}
