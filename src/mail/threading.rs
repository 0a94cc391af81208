//! What a message says about its place in a conversation: the Message-IDs it answers and refers to.

/// The Message-IDs that a message names as its ancestors, the nearest first and each once: those in `In-Reply-To`, then
/// those in `References`, whose last is the nearest (RFC 5322 section 3.6.4). Which thread they lead to is for the
/// store to say, inside the transaction that adds the message.
pub fn ancestors(in_reply_to: &[String], references: &[String]) -> Vec<String> {
    let mut nearest_first: Vec<String> = Vec::new();
    for id in in_reply_to.iter().chain(references.iter().rev()) {
        if !id.is_empty() && !nearest_first.contains(id) {
            nearest_first.push(id.clone());
        }
        if nearest_first.len() == ANCESTORS_MAX {
            break;
        }
    }
    nearest_first
}

/// Ancestors that are worth a look-up: long threads cut their References themselves, and a header may name thousands.
const ANCESTORS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_nearest_ancestor_comes_first_and_each_once() {
        assert_eq!(ancestors(&ids(&["c@x"]), &ids(&["a@x", "b@x", "c@x"])), ids(&["c@x", "b@x", "a@x"]));
        assert_eq!(ancestors(&[], &ids(&["a@x", "", "b@x"])), ids(&["b@x", "a@x"]));
        assert_eq!(ancestors(&[], &[]), ids(&[]));
    }

    #[test]
    fn a_header_of_thousands_costs_no_more_than_one_of_twenty() {
        let many: Vec<String> = (0..5000).map(|n| format!("{n}@x")).collect();
        let nearest = ancestors(&[], &many);
        assert_eq!((nearest.len(), nearest[0].as_str()), (ANCESTORS_MAX, "4999@x"));
    }
}
