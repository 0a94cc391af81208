//! HTTP in: axum lives and ends here.

pub mod console;
mod drain;
pub mod health;
pub mod hooks;
pub mod listen;
pub mod mcp;
pub mod names;
pub mod opens;
pub mod proof;
pub mod v1;
