//! Whether a machine fetched an image, as far as its request tells.
//!
//! Privacy proxies exist to make this hard: Apple's fetches every image soon after the mail arrives, whether or not
//! anybody looks, and calls itself a bare `Mozilla/5.0`; those of Gmail, Yahoo and Outlook stand between us and the
//! person, so that nothing of a person is seen. All of those count as machines. A browser's own name is taken for a
//! person's, though a scanner may borrow one; anything else is not known.

/// What is known of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asking<'a> {
    /// Its User-Agent.
    pub user_agent: Option<&'a str>,
    /// Its `Sec-Purpose`, `Purpose`, `X-Purpose` or `X-Moz`.
    pub purpose: Option<&'a str>,
}

/// The whole name of what fetches ahead of people: Apple Mail Privacy Protection, and Gmail's prefetcher.
const WHOLE_NAMES: [&str; 2] = [
    "mozilla/5.0",
    "mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 (khtml, like gecko) chrome/42.0.2311.135 \
     safari/537.36 edge/12.246 mozilla/5.0",
];
/// What occurs in the names of machines: image proxies, scanners of mail, crawlers, libraries. In lower case.
const PARTS_OF_NAMES: [&str; 26] = [
    "imageproxy",
    "mailproxy",
    "mail proxy",
    "ggpht.com",
    "existence discovery",
    "barracuda",
    "mimecast",
    "proofpoint",
    "fireeye",
    "symantec",
    "sophos",
    "trendmicro",
    "safelinks",
    "urlscan",
    "headless",
    "bot/",
    "bot)",
    "bot;",
    "crawler",
    "spider",
    "preview",
    "curl/",
    "wget/",
    "python-",
    "go-http-client",
    "libwww",
];
/// What occurs in the names of programs that people read mail with. In lower case.
const READERS: [&str; 6] = ["mozilla/5.0 (", "mozilla/4.0 (", "thunderbird", "outlook", "ms-office", "opera/"];

/// Whether a machine asks; none where that cannot be known.
pub fn machine(asking: &Asking<'_>) -> Option<bool> {
    if asking.purpose.is_some_and(|purpose| {
        let purpose = purpose.to_ascii_lowercase();
        purpose.contains("prefetch") || purpose.contains("preview")
    }) {
        return Some(true);
    }
    let name = asking.user_agent?.trim().to_ascii_lowercase();
    if WHOLE_NAMES.contains(&name.as_str()) || PARTS_OF_NAMES.iter().any(|part| name.contains(part)) {
        return Some(true);
    }
    READERS.iter().any(|part| name.contains(part)).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_from_people_as_far_as_they_say() {
        for (user_agent, expected) in [
            (Some("Mozilla/5.0"), Some(true)),
            (
                Some("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"),
                Some(true),
            ),
            (Some("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"), Some(true)),
            (Some("Mozilla/5.0 (Linux) OutlookImageProxy/1.0"), Some(true)),
            (Some("Microsoft Office Existence Discovery"), Some(true)),
            (Some("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"), Some(true)),
            (Some("curl/8.5.0"), Some(true)),
            (Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.0"), Some(false)),
            (
                Some("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"),
                Some(false),
            ),
            (Some("Mozilla/4.0 (compatible; ms-office; MSOffice 16)"), Some(false)),
            (Some("Mutt"), None),
            (Some(""), None),
            (None, None),
        ] {
            assert_eq!(machine(&Asking { user_agent, purpose: None }), expected, "{user_agent:?}");
        }
        let person = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        for (purpose, expected) in [("prefetch;prerender", true), ("preview", true), ("", false)] {
            let asking = Asking { user_agent: Some(person), purpose: Some(purpose) };
            assert_eq!(machine(&asking), Some(expected), "{purpose}");
        }
    }
}
