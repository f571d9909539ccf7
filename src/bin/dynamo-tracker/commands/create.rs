//! Creating tasks.

use std::cell::Cell;
use std::path::Path;

use chrono::{DateTime, Utc};
use dynamo_tracker::{NewTask, TrackerClient};
use futures_util::future::ready;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};

use crate::args::{self, Create};
use crate::connect::Connection;
use crate::data::Data;
use crate::exit::Exit;
use crate::output::{Failure, Output};

/// How many tasks of a file are created at a time.
const IN_FLIGHT: usize = 32;

/// A line of a file of tasks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    #[serde(default)]
    data: Option<Value>,
    #[serde(default, deserialize_with = "due")]
    due: Option<DateTime<Utc>>,
}

fn due<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| args::time(&text)).transpose().map_err(serde::de::Error::custom)
}

impl From<Line> for NewTask<Data> {
    fn from(line: Line) -> Self {
        let mut task = NewTask::new(line.id);
        if let Some(data) = line.data {
            task = task.data(Data(data));
        }
        match line.due {
            Some(due) => task.due(due),
            None => task,
        }
    }
}

pub(crate) async fn create(connection: &Connection, create: Create, output: &Output) -> Result<Exit, Failure> {
    let client = connection.client()?;
    match (create.id, create.from) {
        (_, Some(file)) => create_from(&client, &file, output).await,
        (Some(id), None) => {
            let task = Line { id, data: create.data, due: create.due };
            let tracker = match create.callback {
                Some(token) => client.call_back(task, token).await?,
                None => client.create(task).await?,
            };
            Ok(output.record(&tracker, &tracker.data.0))
        }
        (None, None) => Err(Failure::usage("which task? Give its id, or --from FILE")),
    }
}

async fn create_from(client: &TrackerClient<Data>, file: &Path, output: &Output) -> Result<Exit, Failure> {
    let reader: Box<dyn AsyncBufRead + Unpin> = if file == Path::new("-") {
        Box::new(BufReader::new(tokio::io::stdin()))
    } else {
        let opened = tokio::fs::File::open(file).await;
        Box::new(BufReader::new(opened.map_err(|error| Failure::usage(&format!("can't read {file:?}: {error}")))?))
    };
    // As bytes, since a line that is no text is a bad line, and not the file's end.
    let lines = stream::try_unfold((reader.split(b'\n'), 0_u64), |(mut lines, number)| async move {
        lines.next_segment().await.map(|line| line.map(|line| ((number + 1, line), (lines, number + 1))))
    });
    let lines = lines.map_err(|error| Failure::usage(&format!("can't read on in {file:?}: {error}")));
    let lines = lines.try_filter(|(_, line)| ready(!line.trim_ascii().is_empty()));
    let file = Reading { bad: Cell::new(0), broken: Cell::new(Ok(())) };
    let tasks = lines.filter_map(|line| ready(file.task(line, output)));
    let report = client.create_many(tasks, IN_FLIGHT).await?;
    file.broken.into_inner()?;
    report.errors.iter().for_each(|error| output.warn(&error.to_string()));
    let (created, existing, failed) = (report.done, report.skipped, report.failed + file.bad.get());
    output.result(
        &json!({"created": created, "existing": existing, "failed": failed}),
        &format!("{created} created, {existing} were there already, {failed} failed"),
    );
    Ok(if failed > 0 { Exit::Partly } else { Exit::Done })
}

/// What was wrong with the file itself.
struct Reading {
    /// How many lines were no tasks.
    bad: Cell<u64>,
    /// Why it could not be read to its end.
    broken: Cell<Result<(), Failure>>,
}

impl Reading {
    /// The task of a line. One that is none is told, and others follow.
    fn task(&self, line: Result<(u64, Vec<u8>), Failure>, output: &Output) -> Option<NewTask<Data>> {
        let (number, line) = line.map_err(|failure| self.broken.set(Err(failure))).ok()?;
        match serde_json::from_slice::<Line>(&line) {
            Ok(line) => Some(line.into()),
            Err(error) => {
                self.bad.set(self.bad.get() + 1);
                output.warn(&format!("line {number}: {error}; a line is such as {{\"id\": \"a\", \"data\": 1}}"));
                None
            }
        }
    }
}
