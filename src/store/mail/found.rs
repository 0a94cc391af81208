//! Mailboxes that were looked up, for as long as nothing but mail and deliveries was written since: every message asks for one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::domain::{address::Address, message::Mailbox};

/// Mailboxes that are kept at most; where there are more, those before are forgotten.
const KEPT_MAX: usize = 1024;

/// Clones are the same place. What is no mailbox is not kept: strangers ask for as many addresses as they like.
#[derive(Clone, Default)]
pub(super) struct Found(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// What the writer counted as changes when these were looked up.
    changes: u64,
    mailboxes: HashMap<Address, Mailbox>,
}

impl Found {
    /// The mailbox at `address`, if it was kept when the writer counted as many `changes` as it does now.
    pub(super) fn at(&self, address: &Address, changes: u64) -> Option<Mailbox> {
        let kept = self.kept();
        (kept.changes == changes).then(|| kept.mailboxes.get(address).cloned())?
    }

    /// Keeps `mailbox`, which was looked up after the writer had counted so many `changes`.
    pub(super) fn keep(&self, mailbox: &Mailbox, changes: u64) {
        let mut kept = self.kept();
        if kept.changes > changes {
            return;
        }
        if kept.changes < changes || kept.mailboxes.len() >= KEPT_MAX {
            *kept = Kept { changes, mailboxes: HashMap::new() };
        }
        kept.mailboxes.insert(mailbox.address.clone(), mailbox.clone());
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{clock::UnixMillis, id::MailboxId};

    fn mailbox(n: usize) -> Mailbox {
        Mailbox {
            id: MailboxId::new(format!("mb_{n}")),
            address: format!("m{n}@mailbell.test").parse().expect("an address"),
            display_name: None,
            created_at: UnixMillis(0),
        }
    }

    #[test]
    fn a_mailbox_is_kept_until_something_changes() {
        let (found, one) = (Found::default(), mailbox(1));
        assert_eq!(found.at(&one.address, 7), None);
        found.keep(&one, 7);
        assert_eq!(found.at(&one.address, 7), Some(one.clone()));
        assert_eq!(found.at(&one.address, 8), None);
        found.keep(&mailbox(2), 8);
        found.keep(&one, 7);
        assert_eq!(found.at(&one.address, 8), None, "a look from before the change comes too late");
    }

    #[test]
    fn so_many_are_kept_and_no_more() {
        let found = Found::default();
        for n in 0..=KEPT_MAX {
            found.keep(&mailbox(n), 0);
        }
        assert_eq!(found.at(&mailbox(0).address, 0), None);
        assert_eq!(found.at(&mailbox(KEPT_MAX).address, 0), Some(mailbox(KEPT_MAX)));
    }
}
