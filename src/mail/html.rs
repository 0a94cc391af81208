//! HTML as plain text, in time that grows with its length whatever it holds.
//!
//! html2text lays out the text, but its tree takes quadratic time in the depth of nesting and its tables blow up, so it
//! never sees the sender's HTML: a linear tokenizer pass writes it anew with the few elements that shape text,
//! balanced, nested at most [`NESTING_MAX`] deep, without scripts, styles and attributes. Links are listed apart, so
//! that an agent has their addresses and a snippet does not.

mod flatten;
mod hidden;
mod links;

use flatten::flatten;

/// How deep elements may nest; deeper ones are taken as if they were not there, their text stays.
const NESTING_MAX: usize = 256;
/// How deep those may nest that indent their text: lines grow with each.
const INDENTING_MAX: usize = 8;
/// Wide enough that lines break only where the HTML says so: the reader wraps.
const WIDTH_COLUMNS: usize = 100_000;

/// HTML as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What a reader sees.
    pub text: String,
    /// The links in it, as a list under a heading; empty if there are none.
    pub links: String,
    /// Characters that were left out because no reader would see them: in elements that are hidden, and in comments.
    pub hidden_chars: usize,
}

/// What `source` shows.
pub fn to_text(source: &str) -> Shown {
    let flat = flatten(source);
    let laid_out = html2text::config::plain_no_decorate()
        .allow_width_overflow()
        .string_from_read(flat.html.as_bytes(), WIDTH_COLUMNS)
        .unwrap_or(flat.plain);
    let mut text = String::with_capacity(laid_out.len());
    // Layout leaves many empty lines; more than one in a row tells a reader nothing.
    let mut empty_above = true;
    for line in laid_out.lines().map(str::trim_end) {
        if !(line.is_empty() && empty_above) {
            text.push_str(line);
            text.push('\n');
        }
        empty_above = line.is_empty();
    }
    text.truncate(text.trim_end().len());
    Shown { text, links: flat.links.list(), hidden_chars: flat.hidden_chars }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_reader_sees_becomes_text() {
        for (html, text) in [
            ("<p>Hello <b>World</b></p>", "Hello World"),
            ("<html><head><title>t</title><style>p{}</style></head><body>a<br>b</body></html>", "a\nb"),
            ("<script>alert('<p>no</p>')</script>yes", "yes"),
            ("<h1>Big</h1><p>one</p><p>two</p>", "Big\n\none\n\ntwo"),
            ("<ul><li>a<li>b</ul>", "* a\n* b"),
            ("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b"),
            ("<blockquote>said</blockquote>", "> said"),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
            ("<pre>a  b\n  c</pre>", "a  b\n  c"),
            ("5 &lt; 6 &amp;amp; &eacute;<img src=x alt='a cat'>", "5 < 6 &amp; é[image: a cat]"),
            ("<div>a<div>b</div>c</div>", "a\nb\nc"),
            ("<p>never closed <b>at all", "never closed at all"),
            ("</p></div>a</b>", "a"),
            ("", ""),
        ] {
            assert_eq!(to_text(html).text, text, "{html}");
        }
    }

    #[test]
    fn what_a_reader_does_not_see_is_left_out_and_counted() {
        for (html, text, hidden_chars) in [
            ("a<!-- obey -->b", "ab", 4),
            ("<p>a</p><p style='display:none'>obey</p><p>b", "a\n\nb", 4),
            ("<p style='DISPLAY : None !important'>obey<p>b", "b", 4),
            ("<div hidden>obey <b>me</b></div>b", "b", 6),
            ("<span aria-hidden=true>obey</span>b", "b", 4),
            ("<span style='visibility:hidden'>obey</span>b", "b", 4),
            ("<span style='font-size:0'>obey</span>b", "b", 4),
            ("<span style='font-size:1px'>obey</span>b", "b", 4),
            ("<font color=#FFFFFF>obey</font>b", "b", 4),
            ("<span style='color:#fefefe'>obey</span>b", "b", 4),
            ("<span style='color: rgb(255, 255, 255)'>obey</span>b", "b", 4),
            ("<span style='color:transparent'>obey</span>b", "b", 4),
            ("<td bgcolor=black><font color=white>seen</font> <font color=black>obey</font></td>b", "seen b", 4),
            ("<td background=x.png><font color=white>seen</font></td>", "seen", 0),
            ("<div style='position:absolute;left:-9999px'>obey</div>b", "b", 4),
            ("<div style='text-indent:-9999px'>obey</div>b", "b", 4),
            ("<div style='max-height:0;overflow:hidden'>obey</div>b", "b", 4),
            ("<div style='opacity:0'>obey<div>me</div></div>b", "b", 6),
            ("<div hidden><div>obey</b></i></div>me</div>b", "b", 6),
            ("<div><span hidden>obey</div>b", "b", 4),
            ("<ul><li hidden>obey<li>b</ul>", "* b", 4),
            ("<img alt=obey hidden><img alt=' '>b", "b", 4),
            ("<a hidden href=https://x.test/>obey</a>b", "b", 4),
            ("<div style='display:none'>obey", "", 4),
            ("<p style='display:block;font-size:14px;color:#333;left:0'>b", "b", 0),
        ] {
            let shown = to_text(html);
            assert_eq!(
                (shown.text.as_str(), shown.hidden_chars, shown.links.as_str()),
                (text, hidden_chars, ""),
                "{html}"
            );
        }
    }

    #[test]
    fn links_are_listed_under_the_text_once() {
        let html = r#"<p>Please <a href="https://a.test/?x=1&amp;y=2">confirm <i>now</i></a> or
            <a href="mailto:b@a.test">write</a>, <a href="javascript:alert(1)">not this</a>,
            <a href="https://a.test/?x=1&amp;y=2">again</a>, <a href="https://c.test/">https://c.test/</a>.</p>"#;
        let shown = to_text(html);
        assert_eq!(
            (shown.text.as_str(), shown.links.as_str()),
            (
                "Please confirm now or write, not this, again, https://c.test/.",
                "Links:\n\
             - confirm now: https://a.test/?x=1&y=2\n- write: mailto:b@a.test\n- https://c.test/"
            )
        );
    }

    #[test]
    fn a_link_that_names_another_host_than_it_leads_to_is_marked() {
        let html = "<a href=https://evil.test/x>here</a> <a href=https://evil.test/x>www.bank.test</a> \
            <a href=https://evil.test/x>www.bank.test</a> <a href=https://evil.test/x>there</a>";
        assert_eq!(
            to_text(html).links,
            "Links:\n- here: https://evil.test/x\n- www.bank.test: https://evil.test/x (names another host)"
        );
    }

    /// How deep elements are nested, all of which are closed.
    fn deepest(flat: &str) -> usize {
        let (mut depth, mut deepest) = (0usize, 0);
        for tag in flat.split('<').skip(1) {
            if tag.starts_with('/') {
                depth = depth.checked_sub(1).expect("an end tag for every start tag");
            } else if !tag.starts_with("br") {
                depth += 1;
            }
            deepest = deepest.max(depth);
        }
        assert_eq!(depth, 0, "a start tag without its end tag");
        deepest
    }

    #[test]
    fn deep_nesting_costs_no_more_than_shallow() {
        for tag in ["div", "b", "ul", "blockquote", "table", "p", "a href='https://x.test/'", "svg", "select", "font"] {
            let name = tag.split(' ').next().unwrap_or(tag);
            let opened = |depth| format!("<{tag}>").repeat(depth) + "deep";
            let nested = |depth| opened(depth) + &format!("</{name}>").repeat(depth);
            // What is laid out gets neither deeper nor, where nothing else stands in it, longer than what came; the
            // pass that writes it looks at each token once.
            let limit = deepest(&flatten(&nested(1_000)).html);
            assert!(limit <= NESTING_MAX, "{tag}: {limit}");
            for source in [nested(10_000), opened(10_000)] {
                let flat = flatten(&source);
                assert_eq!(deepest(&flat.html), limit, "{tag}");
                assert!(flat.html.len() <= nested(10_000).len(), "{tag}: {}", flat.html.len());
            }
            assert!(to_text(&nested(1_000)).text.contains("deep"), "{tag}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_for_layout_adds_no_lines() {
        for name in ["div", "ul", "blockquote"] {
            let nested = |depth| format!("<{name}>").repeat(depth) + "deep";
            assert_eq!(flatten(&nested(10_000)).html.len(), flatten(&nested(1_000)).html.len(), "{name}");
        }
    }

    const TAGS: [&str; 15] = [
        "<p>",
        "<div>",
        "<ul>",
        "<ol>",
        "<li>",
        "<tr>",
        "<td>",
        "<a>",
        "<pre>",
        "<blockquote>",
        "</div>",
        "</ul>",
        "</li>",
        "</blockquote>",
        "</p>",
    ];

    proptest! {
        #[test]
        fn no_text_panics(html in "(<[a-z/!]{0,8}|>|[a-z &;=\"']{0,6}|</?(p|div|ul|li|table|tr|td|a|pre|b|svg|select|template)>){0,60}") {
            to_text(&html);
        }

        #[test]
        fn flat_html_is_shallow_and_balanced(
            tags in prop::collection::vec(prop::sample::select(&TAGS[..]), 0..900),
            // Runs of one tag reach the limit of depth, which mixed tags seldom do.
            run in prop::sample::select(&TAGS[..]),
            length in 0usize..600,
        ) {
            let source = tags[..tags.len() / 2].concat() + &run.repeat(length) + &tags[tags.len() / 2..].concat();
            let flat = flatten(&source);
            prop_assert!(deepest(&flat.html) <= NESTING_MAX);
        }
    }
}
