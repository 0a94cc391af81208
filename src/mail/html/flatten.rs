//! Writes HTML anew, shallow and balanced, with only the elements that shape text.

use std::{collections::HashMap, convert::Infallible};

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

use super::{
    INDENTING_MAX, NESTING_MAX,
    hidden::{Ground, Look, PAPER, look},
    links::Links,
};

/// Elements of the sender's that are followed at once, to know where one that is hidden ends; deeper ones count as part of
/// the last.
const FOLLOWED_MAX: usize = 512;

/// HTML that is safe for a tree, and what was found on the way.
pub(super) struct Flat {
    pub(super) html: String,
    /// The text without any layout, for when the layout fails.
    pub(super) plain: String,
    pub(super) links: Links,
    /// Characters other than spaces that a reader would not have seen, and comments; left out.
    pub(super) hidden_chars: usize,
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
            Token::Comment(text) => writer.flat.hidden_chars += visible(&String::from_utf8_lossy(&text)),
            Token::Doctype(_) | Token::Error(_) => {}
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
    /// The sender's elements that are open.
    followed: Vec<Followed>,
}

/// An element of the sender's.
struct Followed {
    name: Vec<u8>,
    /// It is hidden, or stands in one that is.
    hidden: bool,
    ground: Ground,
}

/// Elements that hold nothing, and so have no end tag.
fn is_void(name: &[u8]) -> bool {
    matches!(
        name,
        b"area"
            | b"base"
            | b"br"
            | b"col"
            | b"embed"
            | b"hr"
            | b"img"
            | b"input"
            | b"link"
            | b"meta"
            | b"source"
            | b"track"
            | b"wbr"
    )
}

/// Whether an open `name` ends where `next` begins, without an end tag (HTML, section 13.1.2.4).
fn ends_before(name: &[u8], next: &[u8]) -> bool {
    match name {
        b"p" => matches!(role(next), Role::Block(_) | Role::Indenting(_) | Role::Rule),
        b"li" => next == b"li",
        b"td" | b"th" => matches!(next, b"td" | b"th" | b"tr"),
        b"tr" => next == b"tr",
        _ => false,
    }
}

/// How much of `text` a reader would see.
fn visible(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

impl Writer {
    fn new(capacity: usize) -> Self {
        let flat = Flat {
            html: String::with_capacity(capacity),
            plain: String::new(),
            links: Links::default(),
            hidden_chars: 0,
        };
        Self { flat, open: Vec::new(), indenting: 0, left_out: HashMap::new(), dropping: None, followed: Vec::new() }
    }

    fn start(&mut self, tag: &StartTag<()>) {
        if self.dropping.is_some() {
            return;
        }
        let hidden = self.follow(tag);
        match role(&tag.name) {
            role if hidden && role != Role::Dropped => {
                self.flat.hidden_chars += attribute(tag, b"alt").map_or(0, |alt| visible(&alt));
            }
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
                if let Some(shown) = attribute(tag, b"alt").filter(|shown| !shown.trim().is_empty()) {
                    self.text(&format!("[image: {}]", shown.trim()));
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
        if self.unfollow(name) {
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
        if self.is_hidden() {
            self.flat.hidden_chars += visible(text);
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

    fn is_hidden(&self) -> bool {
        self.followed.last().is_some_and(|element| element.hidden)
    }

    /// Whether `tag`, which begins here, is seen by nobody.
    fn follow(&mut self, tag: &StartTag<()>) -> bool {
        while self.followed.last().is_some_and(|open| ends_before(&open.name, &tag.name)) {
            self.followed.pop();
        }
        let ground = self.followed.last().map_or(PAPER, |open| open.ground);
        let (hidden, ground) = match look(tag, ground) {
            Look::Hidden => (true, ground),
            Look::Seen(ground) => (self.is_hidden(), ground),
        };
        if self.followed.len() < FOLLOWED_MAX && !is_void(&tag.name) && role(&tag.name) != Role::Dropped {
            self.followed.push(Followed { name: tag.name.to_vec(), hidden, ground });
        }
        hidden
    }

    /// Whether what ends here was seen by nobody.
    fn unfollow(&mut self, name: &[u8]) -> bool {
        match self.followed.iter().rposition(|open| open.name == name) {
            Some(depth) => {
                let hidden = self.followed[depth].hidden;
                self.followed.truncate(depth);
                hidden
            }
            None => self.is_hidden(),
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

pub(super) fn attribute(tag: &StartTag<()>, name: &[u8]) -> Option<String> {
    let value = tag.attributes.get(name)?;
    Some(String::from_utf8_lossy(value).into_owned())
}
