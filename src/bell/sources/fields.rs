//! Fields of a hostile JSON object: each is taken as it comes and judged by name afterwards, so that an error says which
//! field is wrong and what is expected there, and never repeats what the sender wrote.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::Malformed;

/// Elements of a list that are kept; the rest of a longer one is read over.
const LIST_LEN_MAX: usize = 50;

/// A field as it came.
#[derive(Debug, Default)]
pub(super) enum Field<'a> {
    /// Missing, or null.
    #[default]
    Absent,
    Bool(bool),
    /// A text, or the digits of a whole number: some systems number their messages beyond 2^53.
    Text(Cow<'a, str>),
    List(Vec<Field<'a>>),
    /// An object, or a number with a fraction: nothing that any field here should be.
    Other,
}

impl<'a> Field<'a> {
    /// This field, or where it is absent, `other`.
    pub(super) fn or<'s>(&'s self, other: &'s Field<'a>) -> &'s Field<'a> {
        if matches!(self, Self::Absent) { other } else { self }
    }

    /// A text without the space around it; an empty one counts as absent.
    fn text(&self, name: &str) -> Result<Option<&str>, Malformed> {
        match self {
            Self::Absent => Ok(None),
            Self::Text(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Self::Bool(_) | Self::List(_) | Self::Other => Err(Malformed(format!("`{name}` must be a text"))),
        }
    }

    /// A text that names something: longer than `bytes_max` it is refused, because a part of a name names nothing.
    pub(super) fn name(&self, name: &str, bytes_max: usize) -> Result<Option<&str>, Malformed> {
        let text = self.text(name)?;
        if text.is_some_and(|text| text.len() > bytes_max || text.chars().any(char::is_control)) {
            return Err(Malformed(format!("`{name}` must be at most {bytes_max} bytes, without control characters")));
        }
        Ok(text)
    }

    /// A text that people read: longer than `chars_max` it is cut.
    pub(super) fn prose(&self, name: &str, chars_max: usize) -> Result<Option<String>, Malformed> {
        Ok(self.text(name)?.map(|text| cut(text, chars_max).to_owned()))
    }

    /// One text or a list of them, each cut to `chars_max`.
    pub(super) fn texts(&self, name: &str, chars_max: usize) -> Result<Vec<String>, Malformed> {
        match self {
            Self::List(list) => list.iter().filter_map(|one| one.prose(name, chars_max).transpose()).collect(),
            one => Ok(one.prose(name, chars_max)?.into_iter().collect()),
        }
    }

    /// Yes or no.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Malformed> {
        match self {
            Self::Absent => Ok(None),
            Self::Bool(flag) => Ok(Some(*flag)),
            Self::Text(_) | Self::List(_) | Self::Other => Err(Malformed(format!("`{name}` must be true or false"))),
        }
    }
}

/// The first `chars_max` characters of `text`.
fn cut(text: &str, chars_max: usize) -> &str {
    text.char_indices().nth(chars_max).map_or(text, |(end, _)| &text[..end])
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Field::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Field::Text(value.to_string().into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Field::Text(value.to_string().into()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while list.len() < LIST_LEN_MAX {
            match seq.next_element()? {
                Some(element) => list.push(element),
                None => return Ok(Field::List(list)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}
