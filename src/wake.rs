//! The bell: a hint that the log moved. It carries no data, may ring for nothing and may miss a beat.
//!
//! One channel per topic, never a global one: with a thousand agents waiting for a thousand mailboxes, an event wakes the
//! one that it is for.

use std::{
    collections::HashMap,
    iter,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, watch};

use crate::domain::id::ConsumerName;

/// What a waiter listens for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Any event at all.
    All,
    /// An event of this mailbox.
    Mailbox(String),
    /// An event of any mailbox of this domain.
    Domain(String),
    /// Something was given back to this consumer.
    Consumer(ConsumerName),
}

/// Rung after a commit; clones are the same bell.
#[derive(Clone, Default)]
pub struct Bell {
    channels: Arc<Mutex<HashMap<Topic, watch::Sender<()>>>>,
    rope: Arc<Rope>,
    /// Whether a ring is an echo of another process's, of which others need not be told.
    echoes: bool,
}

/// What hangs between the bells of the processes on one data directory: it says that something was committed, not what.
#[derive(Default)]
struct Rope {
    here: Notify,
    elsewhere: Notify,
}

/// Hears some topics of a bell, from the moment it was made.
pub struct Ear {
    receivers: Vec<watch::Receiver<()>>,
}

impl Bell {
    /// An ear for `topics`. Make it before looking at the log: what comes in between then still rings.
    pub fn listen(&self, topics: impl IntoIterator<Item = Topic>) -> Ear {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let receivers = topics
            .into_iter()
            .map(|topic| channels.entry(topic).or_insert_with(|| watch::Sender::new(())).subscribe())
            .collect();
        Ear { receivers }
    }

    /// The same bell for whoever rings it for what another process has committed: that one has told the others.
    #[must_use]
    pub fn echo(&self) -> Self {
        Self { echoes: true, ..self.clone() }
    }

    /// Resolves when it has rung for a commit of this process since it last resolved. For one caller at a time.
    pub async fn rung_here(&self) {
        self.rope.here.notified().await;
    }

    /// Another process has committed something: whoever watches the database should look at once.
    pub fn pull_from_elsewhere(&self) {
        self.rope.elsewhere.notify_one();
    }

    /// Resolves when another process has said so since it last resolved. For one caller at a time.
    pub async fn pulled_from_elsewhere(&self) {
        self.rope.elsewhere.notified().await;
    }

    /// Tells everyone who listens for `topic`; costs a look-up where nobody does.
    pub fn ring(&self, topic: &Topic) {
        self.ring_each([topic.clone()]);
    }

    /// Tells everyone who listens for an event of `mailbox`: its own topic, its domain's, and all.
    pub fn ring_event(&self, mailbox: Option<&str>) {
        let domain = mailbox.and_then(|mailbox| mailbox.rsplit_once('@')).map(|(_, domain)| domain);
        let domain = domain.into_iter().map(|domain| Topic::Domain(domain.to_owned()));
        let mailbox = mailbox.into_iter().map(|mailbox| Topic::Mailbox(mailbox.to_owned()));
        self.ring_each(iter::once(Topic::All).chain(domain).chain(mailbox));
    }

    fn ring_each(&self, topics: impl IntoIterator<Item = Topic>) {
        if !self.echoes {
            self.rope.here.notify_one();
        }
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if channels.is_empty() {
            return;
        }
        for topic in topics {
            if let Some(channel) = channels.get(&topic)
                && channel.send(()).is_err()
            {
                // The last ear is gone; forget the channel, so that mailboxes that came and went cost nothing.
                channels.remove(&topic);
            }
        }
    }

    /// Tells everyone, whatever they listen for.
    pub fn ring_all(&self) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.retain(|_, channel| channel.send(()).is_ok());
    }
}

impl Ear {
    /// Resolves when one of the topics has rung since this ear was made or last resolved.
    pub async fn rung(&mut self) {
        if self.receivers.is_empty() {
            return std::future::pending().await;
        }
        let waits = self.receivers.iter_mut().map(|receiver| Box::pin(receiver.changed()));
        // An error means that the bell is gone: then look once more; the log has the truth.
        let _ = futures::future::select_all(waits).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn rang(ear: &mut Ear) -> bool {
        tokio::time::timeout(Duration::from_millis(20), ear.rung()).await.is_ok()
    }

    #[tokio::test]
    async fn a_ring_between_listening_and_waiting_is_heard_once() {
        let bell = Bell::default();
        let mut ear = bell.listen([Topic::Mailbox("a@b.test".into()), Topic::Consumer(ConsumerName::new("c"))]);
        bell.ring_event(Some("a@b.test"));
        assert!(rang(&mut ear).await);
        assert!(!rang(&mut ear).await);
    }

    #[tokio::test]
    async fn only_those_whom_it_concerns_hear_it() {
        let bell = Bell::default();
        let mut other = bell.listen([Topic::Mailbox("other@b.test".into())]);
        let mut domain = bell.listen([Topic::Domain("b.test".into())]);
        let mut all = bell.listen([Topic::All]);
        bell.ring_event(Some("a@b.test"));
        assert!(!rang(&mut other).await);
        assert!(rang(&mut domain).await);
        assert!(rang(&mut all).await);
    }

    #[tokio::test]
    async fn channels_without_ears_are_forgotten() {
        let bell = Bell::default();
        drop(bell.listen([Topic::All]));
        bell.ring(&Topic::All);
        assert!(bell.channels.lock().expect("not poisoned").is_empty());
    }
}
