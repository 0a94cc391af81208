//! The house through its front doors: one story a file, real sockets on port 0, a clock in the test's hand.
#![expect(unreachable_pub, reason = "stories share their support within one binary")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect should end")]

mod api_attachments;
mod api_emails;
mod api_gate;
mod api_openapi;
mod api_webhooks;
mod fuzz_mail;
mod hosted_houses;
mod hosted_looks;
mod house_process;
mod intake_answers;
mod intake_commits;
mod leases_walk;
mod mail_listing;
mod mail_lmtp;
mod mail_opens;
mod mail_reception;
mod mail_smtp;
mod mail_smtp_limits;
mod mail_verdicts;
mod mcp_arguments;
mod mcp_fence;
mod mcp_http;
mod mcp_mail;
mod mcp_published;
mod mcp_resources;
mod mcp_sending;
mod mcp_upstream;
mod mcp_wait;
mod mcp_webhooks;
mod reports_corpus;
mod sending_api;
mod sending_limits;
mod sending_local;
mod sending_relay;
mod sending_returned;
mod sources_roster;
mod support;
mod waiting_onlookers;
mod waiting_processes;
mod waiting_workers;
mod webhooks_leases;
mod webhooks_mail;
mod webhooks_order;
mod webhooks_retries;
