//! What an agent writes (Markdown) as the two forms that a message carries: the text as it is, and HTML.
//!
//! Raw HTML in the Markdown is shown as the text that it is: an agent may quote a stranger, and a stranger's markup must not
//! be sent in the agent's name.

use pulldown_cmark::{Event, Options, Parser, html};

/// The HTML of `markdown`, as a whole document.
pub fn html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(markdown, options).map(|event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        event => event,
    });
    let mut body = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut body, events);
    format!("<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head><body>\n{body}</body></html>\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markdown_becomes_html_and_html_in_it_becomes_text() {
        let made = html("**Hello** <script>alert(1)</script>\n\n| a | b |\n|---|---|\n| 1 | 2 |\n");
        assert!(made.contains("<strong>Hello</strong>") && made.contains("<td>1</td>"), "{made}");
        assert!(made.contains("&lt;script&gt;") && !made.contains("<script>"), "{made}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,300}") {
            prop_assert!(html(&text).ends_with("</body></html>\n"));
        }
    }
}
