//! Agents reach the house here, by the Model Context Protocol: tools, resources, and how results are told. `rmcp` lives and
//! ends in here.
//!
//! Each tool is thin: arguments are checked, one use case of the bell wing is called, and what it answers is presented.
//! Whatever somebody else wrote passes through a [`present::Fence`] on its way out; there is no other way out.

mod arguments;
pub mod bridge;
mod completion;
mod elicitation;
mod failure;
mod manual;
mod notify;
pub mod over_http;
mod place;
mod presence;
pub mod present;
mod principal;
mod progress;
mod prompts;
mod resources;
mod server;
mod sessions;
pub mod stdio;
mod tasks;
mod tools;
mod toolsets;

pub use self::{
    elicitation::Seal,
    manual::{resources_page, tools_page},
    notify::Expected,
    principal::{Limits, Principal},
    server::{Rooms, SESSION_HEADER, Server, published_tools},
    sessions::SessionBook,
    tasks::Slot,
    toolsets::Toolsets,
};
