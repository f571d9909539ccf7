//! The `mark_as_*` family of `abstract_tracker`: one write each, conditional on the lock.
//!
//! [`Lease::succeed`], [`Lease::fail`] and [`Lease::release`] are what most callers want. These name the state outright.

use super::Lease;
use crate::error::Error;
use crate::record::Tracker;
use crate::schema::Data;
use crate::status::Status;
use crate::table::Writes;
use crate::work_error::WorkError;

/// Each fails with [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost) where the lock is no longer ours, and changes
/// nothing then; or with what DynamoDB refuses.
impl<D: Data> Lease<D> {
    /// Goes on: extends the lease by its whole length from now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost), or what DynamoDB refuses.
    pub async fn mark_as_in_progress(&mut self) -> Result<(), Error> {
        self.held.extend().await
    }

    /// Succeeded; the same as [`succeed`](Self::succeed).
    ///
    /// # Errors
    ///
    /// As [`succeed`](Self::succeed).
    pub async fn mark_as_succeeded(self) -> Result<Tracker<D>, Error> {
        self.succeed().await
    }

    /// Failed, even where no attempts are left: only a start with a higher limit, or a forced one, takes it again then.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost), or what DynamoDB refuses.
    pub async fn mark_as_failed(self, error: impl Into<WorkError>) -> Result<Tracker<()>, Error> {
        self.held.end_as(Status::Failed, Some(&error.into()), Writes::default()).await?;
        Ok(self.held.record())
    }

    /// Exhausted, even where attempts are left: for an error that no other attempt would mend.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost), or what DynamoDB refuses.
    pub async fn mark_as_exhausted(self, error: impl Into<WorkError>) -> Result<Tracker<()>, Error> {
        self.held.end_as(Status::Exhausted, Some(&error.into()), Writes::default()).await?;
        Ok(self.held.record())
    }

    /// Failed or exhausted, as the attempts say; the same as [`fail`](Self::fail).
    ///
    /// # Errors
    ///
    /// As [`fail`](Self::fail).
    pub async fn mark_as_failed_or_exhausted(self, error: impl Into<WorkError>) -> Result<Tracker<()>, Error> {
        self.fail(error).await
    }

    /// Ignored: it is not to be done, by anybody. Data that was set is kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost), or what DynamoDB refuses.
    pub async fn mark_as_ignored(self) -> Result<Tracker<D>, Error> {
        self.end(Status::Ignored, None).await
    }

    /// Pending: gives it back to whoever comes next, and the attempt stays counted. Data that was set is kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost), or what DynamoDB refuses.
    pub async fn mark_as_pending(self) -> Result<Tracker<D>, Error> {
        self.end(Status::Pending, None).await
    }
}
