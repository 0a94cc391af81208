//! Another word of the same form for each that differs from run to run, so that two runs read the same.

use std::collections::HashMap;

use mailbell::{app::system::SystemClock, domain::clock::Clock as _, signing::digest::sha256_hex};
use regex::{Captures, Regex};

/// What is made anew in each run: ids, tokens, times, cursors, fences.
const VOLATILE: &str = concat!(
    r"(?<id>\b[a-z]+_01[0-9a-z]{24}\b)",
    r"|(?<lease>\blease_[0-9a-f]{32,64}\b)",
    r"|(?<time>\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)",
    r"|(?<cursor>\bMTow[0-9A-Za-z_-]{20,})",
    r#"|(?<fence>\b[0-9a-f]{10}\b)"#,
);

const HEX: &str = "0123456789abcdef";
const BASE_32: &str = "0123456789abcdefghjkmnpqrstvwxyz";
const BASE_64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The words that it gave so far.
pub struct Stable {
    volatile: Regex,
    words: HashMap<String, String>,
    /// From when on which time stands, the newest last.
    times: Vec<(String, String)>,
}

impl Stable {
    pub fn new() -> Self {
        let volatile = Regex::new(VOLATILE).unwrap();
        Self { volatile, words: HashMap::new(), times: Vec::new() }
    }

    /// The time that stands for each from now on.
    pub fn it_is(&mut self, time: &str) {
        self.times.push((SystemClock::new().now().to_string(), time.to_owned()));
    }

    /// `text` with those words.
    pub fn text(&mut self, text: &str) -> String {
        let volatile = self.volatile.clone();
        let replace = |found: &Captures<'_>| self.word(found);
        volatile.replace_all(text, replace).into_owned()
    }

    fn word(&mut self, found: &Captures<'_>) -> String {
        let (word, count) = (&found[0], self.words.len());
        if let Some(known) = self.words.get(word) {
            return known.clone();
        }
        let random = |alphabet: &str, length: usize| -> String {
            let seed = sha256_hex(count.to_string().as_bytes()).repeat(2);
            let bytes = seed.as_bytes().windows(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16));
            bytes
                .take(length)
                .map(|byte| char::from(alphabet.as_bytes()[usize::from(byte.unwrap()) % alphabet.len()]))
                .collect()
        };
        let stands = if found.name("time").is_some() {
            let (_, stands) = self.times.iter().rev().find(|(from, _)| from.as_str() <= word).unwrap();
            stands.clone()
        } else if found.name("id").is_some() {
            let kind = &word[..=word.find('_').unwrap()];
            format!("{kind}01{}", random(BASE_32, 24))
        } else if found.name("lease").is_some() {
            format!("lease_{}", random(HEX, word.len() - "lease_".len()))
        } else if found.name("cursor").is_some() {
            format!("MTow{}", random(BASE_64, word.len() - "MTow".len()))
        } else {
            random(HEX, word.len())
        };
        self.words.insert(word.to_owned(), stands.clone());
        stands
    }
}
