//! The demo's agents: a real MCP client each, and behind it a `mailbell mcp` process of its own.

use std::{path::Path, process::Stdio};

use rmcp::{
    RoleClient, ServiceExt as _,
    model::{CallToolRequestParams, JsonObject},
    service::RunningService,
};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::cli::Failure;

/// An agent with its server process.
pub(super) struct Agent {
    client: RunningService<RoleClient, ()>,
    process: Child,
}

impl Agent {
    /// Starts `mailbell mcp` on `data_dir` and connects to it.
    pub(super) async fn start(data_dir: &Path) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["mcp", "--log", "warn", "--data-dir"])
            .arg(data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = process.stdout.take().zip(process.stdin.take());
        let client = ().serve(pipes.ok_or("the process has no pipes")?).await?;
        Ok(Self { client, process })
    }

    /// Calls a tool; answers with its structured result, and whether the tool called it an error.
    pub(super) async fn call(&self, tool: &'static str, arguments: Value) -> Result<(Value, bool), Failure> {
        let Value::Object(arguments) = arguments else { return Err("arguments are an object".into()) };
        let arguments: JsonObject = arguments;
        let result = self.client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
        let is_error = result.is_error.unwrap_or_default();
        let text = || result.content.iter().filter_map(|block| Some(block.as_text()?.text.clone())).collect::<String>();
        let value = result.structured_content.clone().unwrap_or_else(|| Value::String(text()));
        Ok((value, is_error))
    }

    /// Calls a tool that must succeed.
    pub(super) async fn ask(&self, tool: &'static str, arguments: Value) -> Result<Value, Failure> {
        match self.call(tool, arguments).await? {
            (value, false) => Ok(value),
            (value, true) => Err(format!("{tool} failed: {value}").into()),
        }
    }

    /// Kills the process with SIGKILL, as a crash would.
    pub(super) async fn kill(mut self) -> Result<(), Failure> {
        self.process.kill().await?;
        // Nobody is at the other end any more, so there is nothing to say goodbye to.
        drop(self.client);
        Ok(())
    }

    /// Ends the session and the process.
    pub(super) async fn end(mut self) -> Result<(), Failure> {
        self.client.cancel().await?;
        self.process.wait().await?;
        Ok(())
    }
}
