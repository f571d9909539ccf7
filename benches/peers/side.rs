//! Who is measured.

use clap::ValueEnum;

/// A way to do a task once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Side {
    /// The raw SDK's calls, by hand.
    Raw,
    /// `TrackerClient::run`.
    Run,
    /// `Idempotency::run`, as the layer of a Lambda function calls it.
    Idempotency,
    /// Powertools for AWS Lambda (TypeScript).
    TypeScript,
    /// Powertools for AWS Lambda (Python).
    Python,
    /// The status tracker of `pynamodb_mate`.
    Mate,
}

impl Side {
    pub(crate) const ALL: [Self; 6] =
        [Self::Raw, Self::Run, Self::Idempotency, Self::TypeScript, Self::Python, Self::Mate];
    pub(crate) const OURS: [Self; 3] = [Self::Raw, Self::Run, Self::Idempotency];
    pub(crate) const PEERS: [Self; 3] = [Self::TypeScript, Self::Python, Self::Mate];

    /// What it is called, as is its table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Run => "run",
            Self::Idempotency => "idempotency",
            Self::TypeScript => "typescript",
            Self::Python => "python",
            Self::Mate => "pynamodb_mate",
        }
    }
}
