//! Files written into the text of old mail (uuencode, POSIX.1-2017): `begin 644 name`, lines, `end`.

/// Files of one text: more are left in it.
const FILES_MAX: usize = 20;

/// What the first line of a file begins with.
const BEGIN: &str = "begin ";

/// The text without the files in it, and the files by name.
pub(super) fn take_out(text: String) -> (String, Vec<(String, Vec<u8>)>) {
    // Nearly every text is kept as it is.
    if text.contains(BEGIN) { by_line(&text) } else { (text, Vec::new()) }
}

fn by_line(text: &str) -> (String, Vec<(String, Vec<u8>)>) {
    let (mut rest, mut files) = (String::with_capacity(text.len()), Vec::new());
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let mut ahead = lines.clone();
        match name(line).filter(|_| files.len() < FILES_MAX).and_then(|name| Some((name, content(&mut ahead)?))) {
            Some(file) => {
                files.push(file);
                lines = ahead;
            }
            None => rest.push_str(line),
        }
    }
    (rest, files)
}

fn name(line: &str) -> Option<String> {
    let (mode, name) = line.strip_prefix(BEGIN)?.trim_end().split_once(' ')?;
    let is_mode = matches!(mode.len(), 3 | 4) && mode.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    (is_mode && !name.trim().is_empty()).then(|| name.trim().to_owned())
}

/// The bytes of a file, whose lines are taken up to its end, or to the first that can be none of it; none if there is
/// no line of it.
fn content<'a>(lines: &mut (impl Iterator<Item = &'a str> + Clone)) -> Option<Vec<u8>> {
    let (mut bytes, mut any) = (Vec::new(), false);
    loop {
        let mut ahead = lines.clone();
        let Some(line) = ahead.next().map(|line| line.trim_end_matches(['\r', '\n'])) else { break };
        if any && line == "end" {
            *lines = ahead;
            break;
        }
        let Some(decoded) = decoded(line.as_bytes()) else { break };
        any = true;
        bytes.extend(decoded);
        *lines = ahead;
    }
    any.then_some(bytes)
}

fn decoded(line: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = line.split_first()?;
    if !line.iter().all(|byte| (b' '..=b'`').contains(byte)) {
        return None;
    }
    let six = |byte: &u8| u32::from((byte - b' ') & 0x3f);
    let length = six(first) as usize;
    let written = length.div_ceil(3) * 4;
    // Blanks at the end get lost on the way, and some write a check sum.
    if rest.len() > written + 2 || rest.len() + 3 < written {
        return None;
    }
    let mut bytes = Vec::with_capacity(written);
    for four in rest[..rest.len().min(written)].chunks(4) {
        let bits = (0..4).fold(0, |bits, at| bits << 6 | four.get(at).map_or(0, six));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn files_are_taken_out_of_the_text() {
        let text = "Hi\n\nbegin 644 a b.txt\n%:&5L;&\\\n`\nend\nbye\n";
        assert_eq!(take_out(text.to_owned()), ("Hi\n\nbye\n".into(), vec![("a b.txt".into(), b"hello".to_vec())]));
        let unfinished = "begin 0644 a.txt\n%:&5L;&\\\n";
        assert_eq!(take_out(unfinished.to_owned()).1, [("a.txt".into(), b"hello".to_vec())]);
    }

    #[test]
    fn sentences_are_no_files() {
        for text in ["begin 644 of them\nand so on\n", "begin with this\n", "begin 999 x\n%:&5L;&\\\n", "begin 644 x"] {
            assert_eq!(take_out(text.to_owned()), (text.to_owned(), Vec::new()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_without_files_is_read_as_by_line(
            text in "(begin 644 a\r?\n|begin |begin|%:&5L;&\\\\\n|`\n|end\n|\r?\n|[a é]{0,4}){0,12}",
        ) {
            prop_assert_eq!(take_out(text.clone()), by_line(&text));
        }
    }
}
