//! Tracking images: a picture in an outbound message whose fetching tells that somebody opened it.
//!
//! Off unless the mailbox or the message says otherwise. The URL holds 256 random bits and nothing else; what it means is
//! known here only, and the answer is the same picture whether or not it means anything. What a fetch proves is little:
//! mail services fetch images ahead of people, or in their place, and many people fetch none. So an `open` says whether a
//! [`machine`] made it, as far as can be known, and nothing here depends on one.

mod machine;

use std::sync::Arc;

use tokio::sync::Notify;
use url::Url;

pub use machine::{Asking, machine};

use crate::{
    domain::{
        clock::Clock,
        id::{EventId, MailboxId, MessageId},
    },
    ids::Ids,
    signing::digest::sha256,
    store::{
        StoreError,
        opens::{Fetch, Fetched, Image, Opens},
    },
};

/// Where images are, below the base URL.
pub const PATH: &str = "/o/";
/// What their names end in.
pub const ENDING: &str = ".gif";
/// The length of a token: 256 bits in hexadecimal.
const TOKEN_CHARS: usize = 64;

/// What tracking works with.
pub struct Parts {
    /// Where images and fetches are kept.
    pub opens: Arc<dyn Opens>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub ids: Arc<Ids>,
    /// The URL under which recipients reach the listener that serves the images.
    pub base: Url,
    /// Told after each commit that events are owed to webhooks.
    pub stored: Arc<Notify>,
}

/// Makes tracking images and takes note of who fetches them.
pub struct Tracking {
    with: Parts,
}

impl Tracking {
    /// Tracking that works with `with`.
    pub fn new(with: Parts) -> Self {
        Self { with }
    }

    /// Whether a message of `mailbox` carries an image: as `asked`, or else as the mailbox has it.
    pub async fn is_wanted(&self, mailbox: &MailboxId, asked: Option<bool>) -> Result<bool, StoreError> {
        match asked {
            Some(asked) => Ok(asked),
            None => self.with.opens.tracks_opens(mailbox).await,
        }
    }

    /// The URL of a new image for `message`. It tells `recipient` apart from others only if each gets an image of their
    /// own; without, it tells that one of them opened the message.
    pub async fn image_for(
        &self,
        mailbox: &MailboxId,
        message: &MessageId,
        recipient: Option<&str>,
    ) -> Result<String, StoreError> {
        let token = self.with.ids.secret("");
        let image = Image {
            token_hash: sha256(token.as_bytes()),
            mailbox: mailbox.clone(),
            message: message.clone(),
            recipient: recipient.map(str::to_lowercase),
            created_at: self.with.clock.now(),
        };
        self.with.opens.add_image(&image).await?;
        let base = self.with.base.as_str().trim_end_matches('/');
        Ok(format!("{base}{PATH}{token}{ENDING}"))
    }

    /// Takes note that somebody fetched the image called `name`, the last part of its URL.
    pub async fn fetched(&self, name: &str, asking: &Asking<'_>) -> Result<Fetched, StoreError> {
        let Some(token) = name.strip_suffix(ENDING).filter(|token| is_token(token)) else {
            return Ok(Fetched::Unknown);
        };
        let fetch = Fetch {
            token_hash: sha256(token.as_bytes()),
            at: self.with.clock.now(),
            machine: machine(asking),
            event_id: EventId::new(self.with.ids.next("evt_")),
        };
        let fetched = self.with.opens.fetched(&fetch).await?;
        if fetched == Fetched::First {
            self.with.stored.notify_one();
        }
        Ok(fetched)
    }
}

fn is_token(text: &str) -> bool {
    text.len() == TOKEN_CHARS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `html` with the image at `url` at its end: before the last `</body>`, where there is one.
///
/// It is not hidden by style: mail programs do not fetch what they do not show.
pub fn with_image(html: &str, url: &str) -> String {
    let url = url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let image = format!("<img src=\"{url}\" width=\"1\" height=\"1\" alt=\"\">");
    // Lower-casing ASCII moves no byte.
    let end = html.to_ascii_lowercase().rfind("</body").unwrap_or(html.len());
    format!("{}{image}{}", &html[..end], &html[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_stands_at_the_end_of_the_body_and_cannot_break_out() {
        let image = r#"<img src="http://x/o/1.gif?a&amp;b&quot;" width="1" height="1" alt="">"#;
        for (html, expected) in [
            ("<p>ü</p>", format!("<p>ü</p>{image}")),
            ("<html><body>İ</BODY></html>", format!("<html><body>İ{image}</BODY></html>")),
            ("", image.to_owned()),
        ] {
            assert_eq!(with_image(html, "http://x/o/1.gif?a&b\""), expected);
        }
    }
}
