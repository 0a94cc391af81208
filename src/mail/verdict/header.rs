//! Reads `Authentication-Results` (RFC 8601) of a server that we trust.
//!
//! Only a field above that server's own `Received` counts: what stands below came to it from outside, whatever name it
//! bears (RFC 8601 section 5 has border servers remove such fields, and not all do).

use crate::{
    domain::verdict::{Finding, Outcome, Verdict},
    mail::mime::limits::HEADER_BYTES_MAX,
};

/// Findings that are kept of one message.
const FINDINGS_MAX: usize = 20;
/// The longest domain that is kept, in bytes.
const DOMAIN_BYTES_MAX: usize = 253;

/// The verdict that the server called `name` put on the message `raw`, which begins with the trace that we put before
/// it; none if it put none.
pub(super) fn verdict(raw: &[u8], name: &str) -> Option<Verdict> {
    let mut verdict = Verdict { by: name.to_ascii_lowercase(), ..Verdict::default() };
    let mut found = false;
    let mut received = 0;
    for (field, value) in fields(raw) {
        if field.eq_ignore_ascii_case(b"received") {
            received += 1;
            // The first is ours, the second is the trusted server's.
            if received == 2 {
                break;
            }
        } else if field.eq_ignore_ascii_case(b"authentication-results") {
            found |= read(&String::from_utf8_lossy(&value), name, &mut verdict);
        }
    }
    found.then_some(verdict)
}

/// The fields of a header block, unfolded, in order.
fn fields(raw: &[u8]) -> impl Iterator<Item = (&[u8], Vec<u8>)> {
    let mut lines = raw[..raw.len().min(HEADER_BYTES_MAX)].split_inclusive(|byte| *byte == b'\n').peekable();
    std::iter::from_fn(move || {
        let line = lines.next().filter(|line| !line.trim_ascii().is_empty())?;
        let colon = line.iter().position(|byte| *byte == b':')?;
        let mut value = line[colon + 1..].to_vec();
        while let Some(more) = lines.next_if(|line| matches!(line.first(), Some(b' ' | b'\t'))) {
            value.extend_from_slice(more);
        }
        Some((line[..colon].trim_ascii_end(), value))
    })
}

/// Adds what one field says; false if it is another server's.
fn read(value: &str, name: &str, verdict: &mut Verdict) -> bool {
    let statements = statements(value);
    let mut statements = statements.iter();
    // The name may be followed by a version.
    let ours = statements.next().and_then(|first| first.first()).is_some_and(|said| said.eq_ignore_ascii_case(name));
    if !ours {
        return false;
    }
    for words in statements {
        let Some((method, result)) = words.first().and_then(|first| first.split_once('=')) else { continue };
        let method = method.split('/').next().unwrap_or(method).to_ascii_lowercase();
        let Some(result) = Outcome::of(result) else { continue };
        let property = |names: &[&str]| {
            let value = |word: &String| {
                let (name, value) = word.split_once('=')?;
                names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)).then(|| domain_of(value))?
            };
            words.iter().skip(1).find_map(value)
        };
        match method.as_str() {
            "spf" => {
                let domain = property(&["smtp.mailfrom", "smtp.mail", "smtp.helo"]);
                verdict.spf.get_or_insert(Finding { result, domain });
            }
            "dkim" if verdict.dkim.len() < FINDINGS_MAX => {
                let domain = property(&["header.d"]).or_else(|| property(&["header.i"]));
                verdict.dkim.push(Finding { result, domain });
            }
            "dmarc" => {
                let domain = property(&["header.from"]);
                verdict.dmarc.get_or_insert(Finding { result, domain });
            }
            _ => {}
        }
    }
    true
}

/// The domain of a property's value, which may be an address.
fn domain_of(value: &str) -> Option<String> {
    let domain = value.rsplit('@').next().unwrap_or(value).to_lowercase();
    let fits = !domain.is_empty() && domain.len() <= DOMAIN_BYTES_MAX;
    (fits && crate::domain::address::is_domain(&domain)).then_some(domain)
}

/// Cuts a field at its semicolons into lists of words, without comments and blanks around `=`; quotes fall away.
fn statements(value: &str) -> Vec<Vec<String>> {
    let mut statements = vec![Vec::new()];
    let mut word = String::new();
    // After `=`, or before it: the blank between belongs to no end of a word.
    let (mut depth, mut quoted, mut blank) = (0_u32, false, false);
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted || depth > 0 => {
                let escaped = chars.next();
                if depth == 0 {
                    word.extend(escaped);
                }
            }
            '"' if depth == 0 => quoted = !quoted,
            _ if quoted => word.push(c),
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            ';' => {
                end(&mut word, &mut statements);
                statements.push(Vec::new());
                blank = false;
            }
            c if c.is_whitespace() => blank = true,
            c => {
                if blank && c != '=' && !word.ends_with('=') {
                    end(&mut word, &mut statements);
                }
                blank = false;
                word.push(c);
            }
        }
    }
    end(&mut word, &mut statements);
    statements
}

fn end(word: &mut String, statements: &mut [Vec<String>]) {
    if !word.is_empty()
        && let Some(last) = statements.last_mut()
    {
        last.push(std::mem::take(word));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OURS: &str = "Return-Path: <a@b.test>\r\nReceived: from mx.test\r\n\tby us;\r\n\tnow\r\n";

    fn finding(result: Outcome, domain: &str) -> Finding {
        Finding { result, domain: Some(domain.into()) }
    }

    #[test]
    fn the_trusted_server_s_results_are_read_however_they_are_written() {
        let raw = format!(
            "{OURS}Authentication-Results: MX.Example.org 1;\r\n\tspf = pass (sender ; SPF authorized \\) ok)\r\n\t\
             smtp.mailfrom=\"bob@Sender.test\";\r\n dkim=pass reason=\"good; really\" header.d=sender.test header.i=@x.test;\
             \r\n dkim/1=fail header.i=list@List.test\r\nX: y\r\nAuthentication-Results: other.test; dmarc=pass\r\n\
             authentication-results: mx.example.org; dmarc=none (p=none) header.from=sender.test; iprev=pass\r\n\
             Received: from world by mx.example.org\r\n\
             Authentication-Results: mx.example.org; dmarc=pass header.from=forged.test; spf=fail\r\n\r\nbody"
        );
        let verdict = verdict(raw.as_bytes(), "mx.example.org").expect("a verdict");
        assert_eq!(verdict.by, "mx.example.org");
        assert_eq!(verdict.spf, Some(finding(Outcome::Pass, "sender.test")));
        assert_eq!(verdict.dkim, [finding(Outcome::Pass, "sender.test"), finding(Outcome::Fail, "list.test")]);
        assert_eq!(verdict.dmarc, Some(finding(Outcome::None, "sender.test")));
        assert!(verdict.dkim_passes("Sender.test") && !verdict.dkim_passes("list.test"));
    }

    #[test]
    fn what_came_from_outside_is_no_verdict() {
        for rest in [
            "Received: from world by mx.test\r\nAuthentication-Results: mx.test; dmarc=pass\r\n\r\n",
            "Authentication-Results: mx.test.evil; dmarc=pass\r\n\r\n",
            "Authentication-Results: (mx.test) evil; dmarc=pass\r\n\r\n",
            "Subject: x\r\n\r\nAuthentication-Results: mx.test; dmarc=pass\r\n",
            "no header\r\nAuthentication-Results: mx.test; dmarc=pass\r\n",
            "Authentication-Results:\r\n\r\n",
        ] {
            assert_eq!(verdict(format!("{OURS}{rest}").as_bytes(), "mx.test"), None, "{rest}");
        }
        let none = format!("{OURS}Authentication-Results: mx.test; none\r\n\r\n");
        let looked = verdict(none.as_bytes(), "mx.test").expect("it looked");
        assert_eq!((looked.spf, looked.dkim, looked.dmarc), (None, vec![], None));
    }

    proptest! {
        #[test]
        fn no_field_panics(value in "(mx[.]test)?[ -~\\r\\n\\t;=()\"\\\\]{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut raw = format!("{OURS}Authentication-Results: {value}\r\n").into_bytes();
            raw.extend(bytes);
            let _ = verdict(&raw, "mx.test");
        }
    }
}
