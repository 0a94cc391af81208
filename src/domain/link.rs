//! Links whose text says one host while they lead to another: the oldest trick of a mail that wants to be obeyed.
//!
//! What a text names is compared as it stands, without a list of who owns which domain: a click tracker is told of like a
//! fraud, for it too leads elsewhere than its text says.

use url::Url;

use super::address::{ascii_domain, is_domain};

/// What stands behind the last dot of file names, and is the top of no domain.
const FILE_ENDINGS: [&str; 16] = [
    "csv", "doc", "docx", "exe", "gif", "htm", "html", "jpeg", "jpg", "json", "pdf", "png", "svg", "txt", "xlsx", "xml",
];
/// How far before a link's address its text is looked for, in bytes.
const TEXT_BYTES_MAX: usize = 512;

/// Whether `text`, which is shown for a link to `target`, names a host (or the domain of an address) that is neither the
/// target's, nor above or below it.
pub fn names_another_host(text: &str, target: &str) -> bool {
    let Some(target) = host_of(target) else { return false };
    let apart = |c: char| c.is_whitespace() || ",;()<>[]{}\"'«»“”„|".contains(c);
    text.split(apart).filter_map(named_host).any(|named| !are_related(&named, &target))
}

/// How many links in `text` name another host than they lead to: those written as `[text](target)`, and those that are
/// listed as `- text: target`.
pub fn misleading_links(text: &str) -> usize {
    text.lines().map(|line| in_markdown(line) + usize::from(is_listed(line))).sum()
}

fn in_markdown(line: &str) -> usize {
    let targets = line.match_indices("](");
    targets
        .filter(|(at, _)| {
            let mut start = at.saturating_sub(TEXT_BYTES_MAX);
            while !line.is_char_boundary(start) {
                start += 1;
            }
            let name = line[start..*at].rsplit('[').next().unwrap_or_default();
            let target = line[at + 2..].split([')', ' ', '>']).next().unwrap_or_default();
            names_another_host(name, target.trim_start_matches('<'))
        })
        .count()
}

fn is_listed(line: &str) -> bool {
    let Some(entry) = line.trim_start().strip_prefix("- ") else { return false };
    // The address is behind the last of these, for the text may hold one too.
    let Some(at) = [": http://", ": https://", ": mailto:"].iter().filter_map(|scheme| entry.rfind(scheme)).max()
    else {
        return false;
    };
    let target = entry[at + 2..].split_whitespace().next().unwrap_or_default();
    names_another_host(&entry[..at], target)
}

fn host_of(target: &str) -> Option<String> {
    let url: Url = target.parse().ok()?;
    if url.scheme() == "mailto" {
        let (_, domain) = url.path().rsplit_once('@')?;
        return Some(ascii_domain(domain).into_owned());
    }
    url.host_str().map(str::to_owned)
}

/// The host that a word of a text is, or is an address or a URL of.
fn named_host(word: &str) -> Option<String> {
    let word = word.trim_end_matches(['.', ':', '!', '?', '…']);
    let has_scheme = word.contains("://");
    let word = word.rsplit("://").next()?;
    let word = word.split(['/', '?', '#', '\\']).next()?;
    let word = word.rsplit('@').next()?;
    let word = word.split(':').next()?;
    // Mapped first: that takes out what nobody sees, and knows every dot.
    let host = ascii_domain(word);
    let (_, top) = host.rsplit_once('.')?;
    let is_top = top.len() >= 2 && (top.starts_with("xn--") || top.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let is_host = has_scheme || (is_top && !FILE_ENDINGS.contains(&top));
    (is_host && is_domain(&host)).then(|| host.into_owned())
}

fn are_related(one: &str, other: &str) -> bool {
    let plain = |host: &str| host.strip_prefix("www.").unwrap_or(host).to_owned();
    let (one, other) = (plain(one), plain(other));
    let below = |host: &str, above: &str| host.strip_suffix(above).is_some_and(|rest| rest.ends_with('.'));
    one == other || below(&one, &other) || below(&other, &one)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_names_another_host_is_seen() {
        for (text, target, misleads) in [
            ("paypal.com", "https://evil.test/", true),
            ("Log in at www.paypal.com/login now", "https://evil.test/", true),
            ("https://paypal.com", "https://paypal.com.evil.test/", true),
            ("https://paypal.com", "https://paypal.com@evil.test/", true),
            ("pay\u{200b}pal.com", "https://evil.test/", true),
            ("pаypal.com", "https://paypal.com/", true),
            ("PayPal。com", "https://evil.test/", true),
            ("https://10.0.0.1/", "https://evil.test/", true),
            ("support@paypal.com", "mailto:thief@evil.test?subject=x", true),
            ("paypal.com", "https://www.paypal.com/signin", false),
            ("www.paypal.com", "https://click.paypal.com/x", false),
            ("bob@a.test", "mailto:bob@a.test", false),
            ("bücher.test", "https://xn--bcher-kva.test/", false),
            ("click here", "https://evil.test/", false),
            ("invoice.pdf, version 2.0.", "https://files.test/", false),
            ("paypal.com", "no url", false),
        ] {
            assert_eq!(names_another_host(text, target), misleads, "{text} -> {target}");
        }
    }

    #[test]
    fn misleading_links_are_counted_however_they_are_written() {
        let text = "See [paypal.com](https://evil.test/a) or [here](https://evil.test/b).\n\nLinks:\n\
            - paypal.com: https://evil.test/c (names another host)\n- the shop: https://evil.test/d\n- https://evil.test/e\n\
            - a: b: support@bank.test: mailto:thief@evil.test";
        assert_eq!(misleading_links(text), 3);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", target in "(https?://|mailto:)?.*") {
            names_another_host(&text, &target);
            misleading_links(&format!("- {text}: {target}\n[{text}]({target})[é{text}]("));
        }
    }
}
