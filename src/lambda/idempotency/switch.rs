//! Turning it all off from outside.

use crate::client::check;
use crate::error::Error;

/// Ours, and that of Powertools, so that a function which moves from there keeps its switch.
const NAMES: [&str; 2] = ["DYNAMO_TRACKER_IDEMPOTENCY_DISABLED", "POWERTOOLS_IDEMPOTENCY_DISABLED"];

/// Whether one of the two says so. Anything but a yes or a no is an error: a typing error must turn nothing off, nor leave
/// on what was to be off.
pub(super) fn is_off(variable: impl Fn(&str) -> Option<String>) -> Result<bool, Error> {
    let mut off = false;
    for name in NAMES {
        let value = variable(name).unwrap_or_default();
        let said = match value.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "y" | "t" | "on" => Some(true),
            "" | "0" | "false" | "no" | "n" | "f" | "off" => Some(false),
            _ => None,
        };
        check(said.is_some(), &format!("{name} is {value:?}; set it to true or false, or to nothing"))?;
        off |= said.unwrap_or_default();
    }
    Ok(off)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_turns_it_off() {
        let set = |which: &'static str, value: &'static str| {
            is_off(move |name| (name == which).then(|| value.to_owned())).map_err(|error| error.to_string())
        };
        for name in NAMES {
            for (value, off) in
                [("true", true), ("1", true), (" Yes", true), ("0", false), ("False", false), ("", false)]
            {
                assert_eq!(set(name, value), Ok(off), "{name}={value}");
            }
            assert_eq!(set(name, "tru"), Err(format!("{name} is \"tru\"; set it to true or false, or to nothing")));
        }
        assert!(!is_off(|_| None).unwrap());
    }
}
