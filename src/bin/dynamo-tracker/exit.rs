//! Exit codes: those of `sysexits.h` where it has one.

use std::process::ExitCode;

use dynamo_tracker::ErrorKind;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done.
    Done,
    /// 1: of several tasks, some failed.
    Partly,
    /// 64: bad usage or a bad value.
    Usage,
    /// 65: an item that can't be read.
    Unreadable,
    /// 66: no such task or table.
    NotFound,
    /// 69: DynamoDB can't be reached, or has refused; or Step Functions, which was to be told of a task's end.
    Unavailable,
    /// 70: the lease is lost.
    LeaseLost,
    /// 74: the result can't be printed.
    NotWritten,
    /// 75: refused for now.
    RefusedForNow,
    /// 77: refused for good.
    RefusedForGood,
    /// `run`: the command's own.
    Command(u8),
}

impl Exit {
    /// The number.
    pub(crate) fn number(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Partly => 1,
            Exit::Usage => 64,
            Exit::Unreadable => 65,
            Exit::NotFound => 66,
            Exit::Unavailable => 69,
            Exit::LeaseLost => 70,
            Exit::NotWritten => 74,
            Exit::RefusedForNow => 75,
            Exit::RefusedForGood => 77,
            Exit::Command(number) => number,
        }
    }

    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(self.number())
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidArgument | ErrorKind::Unwritable | ErrorKind::ItemTooLarge => Exit::Usage,
            ErrorKind::Unreadable => Exit::Unreadable,
            ErrorKind::NotFound | ErrorKind::TableNotFound => Exit::NotFound,
            ErrorKind::LeaseLost => Exit::LeaseLost,
            ErrorKind::Locked | ErrorKind::NotDue => Exit::RefusedForNow,
            ErrorKind::AlreadyExists
            | ErrorKind::AlreadySucceeded
            | ErrorKind::Exhausted
            | ErrorKind::Ignored
            | ErrorKind::NotReady
            | ErrorKind::Interrupted
            | ErrorKind::Changed => Exit::RefusedForGood,
            _ => Exit::Unavailable,
        }
    }
}
