//! A record as it is stored, and what follows from finding one.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use super::attributes::Attributes;
use crate::error::{Error, ErrorKind};
use crate::schema::Item;

pub(super) const IN_PROGRESS: &str = "INPROGRESS";
pub(super) const COMPLETED: &str = "COMPLETED";

/// The attributes of a record, as far as they can be read.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) completed: bool,
    /// In seconds since 1970.
    pub(super) expiration: i64,
    /// In milliseconds since 1970. Powertools writes none where it does not know how long the function may run.
    pub(super) in_progress_expiration: Option<i64>,
    pub(super) data: Option<AttributeValue>,
    pub(super) validation: Option<String>,
    pub(super) token: Option<String>,
}

/// What a record that is in the way means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is our own write, whose answer was lost.
    Ours,
    /// The event was another one when the record was made.
    Mismatch,
    /// Somebody works on it, until then where that is known.
    InProgress(Option<DateTime<Utc>>),
    /// It is done, and the response is in the record.
    Completed,
    /// It has run out since DynamoDB looked at it.
    Over,
}

impl Record {
    /// # Errors
    ///
    /// [`ErrorKind::Unreadable`]: an attribute that each record has is missing, or of another type.
    pub(super) fn read(item: &Item, names: &Attributes) -> Result<Self, Error> {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        let completed = match text(&names.status).as_deref() {
            Some(COMPLETED) => true,
            Some(IN_PROGRESS) => false,
            _ => return Err(unreadable(&names.status)),
        };
        Ok(Self {
            completed,
            expiration: number(item, &names.expiration).ok_or_else(|| unreadable(&names.expiration))?,
            in_progress_expiration: number(item, &names.in_progress_expiration),
            data: item.get(&names.data).cloned(),
            validation: text(&names.validation),
            token: text(&names.token),
        })
    }

    /// What it means for whoever wanted to begin with this token and this hash of the payload, where one is compared.
    /// Powertools compares before it looks at anything else.
    pub(super) fn judge(&self, token: &str, validation: Option<&str>, now: DateTime<Utc>) -> Verdict {
        let until = self.in_progress_expiration;
        if self.is_over(now) {
            Verdict::Over
        } else if self.token.as_deref() == Some(token) && !self.completed {
            Verdict::Ours
        } else if !self.matches(validation) {
            Verdict::Mismatch
        } else if self.completed {
            Verdict::Completed
        } else {
            Verdict::InProgress(until.and_then(DateTime::from_timestamp_millis))
        }
    }

    /// Whether its payload had this hash, or none is compared. A record without a hash was made of who knows what.
    pub(super) fn matches(&self, validation: Option<&str>) -> bool {
        validation.is_none_or(|hash| self.validation.as_deref() == Some(hash))
    }

    /// Whether it is past its expiration, as Powertools understands that: not yet in that very second.
    pub(super) fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expiration < now.timestamp()
    }

    /// Whether it is no obstacle by its times: as the condition of the first write says it.
    fn is_over(&self, now: DateTime<Utc>) -> bool {
        let over = self.in_progress_expiration.is_some_and(|until| until < now.timestamp_millis());
        self.is_expired(now) || (!self.completed && over)
    }
}

/// A whole number. JavaScript's may have a fraction, which is cut.
fn number(item: &Item, name: &str) -> Option<i64> {
    let digits = item.get(name)?.as_n().ok()?;
    digits.parse().ok().or_else(|| digits.parse::<f64>().ok().map(|number| number as i64))
}

fn unreadable(name: &str) -> Error {
    let message = format!(
        "the item is no record of Powertools: its attribute `{name}` is not what that writes; is it another table?"
    );
    Error::new(ErrorKind::Unreadable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn record(completed: bool, expiration: i64, until: Option<i64>) -> Record {
        Record {
            completed,
            expiration,
            in_progress_expiration: until,
            data: None,
            validation: Some("hash".to_owned()),
            token: Some("theirs".to_owned()),
        }
    }

    fn verdict(record: &Record, token: &str, validation: Option<&str>) -> Verdict {
        record.judge(token, validation, DateTime::from_timestamp(NOW, 0).unwrap())
    }

    #[test]
    fn times_decide_first_then_the_payload_then_the_status() {
        let millis = NOW * 1000;
        let until = Verdict::InProgress(DateTime::from_timestamp_millis(millis));
        let table = [
            (record(true, NOW, None), "ours", None, Verdict::Completed),
            (record(true, NOW, Some(0)), "ours", Some("hash"), Verdict::Completed),
            (record(true, NOW, None), "ours", Some("other"), Verdict::Mismatch),
            (record(true, NOW - 1, None), "ours", Some("other"), Verdict::Over),
            (record(true, NOW, None), "theirs", None, Verdict::Completed),
            (record(false, NOW, Some(millis)), "ours", Some("hash"), until),
            (record(false, NOW, Some(millis)), "ours", Some("other"), Verdict::Mismatch),
            (record(false, NOW, Some(millis)), "theirs", Some("hash"), Verdict::Ours),
            (record(false, NOW, Some(millis - 1)), "theirs", None, Verdict::Over),
            (record(false, NOW, Some(millis - 1)), "ours", None, Verdict::Over),
            (record(false, NOW, None), "ours", None, Verdict::InProgress(None)),
            (record(false, NOW - 1, Some(millis)), "ours", None, Verdict::Over),
        ];
        for (at, (record, token, validation, expected)) in table.into_iter().enumerate() {
            assert_eq!(verdict(&record, token, validation), expected, "row {at}");
        }
    }

    #[test]
    fn a_record_without_a_hash_matches_only_where_none_is_compared() {
        let record = Record { validation: None, ..record(true, NOW, None) };
        assert!(record.matches(None) && !record.matches(Some("hash")));
    }

    #[test]
    fn what_is_no_record_is_unreadable() {
        let names = Attributes::default();
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let number = |digits: &str| AttributeValue::N(digits.to_owned());
        let good = Item::from([("status".to_owned(), text(COMPLETED)), ("expiration".to_owned(), number("12.7"))]);
        assert_eq!(Record::read(&good, &names).unwrap().expiration, 12);
        for (name, value) in [("status", text("done")), ("status", number("1")), ("expiration", text("12"))] {
            let mut bad = good.clone();
            bad.insert(name.to_owned(), value);
            let error = Record::read(&bad, &names).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Unreadable);
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
    }
}
