//! mailbell: tells LLM agents what happened to their email. The floor plan stands here once the house does.

pub mod bell;
pub mod config;
pub mod domain;
pub mod http;
pub mod ids;
pub mod mail;
pub mod mcp;
pub mod signing;
pub mod store;
pub mod wake;
