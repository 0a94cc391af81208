//! The console: the operator's pages, made here and sent whole.
//!
//! # Who comes in
//!
//! A browser on this machine also shows other people's pages, and other programs here listen beside us. So:
//!
//! - [`door`] takes a request only under the address of this very listener, by name and port, and a change only with our own
//!   origin: a name that is pointed here, and a page of another port, are strangers.
//! - A code that `mailbell console` prints opens it once ([`crate::bell::entrance`]); after a few wrong ones nobody gets in for a
//!   while ([`sessions`]).
//! - A session's cookie goes with requests below one path alone, which nobody can guess: what listens at another port of this
//!   host, and is sent this host's cookies, never sees it. Each form has the session's own token besides.
//! - The pages run one script and one style sheet, both files of ours, and may load nothing from elsewhere.
//!
//! # What is written here
//!
//! Pages are made with `maud`, which escapes what it is given; a stranger's words go through [`words::foreign`]. Only a chart is
//! markup that was made elsewhere, of numbers and our own words. Everything is done through the doors that the commands use, and
//! put on record as done by `console:SESSION`.

mod approvals;
mod audit;
mod charts;
mod charts_page;
mod door;
mod failure;
mod feed;
mod fired;
mod layout;
mod login;
mod message;
mod now;
mod quarantine;
mod sessions;
mod settings;
mod suppressions;
mod visit;
mod webhooks;
mod words;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router, middleware,
    routing::{get, post},
};
use tokio_util::sync::CancellationToken;

use self::sessions::Sessions;
use crate::{
    bell::{entrance::Entrance, oversight::Oversight, upstream::Upstream, waiting::Waiting},
    config::effective::Setting,
    domain::clock::Clock,
    ids::Ids,
    mail::api::Api,
    store::{
        log::EventLog,
        sources::{Quarantine, Records, Sources},
        standing::Standings,
    },
};

/// What the console shows, and acts through.
pub struct Parts {
    /// Where its listener is reached.
    pub at: SocketAddr,
    /// Who may come in.
    pub entrance: Entrance,
    /// The gate, what waits behind it, and the audit record.
    pub oversight: Arc<Oversight>,
    /// The log as it grows.
    pub waiting: Waiting,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Consumers.
    pub standings: Arc<dyn Standings>,
    /// Sources.
    pub sources: Arc<dyn Sources>,
    /// What of theirs was refused.
    pub records: Arc<dyn Records>,
    /// What of theirs could not be read.
    pub quarantine: Arc<dyn Quarantine>,
    /// The embedded mail service, where there is one.
    pub mail: Option<Arc<Api>>,
    /// The mail API, wherever that is.
    pub upstream: Arc<Upstream>,
    /// The settings that hold.
    pub settings: Vec<Setting>,
    /// Ids and secrets of sessions.
    pub ids: Arc<Ids>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ends the live feeds.
    pub shutdown: CancellationToken,
}

struct Rooms {
    parts: Parts,
    /// What a request may call us by.
    hosts: Vec<String>,
    sessions: Sessions,
}

/// The console's routes.
pub fn router(parts: Parts) -> Router {
    let port = parts.at.port();
    let hosts = vec![parts.at.to_string(), format!("localhost:{port}")];
    let rooms = Arc::new(Rooms { parts, hosts, sessions: Sessions::default() });
    let inside = Router::new()
        .route("/{door}/now", get(now::page))
        .route("/{door}/feed", get(feed::stream))
        .route("/{door}/messages/{message}", get(message::page))
        .route("/{door}/approvals", get(approvals::list))
        .route("/{door}/approvals/{action}", get(approvals::show).post(approvals::decide))
        .route("/{door}/approvals/{action}/whole", get(approvals::whole))
        .route("/{door}/webhooks", get(webhooks::list))
        .route("/{door}/webhooks/{webhook}/{act}", post(webhooks::act))
        .route("/{door}/deliveries/{delivery}", get(webhooks::delivery))
        .route("/{door}/deliveries/{delivery}/{act}", post(webhooks::act_on_delivery))
        .route("/{door}/suppressions", get(suppressions::list).post(suppressions::add))
        .route("/{door}/suppressions/lift", post(suppressions::lift))
        .route("/{door}/quarantine", get(quarantine::page))
        .route("/{door}/charts", get(charts_page::page))
        .route("/{door}/audit", get(audit::page))
        .route("/{door}/audit/export", get(audit::export))
        .route("/{door}/settings", get(settings::page))
        .route("/{door}/settings/pause", post(settings::pause))
        .route("/{door}/settings/mode", post(settings::mode))
        .route("/{door}/logout", post(login::leave))
        .layer(middleware::from_fn_with_state(rooms.clone(), door::inside));
    Router::new()
        .route("/", get(login::to_login))
        .route("/login", get(login::page).post(login::enter))
        .route("/console.css", get(layout::style))
        .route("/console.js", get(layout::script))
        .route("/icon.svg", get(layout::icon))
        .merge(inside)
        .fallback(failure::no_such_page)
        .layer(middleware::from_fn_with_state(rooms.clone(), door::guard))
        .with_state(rooms)
}
