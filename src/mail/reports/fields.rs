//! Fields as in a header (`Name: value`, folded), in groups that blank lines part (RFC 3464 section 2.1, RFC 5965).

use super::limits::{DIAGNOSTIC_BYTES_MAX, cut};

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// In lower case.
    pub(super) name: String,
    /// With its folds joined, at most [`DIAGNOSTIC_BYTES_MAX`] of it.
    pub(super) value: String,
}

/// The groups of fields in `text`. Lines that are no field and follow one without a blank belong to it, for some write
/// the lines of an SMTP reply that way; in a group without any field they are passed over.
pub(super) fn read(text: &str) -> Vec<Vec<Field>> {
    let mut groups: Vec<Vec<Field>> = Vec::new();
    let mut group: Vec<Field> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            if !group.is_empty() {
                groups.push(std::mem::take(&mut group));
            }
            continue;
        }
        let begins = !line.starts_with([' ', '\t']) && !is_reply_line(line);
        if let (true, Some((name, value))) = (begins, split(line)) {
            let value = cut(value, DIAGNOSTIC_BYTES_MAX).to_owned();
            group.push(Field { name: name.to_ascii_lowercase(), value });
        } else if let Some(last) = group.last_mut() {
            let room = DIAGNOSTIC_BYTES_MAX.saturating_sub(last.value.len() + 1);
            if !last.value.is_empty() && room > 0 {
                last.value.push(' ');
            }
            last.value.push_str(cut(line.trim(), room));
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

/// `550-5.7.1 See: …` is the next line of a reply, not a field.
fn is_reply_line(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.len() > 3 && bytes[..3].iter().all(u8::is_ascii_digit) && matches!(bytes[3], b' ' | b'-')
}

fn split(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end();
    let good = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    good.then(|| (name, value.trim()))
}

/// The value of a field in a group.
pub(super) fn value<'a>(group: &'a [Field], name: &str) -> Option<&'a str> {
    group.iter().find(|field| field.name == name && !field.value.is_empty()).map(|field| field.value.as_str())
}

/// The value behind a type, such as `dns; mx.example`, or the whole where there is no type (RFC 3464 section 2.1.2).
pub(super) fn untyped(value: &str) -> &str {
    match value.split_once(';') {
        Some((kind, rest))
            if kind.trim().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b' ')) =>
        {
            rest.trim()
        }
        _ => value.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_folds_are_read() {
        let groups =
            read("A: 1\nB:  two\n  lines\n\nDiagnostic-Code: smtp; 550-one\n550-see: two\n550 three\n\n\nC: 3");
        assert_eq!(groups.len(), 3);
        assert_eq!(value(&groups[0], "b"), Some("two lines"));
        assert_eq!(value(&groups[1], "diagnostic-code"), Some("smtp; 550-one 550-see: two 550 three"));
    }

    #[test]
    fn types_are_taken_off() {
        assert_eq!(untyped("rfc822; a@b"), "a@b");
        assert_eq!(untyped("X-Postfix; no; such"), "no; such");
        assert_eq!(untyped("<a@b>"), "<a@b>");
    }
}
