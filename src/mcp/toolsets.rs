//! Which tools this server has: those of the toolsets that it was started with.

use crate::config::Toolset;

/// Some toolsets, and whether nothing may be changed by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toolsets {
    sets: [bool; Toolset::ALL.len()],
    /// Only tools that change nothing.
    pub(super) read_only: bool,
}

impl Toolsets {
    /// As the words say; `read-only` alone means all sets.
    pub fn new(words: &[Toolset]) -> Self {
        let read_only = words.contains(&Toolset::ReadOnly);
        let alone = words.iter().all(|word| *word == Toolset::ReadOnly);
        let sets = Toolset::ALL.map(|set| set != Toolset::ReadOnly && (alone || words.contains(&set)));
        Self { sets, read_only }
    }

    /// Whether the tools of `set` are among them.
    pub(super) fn hold(self, set: Toolset) -> bool {
        Toolset::ALL.into_iter().zip(self.sets).any(|(named, held)| named == set && held)
    }

    /// The words that say this, in their order.
    pub(super) fn words(self) -> impl Iterator<Item = &'static str> {
        let sets = Toolset::ALL
            .into_iter()
            .filter(move |set| self.hold(*set) || (*set == Toolset::ReadOnly && self.read_only));
        sets.map(Toolset::as_str)
    }
}

impl Default for Toolsets {
    /// Every tool.
    fn default() -> Self {
        Self::new(&Toolset::ALL[..Toolset::ALL.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_what_there_is() {
        for (said, held, read_only) in [
            ("events", "events", false),
            ("mail,events", "events,mail", false),
            ("read-only", "events,mail,suppression,webhooks,read-only", true),
            ("read_only,mail", "mail,read-only", true),
        ] {
            let words: Vec<Toolset> = said.split(',').map(|word| word.parse().expect("a toolset")).collect();
            let sets = Toolsets::new(&words);
            assert_eq!(
                (sets.words().collect::<Vec<_>>().join(",").as_str(), sets.read_only),
                (held, read_only),
                "{said}"
            );
        }
        assert!(Toolset::ALL.into_iter().filter(|set| Toolsets::default().hold(*set)).count() == 4);
        assert!("everything".parse::<Toolset>().is_err());
    }
}
