//! Takes webhooks on, and shows and ends them.

use std::{net::SocketAddr, sync::Arc};

use tokio::sync::watch;
use url::Url;

use super::{
    dispatch::OWN_PATH,
    targets::{Asker, TargetRefusal, Targets},
};
use crate::{
    domain::{
        address::{ascii_domain, is_domain},
        clock::Clock,
        event::EventKind,
        id::WebhookId,
        message::Mailbox,
        secret::Secret,
        webhook::{
            Endpoint, NotASignatureFormat, NotAWebhookKind, NotAnEndpoint, Scope, SignatureFormat, Vocabulary, Webhook,
        },
    },
    ids::Ids,
    mail::find_mailbox,
    store::{
        StoreError,
        mailroom::Mailroom,
        webhooks::{Registered, SigningSecret, SigningWebhook, Webhooks},
    },
};

/// Webhooks there may be: every event is held against each, and they are read as a whole.
pub const WEBHOOKS_MAX: u32 = 1_000;
/// Characters of a description; it is a label, not a document.
const DESCRIPTION_CHARS_MAX: usize = 500;
/// Bytes of a secret that a client chooses: from what cannot be guessed in an afternoon to what fits a line.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 8..=256;
/// What our secrets begin with.
pub(super) const SECRET_PREFIX: &str = "whsec_";

/// What a client asks for, as it spelled it.
#[derive(Debug, Clone, Default)]
pub struct NewWebhook {
    /// `self` or a URL.
    pub endpoint: String,
    /// The mailbox's address or id, if it is of that scope.
    pub mailbox: Option<String>,
    /// The domain, if it is of that scope.
    pub domain: Option<String>,
    /// The kinds, in any vocabulary.
    pub events: Vec<String>,
    /// What it is for.
    pub description: Option<String>,
    /// A secret of the client's choice.
    pub secret: Option<Secret>,
    /// How the signature is to be spelled; by default as the vocabulary's documentation has it.
    pub signature_format: Option<String>,
}

/// Why a webhook was not taken on.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// No endpoint, or none that is one.
    #[error(transparent)]
    Endpoint(#[from] NotAnEndpoint),
    /// An endpoint that webhooks may not be sent to.
    #[error(transparent)]
    Target(#[from] TargetRefusal),
    /// Both a mailbox and a domain.
    #[error("give `mailbox` (or `mailbox_id`) or `domain`, or neither for every mailbox, but not both")]
    TwoScopes,
    /// No such mailbox.
    #[error("there is no mailbox `{0}`; GET /v1/mailboxes lists those there are")]
    NoMailbox(String),
    /// Not a domain.
    #[error("`{0}` is no domain; give one such as example.com")]
    NoDomain(String),
    /// No kind at all.
    #[error("`events` must name at least one event; {NotAWebhookKind}")]
    NoEvents,
    /// A kind that is none.
    #[error("`{0}` is no event of a webhook; {NotAWebhookKind}")]
    UnknownEvent(String),
    /// A description that is too long.
    #[error("`description` may have {DESCRIPTION_CHARS_MAX} characters at most")]
    Description,
    /// A secret that cannot be used.
    #[error("`secret` must have {} to {} bytes and no control characters", SECRET_BYTES.start(), SECRET_BYTES.end())]
    Secret,
    /// A spelling that is none.
    #[error(transparent)]
    SignatureFormat(#[from] NotASignatureFormat),
    /// There are as many as there may be.
    #[error("there are {WEBHOOKS_MAX} webhooks, as many as there may be; delete one first")]
    Full,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The register of webhooks.
pub struct Registry {
    webhooks: Arc<dyn Webhooks>,
    mailroom: Arc<dyn Mailroom>,
    targets: Targets,
    own: watch::Receiver<Option<SocketAddr>>,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
}

impl Registry {
    /// A register over `webhooks`, for the mailboxes of `mailroom`; `own` tells where our own receiver listens.
    pub fn new(
        webhooks: Arc<dyn Webhooks>,
        mailroom: Arc<dyn Mailroom>,
        targets: Targets,
        own: watch::Receiver<Option<SocketAddr>>,
        clock: Arc<dyn Clock>,
        ids: Arc<Ids>,
    ) -> Self {
        Self { webhooks, mailroom, targets, own, clock, ids }
    }

    /// Takes a webhook on, and answers with it and its secret. Whoever receives for `self` must know the secret before, so it
    /// chooses one.
    pub async fn register(&self, asked: NewWebhook, by: Asker) -> Result<(Webhook, Secret), RegisterError> {
        let endpoint = self.endpoint(&asked.endpoint, by).await?;
        let (kinds, vocabulary) = kinds(&asked.events)?;
        let signature_format = match asked.signature_format.as_deref() {
            Some(format) => format.parse()?,
            // The page that has this vocabulary shows the prefix; the others show the bare digest.
            None if vocabulary == Vocabulary::Email => SignatureFormat::Sha256Prefixed,
            None => SignatureFormat::Hex,
        };
        if asked.description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
            return Err(RegisterError::Description);
        }
        let secret = match asked.secret {
            Some(secret) if !is_usable(&secret) => return Err(RegisterError::Secret),
            Some(secret) => secret,
            None => match self.known_to(&endpoint).await? {
                Some(secret) => secret,
                None => Secret::new(self.ids.secret(SECRET_PREFIX)),
            },
        };
        let webhook = Webhook {
            id: WebhookId::new(self.ids.next("wh_")),
            endpoint,
            scope: self.scope(asked.mailbox, asked.domain).await?,
            kinds,
            vocabulary,
            description: asked.description,
            signature_format,
            created_at: self.clock.now(),
            disabled: None,
        };
        match self.webhooks.add_webhook(&webhook, &secret, WEBHOOKS_MAX).await? {
            Registered::Fresh => Ok((webhook, secret)),
            Registered::Full => Err(RegisterError::Full),
        }
    }

    /// Lets webhooks be sent to the hosts that operators have approved before this start.
    pub async fn recall_approved(&self) -> Result<(), StoreError> {
        for host in self.webhooks.approved_hosts().await? {
            self.targets.approve(host);
        }
        Ok(())
    }

    /// Every webhook, the oldest first.
    pub async fn list(&self) -> Result<Vec<Webhook>, StoreError> {
        self.webhooks.webhooks().await
    }

    /// One webhook with its secrets, the newest first.
    pub async fn webhook(&self, id: &WebhookId) -> Result<Option<SigningWebhook>, StoreError> {
        self.webhooks.webhook(id).await
    }

    /// Ends a webhook; false if there was none.
    pub async fn remove(&self, id: &WebhookId) -> Result<bool, StoreError> {
        self.webhooks.remove_webhook(id).await
    }

    /// Ends the webhooks that only `mailbox` has.
    pub async fn remove_of(&self, mailbox: &Mailbox) -> Result<u32, StoreError> {
        self.webhooks.remove_webhooks_of(&mailbox.id).await
    }

    /// What the webhooks to our own receiver are signed with, the oldest webhook first, and of each the newest secret first.
    pub async fn own_secrets(&self) -> Result<Vec<SigningSecret>, StoreError> {
        let mut own = Vec::new();
        for webhook in self.list().await?.into_iter().filter(|webhook| webhook.endpoint == Endpoint::Own) {
            let signing = self.webhook(&webhook.id).await?;
            own.extend(signing.into_iter().flat_map(|(_, secrets)| secrets));
        }
        Ok(own)
    }

    /// The secret that our own receiver knows already, from another webhook to it: nobody tells it one that we make up here.
    async fn known_to(&self, endpoint: &Endpoint) -> Result<Option<Secret>, StoreError> {
        match endpoint {
            Endpoint::Own => Ok(self.own_secrets().await?.into_iter().next().map(|(secret, _)| secret)),
            Endpoint::Url(_) => Ok(None),
        }
    }

    /// Where `text` leads, if webhooks may be sent there on behalf of `by`.
    pub async fn endpoint(&self, text: &str, by: Asker) -> Result<Endpoint, RegisterError> {
        match text.trim().parse()? {
            Endpoint::Url(url) if !self.is_own(&url) => {
                self.targets.admit_resolved(&url, by).await?;
                if by == Asker::Operator
                    && let Some(host) = self.targets.to_approve(&url)
                {
                    self.webhooks.approve_host(&host).await?;
                    self.targets.approve(host);
                }
                Ok(Endpoint::Url(url))
            }
            // The address of our own receiver can change from start to start; `self` cannot.
            Endpoint::Own | Endpoint::Url(_) => Ok(Endpoint::Own),
        }
    }

    fn is_own(&self, url: &Url) -> bool {
        let own = self.own.borrow().map(|address| format!("http://{address}{OWN_PATH}"));
        own.is_some_and(|own| url.as_str() == own)
    }

    async fn scope(&self, mailbox: Option<String>, domain: Option<String>) -> Result<Scope, RegisterError> {
        match (mailbox, domain) {
            (None, None) => Ok(Scope::Account),
            (Some(_), Some(_)) => Err(RegisterError::TwoScopes),
            (None, Some(domain)) => {
                let ascii = ascii_domain(domain.trim());
                if is_domain(&ascii) {
                    Ok(Scope::Domain(ascii.into_owned()))
                } else {
                    Err(RegisterError::NoDomain(domain))
                }
            }
            (Some(named), None) => {
                let mailbox = find_mailbox(&*self.mailroom, &named).await?;
                let mailbox = mailbox.ok_or(RegisterError::NoMailbox(named))?;
                Ok(Scope::Mailbox { id: mailbox.id, address: mailbox.address })
            }
        }
    }
}

/// The kinds that `words` name, each once, and the vocabulary to answer in: the first that is not the plain one.
fn kinds(words: &[String]) -> Result<(Vec<EventKind>, Vocabulary), RegisterError> {
    let mut kinds = Vec::new();
    let mut spoken = Vocabulary::Plain;
    for word in words {
        let (kind, vocabulary) =
            Vocabulary::read(word).map_err(|_| RegisterError::UnknownEvent(word.chars().take(64).collect()))?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
        if spoken == Vocabulary::Plain {
            spoken = vocabulary;
        }
    }
    if kinds.is_empty() { Err(RegisterError::NoEvents) } else { Ok((kinds, spoken)) }
}

/// Whether a client may choose this secret.
pub(super) fn is_usable(secret: &Secret) -> bool {
    SECRET_BYTES.contains(&secret.expose().len()) && !secret.expose().chars().any(char::is_control)
}
