//! The ways by which the operator is told: the mail service's webhooks and letters, for the bell wing, which has neither.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{bell_side::BellSide, resident::Resident};
use crate::{
    bell::{
        notices::{self, Carried, Carrier, Parts, Teller},
        upstream::Upstream,
    },
    config::Config,
    domain::{notice::NoticeTarget, secret::Secret, webhook::Endpoint},
    mail::{
        api::Api,
        submission::{Fared, SubmitError},
        webhooks::{dispatch::Dispatch, egress::Egress, targets::Targets},
    },
    store::notices::{NoticeLetter, Notices as _},
};

/// The name of the secret that signs what goes to the operator's own URLs.
pub const OPERATOR: &str = "operator";
/// What such secrets begin with.
const SECRET_PREFIX: &str = "whsec_";
/// An endpoint that says so wants no more.
const GONE: u16 = 410;

/// The secret of that name, which is made where there is none yet: [`OPERATOR`], or the address of an overseen mailbox.
pub async fn secret(bell: &BellSide, name: &str) -> Result<Secret, crate::store::StoreError> {
    bell.store.notice_secret(&name.to_lowercase(), Secret::new(bell.ids.secret(SECRET_PREFIX))).await
}

/// The embedded mail service, as far as telling takes it.
pub(super) struct MailWays {
    pub(super) api: Arc<Api>,
    pub(super) dispatch: Arc<Dispatch>,
}

/// What tells the operator in a term that has the number `epoch`.
pub(super) fn teller(
    resident: &Resident,
    config: &Config,
    mail: Option<MailWays>,
    upstream: Arc<Upstream>,
    epoch: i32,
) -> Teller {
    let bell = &resident.bell;
    let targets = config.operator.notify.clone();
    // What the operator's own settings name needs nobody's approval, and nothing else goes this way.
    let named = Targets::new(&[], true);
    for target in &targets {
        match target {
            NoticeTarget::Url(url) => {
                if let Some(host) = named.to_approve(url) {
                    named.approve(host);
                }
            }
            NoticeTarget::Address(address) => {
                let way = mail.as_ref().map(|mail| mail.api.submission().reaches(address));
                if let Some(Err(error)) = way {
                    tracing::warn!("an address in operator.notify cannot be written to; `mailbell doctor` says why");
                    tracing::debug!(%error, "there is no way to it");
                }
            }
            NoticeTarget::Mailbox(_) => {}
        }
    }
    // A receiver outlives its sender: the operator's URLs are never our own receiver.
    let nowhere = watch::channel(None::<SocketAddr>).1;
    let own = Dispatch::new(Egress::new(resident.clock.clone()), named, nowhere, resident.clock.clone());
    let carrier = Ways { bell: bell.clone(), mail, own };
    Teller::new(Parts {
        notices: bell.store.clone(),
        log: bell.store.clone(),
        audit: bell.store.clone(),
        oversight: resident.oversight.clone(),
        upstream,
        carrier: Arc::new(carrier),
        clock: resident.clock.clone(),
        ids: resident.ids.clone(),
        targets,
        epoch,
    })
}

struct Ways {
    bell: BellSide,
    mail: Option<MailWays>,
    /// To the operator's own URLs.
    own: Dispatch,
}

impl Ways {
    async fn overseer(&self, mailbox: &str) -> Option<Endpoint> {
        let address = mailbox.parse().ok()?;
        self.mail.as_ref()?.api.overseer(&address).await.ok()?
    }

    async fn post(&self, by: &Dispatch, endpoint: &Endpoint, name: &str, letter: &NoticeLetter) -> Carried {
        let secret = match secret(&self.bell, name).await {
            Ok(secret) => secret,
            Err(error) => return Carried::NotYet(error.to_string()),
        };
        match by.notice(endpoint, &secret, &letter.id, letter.body.as_bytes(), letter.tries + 1).await {
            Ok(200..=299) => Carried::Told,
            Ok(GONE) => Carried::Refused("it answered 410: it wants no more".to_owned()),
            Ok(status) => Carried::NotYet(format!("it answered {status}")),
            Err(fault) => Carried::NotYet(fault),
        }
    }
}

#[async_trait]
impl Carrier for Ways {
    async fn oversees(&self, mailbox: &str) -> bool {
        self.overseer(mailbox).await.is_some()
    }

    async fn carry(&self, target: &NoticeTarget, letter: &NoticeLetter) -> Carried {
        match target {
            NoticeTarget::Url(url) => self.post(&self.own, &Endpoint::Url(url.clone()), OPERATOR, letter).await,
            NoticeTarget::Mailbox(mailbox) => {
                let (Some(mail), Some(endpoint)) = (&self.mail, self.overseer(mailbox).await) else {
                    return Carried::Refused("the mailbox has no oversight_webhook_url any more".to_owned());
                };
                self.post(&mail.dispatch, &endpoint, mailbox, letter).await
            }
            NoticeTarget::Address(address) => {
                let Some(mail) = &self.mail else {
                    return Carried::Refused("there is no embedded mail service that could send it".to_owned());
                };
                let Some((subject, text)) = notices::text(&letter.body) else {
                    return Carried::Refused("it cannot be read".to_owned());
                };
                match mail.api.submission().notice(&letter.id, address, &subject, &text).await {
                    Ok(Fared::Sent) => Carried::Told,
                    Ok(Fared::Queued) => Carried::OnItsWay,
                    Ok(Fared::Failed) => Carried::Refused("the mail came back, or was given up".to_owned()),
                    Err(error @ SubmitError::Suppressed(_)) => Carried::Refused(error.to_string()),
                    Err(error) => Carried::NotYet(error.to_string()),
                }
            }
        }
    }
}
