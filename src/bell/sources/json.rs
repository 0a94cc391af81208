//! A verified JSON body, looked into by name: what is missing, or of another type than its name promises, counts as absent.
//!
//! Providers add fields and change types without a word. So a field that is not what it should be costs that field, and
//! only one that an event cannot do without costs the event. Whole numbers keep all their digits.

use std::borrow::Cow;

use serde_json::Value;

use super::{Malformed, Verified};
use crate::domain::clock::UnixMillis;

/// Events of one batch at most: `SendGrid` posts up to a thousand or so; more is a mistake or an attack.
const BATCH_LEN_MAX: usize = 10_000;
/// Seconds below which a number is a Unix time in seconds, and from which it is one in milliseconds: the year 5138.
const SECONDS_MAX: f64 = 1e11;

/// A place in a JSON value, where there may be nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Json<'a>(Option<&'a Value>);

/// The body as JSON.
pub(super) fn body(verified: &Verified<'_>) -> Result<Value, Malformed> {
    read(verified.body())
}

/// `bytes` as JSON.
pub(super) fn read(bytes: &[u8]) -> Result<Value, Malformed> {
    // The error's message may quote the body; its place does not.
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Malformed(format!("the body must be JSON; line {line}, column {column} is not"))
    })
}

impl<'a> Json<'a> {
    /// Where there is nothing.
    pub(super) const NOTHING: Self = Self(None);

    pub(super) fn of(value: &'a Value) -> Self {
        Self(Some(value))
    }

    /// The field of that name.
    pub(super) fn at(self, name: &str) -> Self {
        Self(self.0.and_then(|value| value.get(name)))
    }

    /// Where a JSON pointer (RFC 6901) leads.
    pub(super) fn pointed(self, pointer: &str) -> Self {
        Self(self.0.and_then(|value| value.pointer(pointer)))
    }

    /// All that a JSON pointer leads to: the elements of a list, where a list is; a `*` in it stands for each element of one.
    pub(super) fn all_pointed(self, pointer: &str) -> Vec<Self> {
        match pointer.split_once("/*") {
            Some((list, rest)) => self.pointed(list).list().into_iter().flat_map(|one| one.all_pointed(rest)).collect(),
            None => self.pointed(pointer).list(),
        }
    }

    /// Whether this is a number that may have lost digits.
    pub(super) fn is_inexact(self) -> bool {
        self.0.is_some_and(Value::is_f64)
    }

    /// This, or where it is absent, null or an empty text, `other`.
    pub(super) fn or(self, other: Self) -> Self {
        let nothing = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        if self.0.is_none_or(nothing) { other } else { self }
    }

    pub(super) fn is_object(self) -> bool {
        self.0.is_some_and(Value::is_object)
    }

    /// A text without the space around it, or a number's digits; an empty one counts as absent.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self.0? {
            Value::String(text) => Some(Cow::Borrowed(text.trim())).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(Cow::Owned(number.to_string())),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    pub(super) fn owned(self) -> Option<String> {
        self.text().map(Cow::into_owned)
    }

    /// Yes or no; some providers spell it as a text.
    pub(super) fn flag(self) -> Option<bool> {
        match self.0? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// The elements of a list; a single thing is a list of one.
    pub(super) fn list(self) -> Vec<Json<'a>> {
        match self.0 {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => list.iter().map(Json::of).collect(),
            Some(one) => vec![Json::of(one)],
        }
    }

    /// The fields of an object.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'a str, Json<'a>)> {
        self.0.and_then(Value::as_object).into_iter().flatten().map(|(name, value)| (&**name, Json::of(value)))
    }

    /// The elements of a list that are texts; one text with commas is not taken apart.
    pub(super) fn texts(self) -> Vec<String> {
        self.list().into_iter().filter_map(Json::owned).collect()
    }

    /// The events of a batch; an object alone is a batch of one.
    pub(super) fn batch(self) -> Result<Vec<Json<'a>>, Malformed> {
        let events = match self.0 {
            Some(Value::Array(list)) => list.iter().map(Json::of).collect(),
            Some(Value::Object(_)) => vec![self],
            _ => Vec::new(),
        };
        if events.len() > BATCH_LEN_MAX {
            return Err(Malformed(format!("the body must be at most {BATCH_LEN_MAX} events")));
        }
        if events.is_empty() && !matches!(self.0, Some(Value::Array(_))) || !events.iter().all(|one| one.is_object()) {
            return Err(Malformed("the body must be a JSON object, or a list of them".into()));
        }
        Ok(events)
    }

    /// A moment: RFC 3339, or Unix seconds with or without a fraction, or Unix milliseconds.
    pub(super) fn moment(self) -> Option<UnixMillis> {
        match self.0? {
            Value::Number(number) => unix(number.as_f64()?),
            Value::String(text) => moment(text.trim()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// A moment in a text: RFC 3339, its near spellings (a space for the `T`, `+00` for `+00:00`), RFC 2822, or a Unix time.
pub(super) fn moment(text: &str) -> Option<UnixMillis> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    // Postmark writes the offset of a mail's date with a colon.
    let plain = match text.rsplit_once(':') {
        Some((date, minutes))
            if minutes.len() == 2
                && date.get(..date.len().saturating_sub(2)).is_some_and(|date| date.ends_with(['+', '-'])) =>
        {
            format!("{date}{minutes}")
        }
        _ => text.to_owned(),
    };
    if let Ok(at) = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(&plain) {
        return Some(UnixMillis(at.as_millisecond()));
    }
    text.parse().ok().and_then(unix)
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn unix(number: f64) -> Option<UnixMillis> {
    let millis = if number < SECONDS_MAX { number * 1000.0 } else { number };
    // To the nearest: three decimals of a float are rarely exact.
    (number >= 0.0 && millis < 4e14).then(|| UnixMillis(millis.round() as i64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_are_read_in_every_spelling_that_providers_use() {
        for (value, millis) in [
            (json!("2024-02-22T23:41:12.126Z"), 1_708_645_272_126),
            (json!("2023-02-22T23:41:11.894719+00:00"), 1_677_109_271_894),
            (json!("2024-11-22 23:41:12.126000+00"), 1_732_318_872_126),
            (json!("2019-11-05T16:33:54.0Z"), 1_572_971_634_000),
            (json!("2019-11-05T11:33:54-05:00"), 1_572_971_634_000),
            (json!("Tue, 05 Nov 2019 11:33:54 -0500"), 1_572_971_634_000),
            (json!("Tue, 5 Nov 2019 11:33:54 -05:00"), 1_572_971_634_000),
            (json!(1_529_006_854.329_574_f64), 1_529_006_854_330),
            (json!(1_600_112_492), 1_600_112_492_000),
            (json!("1600112492"), 1_600_112_492_000),
            (json!(1_600_112_492_123_i64), 1_600_112_492_123),
        ] {
            assert_eq!(Json::of(&value).moment(), Some(UnixMillis(millis)), "{value}");
        }
        for value in [json!(null), json!(-1), json!(1e300), json!("soon"), json!([1]), json!("NaN"), json!("ä-äää:00")]
        {
            assert_eq!(Json::of(&value).moment(), None, "{value}");
        }
    }

    #[test]
    fn whole_numbers_keep_all_their_digits() {
        let value = json!({"id": u64::MAX});
        assert_eq!(Json::of(&value).at("id").owned().as_deref(), Some("18446744073709551615"));
    }
}
