//! The keys of the events that AWS sends.

use serde_json::Value;

use super::Key;
use crate::lambda::sha256_hex;

impl Key {
    /// An event of EventBridge: the SHA-256 of its `source`, `detail-type` and `id`. EventBridge may deliver one twice, with one
    /// `id`.
    #[must_use]
    pub fn eventbridge() -> Self {
        Self::named("source, detail-type and id", |event| Ok(fields(event, &["source", "detail-type", "id"])))
    }

    /// A notification of S3, in which there is one record: the SHA-256 of its bucket, key, version (where there is one),
    /// sequencer and name of the event. Takes the record alone, too, and what EventBridge sends for S3.
    #[must_use]
    pub fn s3() -> Self {
        Self::named("bucket, key, version, sequencer and name of the record", |event| Ok(s3(event)))
    }

    /// A notification of SNS, in which there is one record: its `MessageId`, which each copy of a message has. Takes the record
    /// alone, too.
    #[must_use]
    pub fn sns() -> Self {
        Self::named("the MessageId", |event| Ok(text(&only_record(event)["Sns"]["MessageId"])))
    }

    /// The value of an HTTP header: of API Gateway's REST and HTTP APIs, function URLs, and load balancers, with their headers
    /// of one value or several. The header's name is compared without regard to case, its value is taken as it is.
    ///
    /// All that call the function share the keys. Where they must not be able to use each other's, make a key of the header and
    /// of who calls:
    ///
    /// ```
    /// use dynamo_tracker::lambda::Key;
    /// use serde_json::json;
    ///
    /// let header = Key::http_header("Idempotency-Key");
    /// let event = json!({"headers": {"idempotency-key": "8e03978e"}, "requestContext": {"accountId": "1"}});
    /// assert_eq!(header.of(&event)?.as_deref(), Some("8e03978e"));
    ///
    /// let both = Key::new(move |event| {
    ///     let who = event["requestContext"]["accountId"].as_str()?;
    ///     Some(format!("{who}/{}", header.of(event).ok()??))
    /// });
    /// assert_eq!(both.of(&event)?.as_deref(), Some("1/8e03978e"));
    /// # Ok::<(), dynamo_tracker::Error>(())
    /// ```
    #[must_use]
    pub fn http_header(name: &str) -> Self {
        let wanted = name.to_owned();
        Self::named(&format!("the header {name}"), move |event| Ok(header(event, &wanted)))
    }
}

/// The hash of several fields that must all be there.
fn fields(event: &Value, names: &[&str]) -> Option<String> {
    let values: Option<Vec<_>> = names.iter().map(|name| text(&event[name])).collect();
    values.map(|values| sha256_hex(&values.into()))
}

fn s3(event: &Value) -> Option<String> {
    let record = only_record(event);
    let (subject, name) = match &record["detail"] {
        Value::Object(_) => (&record["detail"], &record["detail-type"]),
        _ => (&record["s3"], &record["eventName"]),
    };
    let object = &subject["object"];
    let required = [text(&subject["bucket"]["name"]), text(&object["key"]), text(name)];
    let required: Vec<_> = required.into_iter().collect::<Option<_>>()?;
    let version = [&object["versionId"], &object["version-id"], &object["sequencer"]].map(text);
    // Without one of them, all that is ever done to the object would be one event.
    version.iter().any(Option::is_some).then(|| sha256_hex(&serde_json::json!([required, version])))
}

/// The record of an event that has exactly one, or else the event itself, which may be one.
fn only_record(event: &Value) -> &Value {
    match event["Records"].as_array().map(Vec::as_slice) {
        Some([record]) => record,
        _ => event,
    }
}

/// The text of a field that is there and has some.
fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn header(event: &Value, wanted: &str) -> Option<String> {
    let find = |place: &str| {
        let (_, value) = event[place].as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        // Several values of one header: no two may be meant, so the last counts, as it does in `headers`.
        text(value.as_array().map_or(Some(value), |values| values.last())?)
    };
    find("headers").or_else(|| find("multiValueHeaders"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(key: &Key, event: &Value) -> Option<String> {
        key.of(event).unwrap()
    }

    #[test]
    fn a_header_is_found_wherever_it_is() {
        let wanted = Key::http_header("Idempotency-Key");
        let table = [
            (json!({"version": "2.0", "headers": {"idempotency-key": "k"}}), Some("k")),
            (json!({"headers": {"IDEMPOTENCY-KEY": "k"}, "multiValueHeaders": null}), Some("k")),
            (json!({"headers": null, "multiValueHeaders": {"Idempotency-Key": ["k"]}}), Some("k")),
            (json!({"multiValueHeaders": {"idempotency-key": ["j", "k"]}}), Some("k")),
            (json!({"headers": {"idempotency-key": "k k"}}), Some("k k")),
            (json!({"headers": {"idempotency-key": ""}}), None),
            (json!({"multiValueHeaders": {"idempotency-key": []}}), None),
            (json!({"headers": {"x-idempotency-key": "k"}}), None),
            (json!({"headers": {}}), None),
            (json!({"headers": "idempotency-key"}), None),
            (json!(null), None),
        ];
        for (event, expected) in table {
            assert_eq!(key(&wanted, &event).as_deref(), expected, "{event}");
        }
    }

    #[test]
    fn an_event_of_eventbridge_needs_all_three() {
        let event = json!({"id": "1", "source": "shop", "detail-type": "paid", "time": "t", "detail": {}});
        let first = key(&Key::eventbridge(), &event).unwrap();
        let mut again = event.clone();
        again["time"] = json!("later");
        assert_eq!(key(&Key::eventbridge(), &again), Some(first.clone()));
        for field in ["id", "source", "detail-type"] {
            let mut another = event.clone();
            another[field] = json!("another");
            assert_ne!(key(&Key::eventbridge(), &another), Some(first.clone()), "{field}");
            another[field] = json!(null);
            assert_eq!(key(&Key::eventbridge(), &another), None, "{field}");
        }
    }

    #[test]
    fn each_change_of_an_object_is_another_event() {
        let record = json!({"eventName": "ObjectCreated:Put", "eventTime": "t", "s3": {
            "bucket": {"name": "b"}, "object": {"key": "a+b", "sequencer": "1", "versionId": "v"}}});
        let first = key(&Key::s3(), &json!({"Records": [record]})).unwrap();
        assert_eq!(key(&Key::s3(), &record), Some(first.clone()), "the record alone");
        for path in ["/s3/bucket/name", "/s3/object/key", "/s3/object/sequencer", "/s3/object/versionId", "/eventName"]
        {
            let mut another = record.clone();
            *another.pointer_mut(path).unwrap() = json!("another");
            assert!(key(&Key::s3(), &another).is_some_and(|another| another != first), "{path}");
        }
        for path in ["/s3/bucket/name", "/s3/object/key", "/eventName"] {
            let mut another = record.clone();
            *another.pointer_mut(path).unwrap() = json!(null);
            assert_eq!(key(&Key::s3(), &another), None, "{path}");
        }
        assert_eq!(key(&Key::s3(), &json!({"Records": [record, record]})), None, "two records have two keys");
    }

    #[test]
    fn what_eventbridge_sends_for_s3_has_a_key() {
        let event = json!({"detail-type": "Object Created", "detail": {
            "bucket": {"name": "b"}, "object": {"key": "k", "sequencer": "1"}}});
        assert!(key(&Key::s3(), &event).is_some());
        let untold =
            json!({"detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": {"key": "k"}}});
        assert_eq!(key(&Key::s3(), &untold), None);
    }

    #[test]
    fn a_message_of_sns_has_its_id() {
        let record = json!({"Sns": {"MessageId": "m", "Message": "{}"}});
        assert_eq!(key(&Key::sns(), &json!({"Records": [record]})).as_deref(), Some("m"));
        assert_eq!(key(&Key::sns(), &record).as_deref(), Some("m"));
        assert_eq!(key(&Key::sns(), &json!({"Records": [record, record]})), None);
    }

    #[test]
    fn nothing_is_no_key() {
        use crate::lambda::JmesPath;
        let path = Key::path(JmesPath::new("[a, b]").unwrap());
        assert_eq!(key(&path, &json!({})), None);
        assert_eq!(key(&path, &json!({"a": ""})), None);
        assert!(key(&path, &json!({"a": 0})).is_some());
        assert_eq!(key(&Key::whole(), &json!({})), None);
        assert!(key(&Key::whole(), &json!(false)).is_some());
        assert_eq!(key(&Key::new(|_| Some(String::new())), &json!(1)), None);
        let broken = Key::path(JmesPath::new("powertools_json(a)").unwrap()).of(&json!({"a": "secret"})).unwrap_err();
        assert!(!format!("{broken:?}").contains("secret"), "{broken:?}");
    }
}
