//! The embedded mail service: its database, its listeners, and the worker that sends its webhooks. Only a keeper has one.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{StartError, data_dir::DataDir, listeners::MailListeners, notices::MailWays, retention, tokens};
use crate::{
    bell::oversight::{CLOSED, Oversight},
    config::{Config, MailAuth, RelayTls},
    domain::{address::Address, clock::Clock, event::EventKind, secret::Secret},
    http::{self, health::Vitals},
    ids::{Entropy, Ids},
    mail::{
        self,
        api::Api,
        blobs::Blobs,
        closing::Closing,
        domains::Domains,
        keys::{HOUSE_SCOPES, Keys},
        mailroom::Mailrooms,
        outbox,
        reception::{Furnishing, Reception},
        relay::{Relay, Security},
        retention::Retention,
        smtp::{self, SmtpLimits},
        space::FileSystemOf,
        submission::{self, Submission},
        tracking::{self, Tracking},
        verdict::{Judge, Lookups, NoResolver, Trust},
        webhooks::{
            dispatch::Dispatch,
            egress::Egress,
            registry::{NewWebhook, Registry},
            targets::{Asker, Targets},
            upkeep::Upkeep,
            worker::{LEASE, Parts, Worker},
        },
    },
    reach::SystemNames,
    store::{mail::MailStore, oversight::Decider},
};

/// The local part of the mailbox that a new service has, at each first of its domains.
const FIRST_MAILBOX: &str = "agent";

/// What the service is made from.
pub(super) struct Inside<'a> {
    pub(super) dir: &'a DataDir,
    pub(super) config: &'a Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<Ids>,
    pub(super) entropy: Arc<dyn Entropy>,
    /// Where our own receiver listens.
    pub(super) own_receiver: watch::Receiver<Option<SocketAddr>>,
    pub(super) disk_failed: CancellationToken,
    /// Under which URL recipients reach the tracking images.
    pub(super) images: Url,
    /// Whether the operator has everything but taking mail in stand still.
    pub(super) paused: watch::Receiver<bool>,
    /// By this whoever does what was approved is known.
    pub(super) approvals: &'a Secret,
    /// The gate before the API's changes.
    pub(super) oversight: Arc<Oversight>,
}

/// The embedded mail service.
pub(super) struct MailSide {
    store: Arc<MailStore>,
    mailrooms: Mailrooms,
    api: Arc<Api>,
    dispatch: Arc<Dispatch>,
    oversight: Arc<Oversight>,
    reception: Arc<Reception>,
    tracking: Arc<Tracking>,
    worker: Worker,
    sender: outbox::Worker,
    retention: Retention,
    limits: SmtpLimits,
    clock: Arc<dyn Clock>,
    first_domain: String,
    allowed_hosts: Vec<String>,
}

impl MailSide {
    /// Opens the service's database and makes its parts.
    #[expect(clippy::too_many_lines, reason = "one list of parts, in the order in which they need each other")]
    pub(super) async fn open(inside: Inside<'_>) -> Result<Self, StartError> {
        let Inside {
            dir,
            config,
            clock,
            ids,
            entropy,
            own_receiver,
            disk_failed,
            images,
            paused,
            approvals,
            oversight,
        } = inside;
        let store = Arc::new(MailStore::open(&dir.mail_db(), disk_failed).await?);
        let blobs = Blobs::open(&dir.blobs(), store.clone()).map_err(StartError::Blobs)?;
        let owed = Arc::new(Notify::new());
        let targets = Targets::new(&config.webhooks.allow_hosts, config.api.addr.0.ip().is_loopback())
            .resolving(Arc::new(SystemNames));
        let domains = Domains::open(store.clone(), &config.mail.domains).await?;
        let closing = Closing { store: store.clone(), domains: domains.clone(), clock: clock.clone() };
        Box::pin(closing.take_up(oversight.end_what_waits(&Decider::House, CLOSED))).await?;
        let mailrooms = Mailrooms::new(store.clone(), ids.clone(), clock.clone(), domains.clone());
        let registry = Registry::new(
            store.clone(),
            store.clone(),
            targets.clone(),
            own_receiver.clone(),
            clock.clone(),
            ids.clone(),
        );
        let dispatch = Arc::new(Dispatch::new(Egress::new(clock.clone()), targets, own_receiver, clock.clone()));
        let queued = Arc::new(Notify::new());
        let relay = relay(config)?;
        let tracking = Arc::new(Tracking::new(tracking::Parts {
            opens: store.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            base: images,
            stored: owed.clone(),
        }));
        let submission = Submission::new(submission::Parts {
            outbox: store.clone(),
            mailroom: store.clone(),
            blobs: blobs.clone(),
            ids: ids.clone(),
            clock: clock.clone(),
            domains: domains.clone(),
            relays: relay.is_some(),
            message_bytes_max: config.smtp.message_bytes_max,
            tracking: tracking.clone(),
            queued: queued.clone(),
        });
        let lookups = lookups(config)?;
        let api = Api::new(mail::api::Parts {
            submission,
            suppressions: store.clone(),
            office: store.clone(),
            mailroom: store.clone(),
            blobs: blobs.clone(),
            opens: store.clone(),
            deliveries: store.clone(),
            registry,
            upkeep: upkeep(&store, &dispatch, &owed, &clock, &ids),
            keys: Keys::new(store.clone(), clock.clone(), ids.clone()),
            domains: domains.clone(),
            hostname: config.smtp.hostname.clone(),
            closing,
            clock: clock.clone(),
            ids: ids.clone(),
        })
        .doing_approved(approvals)
        .asking_dns(lookups.clone());
        api.registry().recall_approved().await?;
        let reception = Reception::new(Furnishing {
            store: store.clone(),
            outbox: store.clone(),
            blobs: blobs.clone(),
            ids: ids.clone(),
            clock: clock.clone(),
            domains: domains.clone(),
            space: Arc::new(FileSystemOf(dir.root().to_owned())),
            free_bytes_min: config.mail.free_bytes_min,
            stored: owed.clone(),
        });
        let reception = Arc::new(match judge(config, lookups, &clock) {
            Some(judge) => reception.with_judge(judge).with_reporters(&config.mail.arf_reporters),
            None => reception,
        });
        let (policy, time) = (retention::of_mail(config), clock.clone());
        let forgetting = Retention { store: store.clone(), blobs: blobs.clone(), policy, clock: time };
        let sender = outbox::Worker::new(outbox::Parts {
            outbox: store.clone(),
            blobs,
            reception: reception.clone(),
            domains: domains.clone(),
            relay,
            paused: paused.clone(),
            queued,
            owed: owed.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            entropy: entropy.clone(),
        });
        let parts = Parts {
            deliveries: store.clone(),
            dispatch: dispatch.clone(),
            paused,
            bell: owed,
            clock: clock.clone(),
            ids,
            entropy,
        };
        Ok(Self {
            store,
            api: Arc::new(api),
            dispatch,
            oversight,
            mailrooms,
            tracking,
            reception,
            worker: Worker::new(parts, LEASE)?,
            sender,
            retention: forgetting,
            limits: limits(config),
            clock,
            allowed_hosts: config.mcp.allowed_hosts.clone(),
            first_domain: config.mail.domains.first().cloned().unwrap_or_default(),
        })
    }

    /// Puts in what every service has: the house's key, and at the first start a mailbox and a webhook to our own receiver.
    pub(super) async fn furnish(&self, api_token: &Secret, own_secret: &Secret) -> Result<(), StartError> {
        self.api.keys().install(tokens::API, api_token, &HOUSE_SCOPES).await?;
        if self.mailrooms.list().await?.is_empty() {
            let address: Address = format!("{FIRST_MAILBOX}@{}", self.first_domain)
                .parse()
                .expect("the domains were checked when the settings were loaded");
            self.mailrooms.add(address, None).await?;
        }
        if self.api.registry().list().await?.is_empty() {
            let everything = NewWebhook {
                endpoint: "self".to_owned(),
                mailbox: None,
                domain: None,
                events: EventKind::OF_WEBHOOKS.map(|kind| kind.as_str().to_owned()).to_vec(),
                description: Some("every event, to mailbell's own receiver".to_owned()),
                secret: Some(own_secret.clone()),
                signature_format: None,
            };
            self.api.registry().register(everything, Asker::House).await?;
        }
        Ok(())
    }

    /// Its database.
    pub(super) fn store(&self) -> Arc<MailStore> {
        self.store.clone()
    }

    /// The tracking images, for the listener that the world reaches.
    pub(super) fn tracking(&self) -> Arc<Tracking> {
        self.tracking.clone()
    }

    /// What tells the operator goes out by it.
    pub(super) fn ways(&self) -> MailWays {
        MailWays { api: self.api.clone(), dispatch: self.dispatch.clone() }
    }

    /// Its use cases.
    pub(super) fn api(&self) -> Arc<Api> {
        self.api.clone()
    }

    /// Starts serving on `sockets`, until `shutdown`. The API's listener also proves by `proof` that it is the keeper's, to
    /// those who know it as `base`.
    pub(super) fn open_doors(
        self,
        sockets: MailListeners,
        (proof, base): (Secret, String),
        vitals: Arc<dyn Vitals>,
        parts: &TaskTracker,
        shutdown: &CancellationToken,
    ) {
        let Self { api, oversight, reception, worker, sender, retention, limits, clock, allowed_hosts, .. } = self;
        let routes = http::v1::router(api, oversight, &allowed_hosts)
            .merge(http::proof::router(proof, base))
            .merge(http::health::probes(vitals));
        parts.spawn(http::listen::serve("api", sockets.api, routes, shutdown.clone()));
        let (room, time) = (reception.clone(), clock.clone());
        parts.spawn(smtp::serve(sockets.smtp, room, limits.clone(), time, shutdown.clone()));
        parts.spawn(smtp::serve_lmtp(sockets.lmtp, reception, limits, clock, shutdown.clone()));
        let ending = shutdown.clone();
        parts.spawn(async move { worker.run(ending).await });
        let ending = shutdown.clone();
        parts.spawn(async move { sender.run(ending).await });
        parts.spawn(retention.run(shutdown.clone()));
    }
}

/// What an operator can do to webhooks and their deliveries.
fn upkeep(
    store: &Arc<MailStore>,
    dispatch: &Arc<Dispatch>,
    owed: &Arc<Notify>,
    clock: &Arc<dyn Clock>,
    ids: &Arc<Ids>,
) -> Upkeep {
    Upkeep::new(store.clone(), store.clone(), dispatch.clone(), owed.clone(), clock.clone(), ids.clone())
}

/// What a peer of the SMTP and LMTP listeners may ask for.
fn limits(config: &Config) -> SmtpLimits {
    SmtpLimits {
        hostname: config.smtp.hostname.clone(),
        message_bytes_max: config.smtp.message_bytes_max,
        connections_max: config.smtp.connections_max,
        idle: Duration::from_secs(config.smtp.idle_secs),
    }
}

/// Who says of a message whether it is from whom it says; nobody unless the settings want it.
fn judge(config: &Config, lookups: Option<Arc<Lookups>>, clock: &Arc<dyn Clock>) -> Option<Judge> {
    let MailAuth { verify, authserv_id, trusted_peers, .. } = &config.mail.auth;
    if !verify && authserv_id.is_none() {
        return None;
    }
    // The settings were checked when they were loaded.
    let peers = trusted_peers.iter().filter_map(|peer| peer.parse().ok()).collect();
    let trust = Trust { authserv_id: authserv_id.clone(), peers };
    Some(Judge::new(trust, lookups.filter(|_| *verify), clock.clone()))
}

/// Asks the DNS, where the settings say that it may be asked: of mail, or by which name server.
fn lookups(config: &Config) -> Result<Option<Arc<Lookups>>, NoResolver> {
    let MailAuth { verify, resolver, .. } = &config.mail.auth;
    let may_ask = *verify || resolver.is_some();
    may_ask.then(|| Lookups::new(*resolver, &config.smtp.hostname).map(Arc::new)).transpose()
}

/// The relay that the settings name, if they do.
fn relay(config: &Config) -> Result<Option<Relay>, StartError> {
    let settings = &config.mail.relay;
    let Some(host) = settings.host.clone() else { return Ok(None) };
    let ca = settings.ca_file.as_ref().map(std::fs::read).transpose().map_err(StartError::RelayCa)?;
    Ok(Some(Relay {
        host,
        port: settings.port,
        security: match settings.security() {
            RelayTls::Starttls => Security::StartTls,
            RelayTls::Implicit => Security::Implicit,
            RelayTls::None => Security::None,
        },
        credentials: settings.username.clone().zip(settings.password.clone()),
        hello: config.smtp.hostname.clone(),
        ca,
    }))
}
