//! What an account logs in with: its password, or a token that a command of the operator's prints.

use std::{process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt as _, process::Command};

use super::{settings::Settings, trouble::Trouble};
use crate::domain::{clock::Clock, secret::Secret};

/// A command asks some service for a token; a person is not waited for.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(30);
/// A token is a few KiB at most, in bytes.
const TOKEN_BYTES_MAX: u64 = 16 << 10;

/// How to log in.
pub(super) enum Credentials {
    /// By LOGIN.
    Password(Secret),
    /// By XOAUTH2.
    Token(Secret),
}

impl Credentials {
    /// Those of an account, now.
    pub(super) async fn of(settings: &Settings, password: Option<&Secret>, clock: &dyn Clock) -> Result<Self, Trouble> {
        match settings.token_command.split_first() {
            Some((program, arguments)) => token(program, arguments, clock).await.map(Self::Token),
            None => password.cloned().map(Self::Password).ok_or(Trouble::NoPassword),
        }
    }

    pub(super) fn secret(&self) -> &Secret {
        match self {
            Self::Password(secret) | Self::Token(secret) => secret,
        }
    }
}

/// Runs the command, without a shell; what it prints goes nowhere but into the login.
async fn token(program: &str, arguments: &[String], clock: &dyn Clock) -> Result<Secret, Trouble> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|_| Trouble::TokenCommand("could not be started; give its whole path"))?;
    let mut output = child.stdout.take().ok_or(Trouble::TokenCommand("has no output"))?.take(TOKEN_BYTES_MAX + 1);
    let running = async {
        let mut printed = Vec::new();
        let read = output.read_to_end(&mut printed).await;
        if read.is_err() || printed.len() as u64 > TOKEN_BYTES_MAX {
            return Err(Trouble::TokenCommand("printed more than 16 KiB, which is no access token"));
        }
        match child.wait().await {
            Ok(status) if status.success() => Ok(printed),
            _ => Err(Trouble::TokenCommand("failed; run it by hand, as the user that runs mailbell")),
        }
    };
    let printed = tokio::select! {
        printed = running => printed?,
        () = clock.sleep(COMMAND_TIME_MAX) => return Err(Trouble::TokenCommand("took longer than 30 seconds")),
    };
    let text = String::from_utf8(printed).unwrap_or_default();
    match text.trim() {
        token if !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic()) => Ok(Secret::new(token)),
        _ => Err(Trouble::TokenCommand("printed something other than one access token")),
    }
}

/// XOAUTH2, as Google and Microsoft describe it: the token once; to the error that follows a refusal, nothing.
pub(super) struct XOAuth2(Option<String>);

impl XOAuth2 {
    pub(super) fn new(user: &str, token: &Secret) -> Self {
        Self(Some(format!("user={user}\x01auth=Bearer {}\x01\x01", token.expose())))
    }
}

impl async_imap::Authenticator for XOAuth2 {
    type Response = String;

    fn process(&mut self, _challenge: &[u8]) -> String {
        self.0.take().unwrap_or_default()
    }
}
