//! Signed, unique events, as MultiMail posts them.

use mailbell::{domain::secret::Secret, signing::multimail};
use rand::RngExt as _;

/// The secret that everyone here signs with, and is given.
pub(crate) const SECRET: &str = "whsec_measured_beside_peers";
/// What an event's body is filled up to, in bytes.
const BODY_BYTES: usize = 736;

/// Makes events; each has an id of its own.
#[derive(Clone)]
pub(crate) struct Maker {
    secret: Secret,
    mailboxes: u32,
    timestamp: String,
}

/// What is posted.
pub(crate) struct Post {
    /// The body.
    pub(crate) body: String,
    /// The signature of the body.
    pub(crate) signature: String,
}

impl Maker {
    /// One whose events are of `mailboxes` mailboxes, `agent0@measured.test` and so on.
    pub(crate) fn new(mailboxes: u32) -> Self {
        Self { secret: Secret::new(SECRET), mailboxes: mailboxes.max(1), timestamp: now() }
    }

    /// An inbound event of one of the mailboxes, with a random id: senders choose theirs, and few choose them in order.
    pub(crate) fn post(&self) -> Post {
        let mailbox = rand::rng().random_range(0..self.mailboxes);
        self.post_to(&format!("agent{mailbox}@measured.test"))
    }

    /// An inbound event of `mailbox`.
    pub(crate) fn post_to(&self, mailbox: &str) -> Post {
        let (id, message, thread): (u128, u64, u64) = rand::rng().random();
        let mut body = format!(
            concat!(
                r#"{{"event_type":"inbound","event_id":"evt_{:032x}","mailbox":"{}","message_id":"em_{:016x}","#,
                r#""thread_id":"thr_{:016x}","timestamp":"{}","from":"bob@example.com","to":["{}"],"#,
                r#""subject":"An order that came too late","snippet":""#
            ),
            id, mailbox, message, thread, self.timestamp, mailbox
        );
        while body.len() < BODY_BYTES - 2 {
            body.push_str(
                "The parcel was to be here on Friday. "[..].split_at((BODY_BYTES - 2 - body.len()).min(37)).0,
            );
        }
        body.push_str(r#""}"#);
        Post { signature: multimail::sign(&self.secret, body.as_bytes()), body }
    }
}

fn now() -> String {
    use mailbell::{app::system::SystemClock, domain::clock::Clock as _};
    SystemClock::new().now().to_string()
}
