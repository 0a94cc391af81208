//! Cuts what comes in into command lines, and hands the rest on as content.

use super::limits::COMMAND_BYTES_MAX;

/// Bytes that came in and were not taken yet.
#[derive(Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    taken: usize,
    /// The rest of a line that was too long is being thrown away.
    skipping: bool,
}

/// A command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// With its line end.
    Whole(Vec<u8>),
    /// It was longer than [`COMMAND_BYTES_MAX`], and is gone.
    TooLong,
}

impl Incoming {
    /// Where to read into.
    pub(super) fn buffer(&mut self, room_bytes: usize) -> &mut Vec<u8> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.reserve(room_bytes);
        &mut self.bytes
    }

    /// What came in and was not taken yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Takes so many bytes of [`Self::rest`].
    pub(super) fn take(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count).min(self.bytes.len());
    }

    /// The next line, if it is all there.
    pub(super) fn line(&mut self) -> Option<Line> {
        let rest = self.rest();
        let end = rest.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        if self.skipping {
            self.skipping = end.is_none();
            self.take(end.unwrap_or(usize::MAX));
            return if self.skipping { None } else { self.line() };
        }
        match end {
            Some(end) if end <= COMMAND_BYTES_MAX => {
                let line = rest[..end].to_vec();
                self.take(end);
                Some(Line::Whole(line))
            }
            Some(end) => {
                self.take(end);
                Some(Line::TooLong)
            }
            None if rest.len() >= COMMAND_BYTES_MAX => {
                self.skipping = true;
                self.take(usize::MAX);
                Some(Line::TooLong)
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(incoming: &mut Incoming, bytes: &[u8]) -> Vec<Line> {
        incoming.buffer(bytes.len()).extend_from_slice(bytes);
        std::iter::from_fn(|| incoming.line()).collect()
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_come_out_whole_however_they_come_in() {
        let mut incoming = Incoming::default();
        assert_eq!(lines(&mut incoming, b"NO"), []);
        assert_eq!(lines(&mut incoming, b"OP\r"), []);
        assert_eq!(lines(&mut incoming, b"\nRSET\nQU"), [whole("NOOP\r\n"), whole("RSET\n")]);
        assert_eq!(lines(&mut incoming, b"IT\r\n"), [whole("QUIT\r\n")]);
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_skipped_to_its_end() {
        let mut incoming = Incoming::default();
        assert_eq!(lines(&mut incoming, &[b'x'; COMMAND_BYTES_MAX]), [Line::TooLong]);
        assert_eq!(lines(&mut incoming, &[b'y'; 9_999]), []);
        assert_eq!(lines(&mut incoming, b"z\r\nNOOP\r\n"), [whole("NOOP\r\n")]);
        let mut long = vec![b'x'; COMMAND_BYTES_MAX];
        long.extend_from_slice(b"\r\nNOOP\r\n");
        assert_eq!(lines(&mut incoming, &long), [Line::TooLong, whole("NOOP\r\n")]);
    }
}
