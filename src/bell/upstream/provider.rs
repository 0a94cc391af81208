//! The text and the files of a received message: from what is kept, and where a provider still has them, from its API, once.
//!
//! A provider that does not answer costs the text and not the message: what the webhook told of it is shown, with a note that
//! says why there is no more.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use url::Url;

use super::{
    ATTACHMENT_BYTES_MAX, Attachment, Email, UpstreamError,
    received::{Elsewhere, summary},
};
use crate::{
    bell::{
        fetch::{Ask, FetchError},
        keeping,
        letter::FILE_BYTES_MAX,
        sources::{Dialect, Remainder, dialect},
    },
    domain::secret::Secret,
    store::received::{AtProvider, Fields, Received},
};

/// The largest answer that tells of a message, in bytes: its text twice, and what surrounds it.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Tries after the first; an agent waits meanwhile.
const RETRIES_MAX: usize = 2;
/// The first delay between two tries.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(300);
/// The longest delay.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);

const _: () = assert!(FILE_BYTES_MAX <= ATTACHMENT_BYTES_MAX, "what is kept can be given");

/// Why a provider's part is not here, in a sentence.
struct Withheld(String);

/// A provider that can be asked.
struct Provider {
    remainder: &'static dyn Remainder,
    key: Secret,
}

impl Elsewhere {
    /// A message with its text. It is marked read here, and nowhere else.
    pub(super) async fn email(&self, message: Box<Received>) -> Result<Email, UpstreamError> {
        let id = message.id.clone();
        let mut missing = None;
        if let Some(at) = self.mail.at_provider(&id).await?.filter(|at| !at.whole) {
            missing = self.complete(&message, &at).await?.err();
        }
        let read = self.mail.received_text(&id).await?.ok_or_else(|| UpstreamError::NoMessage(id.clone()))?;
        // What could not be shown was not read.
        if missing.is_none() && !read.message.is_read {
            self.mail.mark_received_read(&id).await?;
        }
        let files = read.message.fields.files.iter().map(|file| Attachment {
            name: file.name.clone(),
            content_type: file.content_type.clone(),
            size_bytes: file.size_bytes,
        });
        let mut notes = read.message.fields.notes.clone();
        notes.extend(missing.map(|Withheld(why)| why));
        Ok(Email {
            text: read.body,
            extracted_text: read.reply,
            verdict: None,
            attachments: files.collect(),
            notes,
            summary: summary(read.message),
        })
    }

    /// The bytes of the file that stands at `index`.
    pub(super) async fn file(
        &self,
        message: &Received,
        index: usize,
        file: &Attachment,
    ) -> Result<Vec<u8>, UpstreamError> {
        if let Some(bytes) = self.mail.received_file(&message.id, index).await? {
            return Ok(bytes);
        }
        let Some(at) = self.mail.at_provider(&message.id).await? else {
            let why = "its message brought none of them, or more than is kept of one message (10 files, 1 MiB each, 8 MiB \
                       together); look for it where the mailbox lives";
            return Err(UpstreamError::NoBytes(why.to_owned()));
        };
        let provider = match self.provider(&at).await? {
            Ok(provider) => provider,
            Err(Withheld(why)) => return Err(UpstreamError::NoBytes(why)),
        };
        let bytes = self.fetched(&provider, &at, index, &file.name).await;
        let bytes = bytes.map_err(|Withheld(why)| UpstreamError::NoBytes(why))?;
        self.mail.keep_received_file(&message.id, index, &bytes).await?;
        Ok(bytes)
    }

    /// Gets the text from the provider, and keeps it.
    async fn complete(&self, message: &Received, at: &AtProvider) -> Result<Result<(), Withheld>, UpstreamError> {
        let provider = match self.provider(at).await? {
            Ok(provider) => provider,
            Err(withheld) => return Ok(Err(withheld)),
        };
        let Provider { remainder, key } = &provider;
        let url = remainder.message_url(&at.id);
        let carried = match self.ask(*remainder, &url, Some(key), ANSWER_BYTES_MAX).await {
            Ok(answer) => remainder.message(&answer),
            Err(withheld) => return Ok(Err(withheld)),
        };
        let Ok(carried) = carried else {
            return Ok(Err(Withheld(format!("{} answered with something that is no message", remainder.provider()))));
        };
        let opened = keeping::opened((self.read_letter, &self.clock), carried).await;
        let (told, content) = opened.letter.kept();
        let known = message.fields.clone();
        let fields = Fields {
            cc: if told.cc.is_empty() { known.cc } else { told.cc },
            snippet: told.snippet,
            files: if told.files.is_empty() { known.files } else { told.files },
            notes: told.notes,
            ..known
        };
        self.mail.complete_received(&message.id, &fields, &content).await?;
        Ok(Ok(()))
    }

    async fn fetched(
        &self,
        Provider { remainder, key }: &Provider,
        at: &AtProvider,
        index: usize,
        name: &str,
    ) -> Result<Vec<u8>, Withheld> {
        let url = remainder.files_url(&at.id);
        let list = self.ask(*remainder, &url, Some(key), ANSWER_BYTES_MAX).await?;
        let found = remainder.file_url(&list, index, name).ok().flatten();
        let Some(url) = found else {
            return Err(Withheld(format!("{} does not list this file any more", remainder.provider())));
        };
        // It is signed itself, and wherever it leads, the key does not go there.
        self.ask(*remainder, &url, None, FILE_BYTES_MAX).await
    }

    /// The provider of a message, if it can be asked.
    async fn provider(&self, at: &AtProvider) -> Result<Result<Provider, Withheld>, UpstreamError> {
        let AtProvider { source: name, .. } = at;
        let Some(source) = self.sources.source(name).await? else {
            let why = format!("the rest of this message is with its provider, and the source {name} was removed");
            return Ok(Err(Withheld(why)));
        };
        let Some(remainder) = dialect(&source.dialect).and_then(Dialect::remainder) else {
            let why = format!("this version cannot ask the provider of the source {name} for the rest of this message");
            return Ok(Err(Withheld(why)));
        };
        let Some(key) = source.api_key else {
            let provider = remainder.provider();
            return Ok(Err(Withheld(format!(
                "{provider}'s webhook does not carry the text and the files; they are fetched once the operator gives the \
                 source a key of {provider}'s API: mailbell source api-key {name} --file FILE"
            ))));
        };
        Ok(Ok(Provider { remainder, key }))
    }

    /// Asks, and again where it may help.
    async fn ask(
        &self,
        remainder: &dyn Remainder,
        url: &Url,
        key: Option<&Secret>,
        bytes_max: usize,
    ) -> Result<Vec<u8>, Withheld> {
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(RETRY_DELAY_MIN)
            .with_max_delay(RETRY_DELAY_MAX)
            .with_max_times(RETRIES_MAX)
            .with_jitter()
            .build();
        loop {
            let error = match self.fetch.ask(Ask { url, key, bytes_max }).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let again = matches!(error, FetchError::Status(429 | 500..=599) | FetchError::Late | FetchError::Failed(_));
            let Some(delay) = delays.next().filter(|_| again) else {
                return Err(Withheld(refused(remainder.provider(), &error)));
            };
            self.clock.sleep(delay).await;
        }
    }
}

fn refused(provider: &str, error: &FetchError) -> String {
    match error {
        FetchError::Status(401 | 403) => format!(
            "{provider}'s API does not accept the source's key for messages that came in; the operator must give it another \
             (mailbell source api-key)"
        ),
        FetchError::Status(404 | 410) => format!("{provider} does not have this message any more"),
        error => format!("{provider}'s API could not be asked for it ({error}); try again in a minute"),
    }
}
