//! HTML to bare text, for reports that come in no other form: line by line, no layout.

use super::limits::TEXT_BYTES_MAX;

/// Elements that end a line.
const BREAKS: [&str; 14] =
    ["br", "p", "div", "tr", "td", "th", "li", "ul", "table", "h1", "h2", "h3", "pre", "blockquote"];

/// The text of `html`. One pass, linear; tags that are never closed are dropped to the end.
pub(super) fn to_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        // An address in angle brackets that nobody escaped is no tag.
        let end = rest.find('>').unwrap_or(rest.len());
        let inside = &rest[..end];
        let name: String =
            inside.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
        let name = name.to_ascii_lowercase();
        if inside.contains('@') && !inside.contains([' ', '=', '\n']) {
            text.push('<');
            text.push_str(inside);
            text.push('>');
        } else if BREAKS.contains(&name.as_str()) {
            text.push('\n');
        }
        rest = rest.get(end + 1..).unwrap_or("");
        if matches!(name.as_str(), "style" | "script" | "title") && !inside.starts_with('/') {
            rest = after_opening(rest, &name);
        }
        if text.len() > TEXT_BYTES_MAX {
            break;
        }
    }
    text.push_str(rest);
    unescape(&text)
}

/// What follows the text of an element whose content is no text.
fn after_opening<'a>(mut rest: &'a str, name: &str) -> &'a str {
    while let Some(at) = rest.find("</") {
        let close = &rest[at..];
        if close.get(2..2 + name.len()).is_some_and(|closed| closed.eq_ignore_ascii_case(name)) {
            return close;
        }
        rest = &close[2..];
    }
    ""
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&nbsp;", " ")
        .replace("&#64;", "@")
        .replace("&#160;", " ")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn text_is_left() {
        let html = "<style>p{}</style><p>Not delivered to &lt;a@b.test&gt;:<br>550 <b>5.1.1</b><a@c.test></p><p";
        assert_eq!(to_text(html), "\nNot delivered to <a@b.test>:\n550 5.1.1<a@c.test>\n\n");
    }
}
