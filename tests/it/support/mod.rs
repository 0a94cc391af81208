//! What the stories are told with.

pub mod agent;
pub mod api;
pub mod bell;
pub mod certificate;
pub mod clock;
pub mod dns;
pub mod entropy;
pub mod foreign;
pub mod fuzz;
pub mod hooks;
pub mod hostile;
pub mod house;
pub mod http;
pub mod imap;
pub mod mail;
pub mod mail_api;
pub mod mailroom;
pub mod openapi;
pub mod post;
pub mod provider;
pub mod receiver;
pub mod relay;
pub mod smtp_peer;
pub mod stable;
pub mod statements;
pub mod wire;
