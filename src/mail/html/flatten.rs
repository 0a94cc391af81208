//! Writes HTML anew, shallow and balanced, with only the elements that shape text.

use std::{collections::HashMap, convert::Infallible};

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::{INDENTING_MAX, NESTING_MAX, links::Links};

/// HTML that is safe for a tree, and what was found on the way.
pub(super) struct Flat {
    pub(super) html: String,
    /// The text without any layout, for when the layout fails.
    pub(super) plain: String,
    pub(super) links: Links,
}

/// What an element becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Its content is not text for a reader.
    Dropped,
    /// It becomes this element.
    Block(&'static str),
    /// It becomes this element, which indents what it holds.
    Indenting(&'static str),
    /// A cell: its text is set off by a space, since layout tables are no tables.
    Cell,
    LineBreak,
    Rule,
    Link,
    Image,
    /// Its text stands where it stands.
    Transparent,
}

fn role(name: &[u8]) -> Role {
    match name {
        // Those whose content the tokenizer takes as raw text up to their end tag; what else stands in a head is no
        // text.
        b"script" | b"style" | b"title" | b"textarea" | b"iframe" | b"noembed" | b"noframe" | b"noscript" => {
            Role::Dropped
        }
        b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => Role::Block("p"),
        b"pre" => Role::Block("pre"),
        b"li" => Role::Block("li"),
        b"ul" | b"menu" => Role::Indenting("ul"),
        b"ol" => Role::Indenting("ol"),
        b"blockquote" => Role::Indenting("blockquote"),
        b"div" | b"table" | b"tr" | b"section" | b"article" | b"header" | b"footer" | b"main" | b"aside" | b"nav"
        | b"center" | b"form" | b"fieldset" | b"figure" | b"figcaption" | b"address" | b"dl" | b"dt" | b"dd"
        | b"caption" | b"details" | b"summary" => Role::Block("div"),
        b"td" | b"th" => Role::Cell,
        b"br" => Role::LineBreak,
        b"hr" => Role::Rule,
        b"a" => Role::Link,
        b"img" => Role::Image,
        _ => Role::Transparent,
    }
}

pub(super) fn flatten(source: &str) -> Flat {
    let mut emitter = DefaultEmitter::default();
    // Else the text of a script would be read as elements.
    emitter.naively_switch_states(true);
    let mut writer = Writer::new(source.len());
    for token in Tokenizer::new_with_emitter(source, emitter) {
        let token = token.unwrap_or_else(|never: Infallible| match never {});
        match token {
            Token::StartTag(tag) => writer.start(&tag),
            Token::EndTag(tag) => writer.end(&tag.name),
            Token::String(text) => writer.text(&String::from_utf8_lossy(&text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    writer.finish()
}

struct Writer {
    flat: Flat,
    /// The elements that are open in `flat.html`, by what they became.
    open: Vec<&'static str>,
    indenting: usize,
    /// Start tags that were left out for their depth, by what they would have become: their end tags are left out too.
    left_out: HashMap<&'static str, usize>,
    /// The element whose content is being dropped.
    dropping: Option<Vec<u8>>,
}

impl Writer {
    fn new(capacity: usize) -> Self {
        let flat = Flat { html: String::with_capacity(capacity), plain: String::new(), links: Links::default() };
        Self { flat, open: Vec::new(), indenting: 0, left_out: HashMap::new(), dropping: None }
    }

    fn start(&mut self, tag: &StartTag<()>) {
        if self.dropping.is_some() {
            return;
        }
        match role(&tag.name) {
            Role::Dropped if tag.self_closing => {}
            Role::Dropped => self.dropping = Some(tag.name.to_vec()),
            Role::Block(name) => {
                // A paragraph ends where another block begins, an item where its sibling does.
                if self.open.last() == Some(&"p") || (name == "li" && self.open.last() == Some(&"li")) {
                    self.pop();
                }
                self.push(name, false);
            }
            Role::Indenting(name) => self.push(name, true),
            Role::Cell => self.text(" "),
            Role::LineBreak => self.flat.html.push_str("<br>"),
            Role::Rule => self.flat.html.push_str("<br>---<br>"),
            Role::Link => match attribute(tag, b"href") {
                Some(address) => self.flat.links.open(&address),
                None => self.flat.links.close(),
            },
            Role::Image => {
                if let Some(shown) = attribute(tag, b"alt") {
                    self.text(&shown);
                }
            }
            Role::Transparent => {}
        }
    }

    fn end(&mut self, name: &[u8]) {
        if let Some(dropping) = &self.dropping {
            if dropping == name {
                self.dropping = None;
            }
            return;
        }
        match role(name) {
            Role::Block(name) | Role::Indenting(name) => {
                if let Some(count) = self.left_out.get_mut(name).filter(|count| **count > 0) {
                    *count -= 1;
                } else if let Some(depth) = self.open.iter().rposition(|open| *open == name) {
                    while self.open.len() > depth {
                        self.pop();
                    }
                }
            }
            Role::Link => self.flat.links.close(),
            Role::Cell => self.text(" "),
            Role::Dropped | Role::LineBreak | Role::Rule | Role::Image | Role::Transparent => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.dropping.is_some() {
            return;
        }
        self.flat.links.text(text);
        self.flat.plain.push_str(text);
        for c in text.chars() {
            match c {
                '<' => self.flat.html.push_str("&lt;"),
                '>' => self.flat.html.push_str("&gt;"),
                '&' => self.flat.html.push_str("&amp;"),
                c => self.flat.html.push(c),
            }
        }
    }

    fn push(&mut self, name: &'static str, indents: bool) {
        if self.open.len() >= NESTING_MAX || (indents && self.indenting >= INDENTING_MAX) {
            *self.left_out.entry(name).or_default() += 1;
            // What it holds begins a line; a thousand of them without text between begin the same one.
            if !self.flat.html.ends_with("<br>") {
                self.flat.html.push_str("<br>");
            }
            return;
        }
        self.indenting += usize::from(indents);
        self.open.push(name);
        self.flat.html.push('<');
        self.flat.html.push_str(name);
        self.flat.html.push('>');
    }

    fn pop(&mut self) {
        let Some(name) = self.open.pop() else { return };
        self.indenting -= usize::from(matches!(name, "ul" | "ol" | "blockquote"));
        self.flat.html.push_str("</");
        self.flat.html.push_str(name);
        self.flat.html.push('>');
        self.flat.plain.push('\n');
    }

    fn finish(mut self) -> Flat {
        while !self.open.is_empty() {
            self.pop();
        }
        self.flat
    }
}

fn attribute(tag: &StartTag<()>, name: &[u8]) -> Option<String> {
    let value = tag.attributes.get(name)?;
    Some(String::from_utf8_lossy(value).into_owned())
}
