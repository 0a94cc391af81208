use proptest::prelude::*;

use super::*;

/// What `input` is as a message when it comes in pieces of `size` bytes, and what of it lies behind the end.
fn unframed(input: &[u8], size: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut unframe, mut message, mut at) = (Unframe::LineStart, Vec::new(), 0);
    for piece in input.chunks(size) {
        if let Some(used) = unframe.feed(piece, |kept| message.extend_from_slice(kept)) {
            return Some((message, input[at + used..].to_vec()));
        }
        at += piece.len();
    }
    None
}

#[test]
fn a_message_ends_at_crlf_dot_crlf_and_dots_are_unstuffed() {
    for (input, message, behind) in [
        ("hi\r\n.\r\nNOOP\r\n", "hi\r\n", "NOOP\r\n"),
        (".\r\n", "", ""),
        ("..\r\n.\r\n", ".\r\n", ""),
        (".a\r\n...b\r\n.\r\n", "a\r\n..b\r\n", ""),
        ("a.\r\n.\r\n", "a.\r\n", ""),
        ("\r\n\r\n.\r\n", "\r\n\r\n", ""),
    ] {
        for size in 1..=input.len() {
            let expected = Some((message.as_bytes().to_vec(), behind.as_bytes().to_vec()));
            assert_eq!(unframed(input.as_bytes(), size), expected, "{input:?} in pieces of {size}");
        }
    }
}

#[test]
fn what_only_looks_like_an_end_is_content() {
    for smuggled in [
        "\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\n",
        "\r\n.\r",
        "\n.\r",
        "\r\n.\r\r\n",
        "\r\n.\0\r\n",
        "\r\n. \r\n",
        "\r\n\n.\r\n",
    ] {
        let input = format!("a{smuggled}MAIL FROM:<x@y.test>\r\n.\r\nQUIT\r\n");
        for size in 1..=input.len() {
            let (message, behind) = unframed(input.as_bytes(), size).expect("it ends");
            let text = String::from_utf8_lossy(&message);
            assert!(text.ends_with("MAIL FROM:<x@y.test>\r\n"), "{smuggled:?} in pieces of {size}: {text:?}");
            assert_eq!(behind, b"QUIT\r\n", "{smuggled:?} in pieces of {size}");
        }
    }
}

fn memory() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(4))
}

#[test]
fn a_message_over_the_limit_is_read_to_its_end_and_thrown_away() {
    let memory = memory();
    let mut content = Content::new(b"Trace: t\r\n".to_vec(), 10, memory.clone());
    assert_eq!(content.feed(b"12345678\r\n"), None);
    assert_eq!(content.as_sent(), b"12345678\r\n");
    assert_eq!(content.feed(b"9"), None);
    assert_eq!(memory.available_permits(), 4, "nothing is held for what is thrown away");
    assert_eq!(content.feed(b"\r\n.\r\nrest"), Some(5));
    assert_eq!(content.finish().map(|_| ()), Err(Overflow::TooBig));

    let mut exact = Content::new(b"Trace: t\r\n".to_vec(), 10, memory);
    assert_eq!(exact.feed(b"12345678\r\n.\r\n"), Some(13));
    assert_eq!(exact.finish().map(|(raw, _)| raw), Ok(b"Trace: t\r\n12345678\r\n".to_vec()));
}

#[test]
fn all_messages_together_take_no_more_than_there_is() {
    let memory = memory();
    let most = RESERVE_BYTES * 3;
    let mut first = Content::new(Vec::new(), usize::MAX, memory.clone());
    first.feed(&vec![b'a'; most]);
    assert_eq!(memory.available_permits(), 1);
    let mut second = Content::new(Vec::new(), usize::MAX, memory.clone());
    second.feed(&vec![b'b'; most]);
    second.feed(b"\r\n.\r\n");
    assert_eq!(second.finish().map(|_| ()), Err(Overflow::NoMemory));
    first.feed(b"\r\n.\r\n");
    drop(first.finish());
    assert_eq!(memory.available_permits(), 4, "what a message held is given back");
}

proptest! {
    #[test]
    fn stuffing_and_unstuffing_give_the_message_back(
        message in prop::collection::vec(prop::sample::select(vec![b'a', b'.', b'\r', b'\n']), 0..60),
        size in 1usize..20,
    ) {
        // As a client stuffs: a dot before each that begins a line, where a line ends with CRLF.
        let mut stuffed = Vec::new();
        let mut sent = message.clone();
        sent.extend_from_slice(b"\r\n");
        for (at, byte) in sent.iter().enumerate() {
            if *byte == b'.' && (at == 0 || sent[..at].ends_with(b"\r\n")) {
                stuffed.push(b'.');
            }
            stuffed.push(*byte);
        }
        stuffed.extend_from_slice(b".\r\nQUIT");
        prop_assert_eq!(unframed(&stuffed, size), Some((sent, b"QUIT".to_vec())));
    }

    #[test]
    fn no_bytes_panic_and_pieces_make_no_difference(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1usize..40) {
        prop_assert_eq!(unframed(&bytes, size), unframed(&bytes, bytes.len().max(1)));
    }
}
