//! The person in charge: `mailbell mode`, `pause`, `resume`. Each change asks for the operator token, on the
//! terminal or in a file that is named; never in a variable, which every process an agent starts would inherit.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Read as _, Write as _},
    path::PathBuf,
};

use clap::Args;
use serde_json::json;

use super::{Failure, Where, answer::Answer, terminal::plain, time_and_ids};
use crate::{
    app::bell_side::{BellSide, open_bell_store},
    bell::oversight::Oversight,
    domain::{allow_hosts::AllowHosts, oversight::OversightMode, secret::Secret},
    store::oversight::Decider,
    wake::Bell,
};

/// A token is shorter by far.
const TOKEN_BYTES_MAX: u64 = 1024;

/// The operator's word.
#[derive(Args)]
pub(super) struct Word {
    /// Read the operator token from this file, or with `-` from stdin, instead of asking on the terminal
    #[arg(long, value_name = "FILE")]
    operator_token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) place: Where,
}

impl Word {
    /// For what only shows, and asks nobody.
    pub(super) fn unasked(place: Where) -> Self {
        Self { operator_token_file: None, place }
    }

    async fn side(&self) -> Result<BellSide, Failure> {
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&self.place.open()?, &ids).await?;
        Ok(BellSide { store: store.into(), bell: Bell::default(), ids, clock })
    }

    /// The gate, without a word: for what only shows.
    pub(super) async fn look(&self) -> Result<Oversight, Failure> {
        Ok(self.side().await?.oversight(AllowHosts::default()))
    }

    /// The gate, for whoever has proved to be the operator.
    pub(super) async fn give(&self) -> Result<Oversight, Failure> {
        Ok(self.prove().await?.0.oversight(AllowHosts::default()))
    }

    /// The bell wing, for whoever has proved to be the operator, with the token that they gave.
    pub(super) async fn prove(&self) -> Result<(BellSide, Secret), Failure> {
        let side = self.side().await?;
        let oversight = side.oversight(AllowHosts::default());
        if !oversight.rules().await?.operator {
            return Err("there is no operator token yet, so nobody can prove to be the operator; make one with `mailbell token \
                        operator` on a terminal, or at the first start with `serve --operator-token-file FILE`"
                .into());
        }
        let token = Secret::new(self.token()?.trim());
        if oversight.is_operator(&token).await? {
            return Ok((side, token));
        }
        Err("this is not the operator token; nothing was changed".into())
    }

    fn token(&self) -> Result<String, Failure> {
        let mut token = String::new();
        match &self.operator_token_file {
            Some(path) if path.as_os_str() == "-" => {
                std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut token)?;
            }
            Some(path) => {
                std::fs::File::open(path)?.take(TOKEN_BYTES_MAX).read_to_string(&mut token)?;
            }
            None if std::io::stdin().is_terminal() => {
                write!(std::io::stderr(), "Operator token: ")?;
                std::io::stdin().read_line(&mut token)?;
            }
            None => {
                return Err("this asks for the operator token: run it on a terminal, or name a file with \
                            --operator-token-file FILE (- for stdin)"
                    .into());
            }
        }
        Ok(token)
    }
}

/// `mailbell mode`
#[derive(Args)]
pub(super) struct Mode {
    /// `read_only`, `gated_all`, `gated_send`, `monitored`, `autonomous`, or for a mailbox `default`; shows them without
    #[arg(value_name = "MODE")]
    wanted: Option<String>,
    /// The address of the mailbox; the house without
    mailbox: Option<String>,
    /// Change nothing, and print a code by which an agent may change that mailbox to it, once, within a day
    #[arg(long, requires = "mailbox")]
    code: bool,
    #[command(flatten)]
    word: Word,
    #[command(flatten)]
    answer: Answer,
}

impl Mode {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { wanted, mailbox, code, word, answer } = self;
        let Some(wanted) = wanted else {
            let rules = word.look().await?.rules().await?;
            let mut lines = vec![format!("{}{}", rules.mode, if rules.paused { "  (paused)" } else { "" })];
            lines.extend(rules.mailboxes.iter().map(|(mailbox, mode)| format!("{mode}  {}", plain(mailbox))));
            let mailboxes: BTreeMap<_, _> =
                rules.mailboxes.iter().map(|(mailbox, mode)| (mailbox, mode.to_string())).collect();
            let told = json!({ "mode": rules.mode.to_string(), "paused": rules.paused, "mailboxes": mailboxes });
            return answer.give(told, lines.join("\n"));
        };
        let mode: Option<OversightMode> = match (wanted.as_str(), &mailbox) {
            ("default", Some(_)) => None,
            (word, _) => Some(word.parse()?),
        };
        if let Some(mailbox) = &mailbox {
            mailbox.parse::<crate::domain::address::Address>()?;
        }
        let oversight = word.give().await?;
        match (code, mode, &mailbox) {
            (true, Some(mode), Some(mailbox)) => {
                let code = oversight.code(mailbox, mode, &Decider::Terminal).await?;
                answer.give(json!({ "mailbox": mailbox, "mode": wanted, "code": code.expose() }), code.expose())
            }
            (true, ..) => Err("a code is for a mode of a mailbox, not for `default`".into()),
            _ => {
                oversight.set_mode(mailbox.as_deref(), mode, &Decider::Terminal).await?;
                let whose = mailbox.as_deref().unwrap_or("every mailbox without a mode of its own");
                answer.give(json!({ "mailbox": mailbox, "mode": wanted }), format_args!("{whose}: {wanted}"))
            }
        }
    }
}

/// `mailbell pause` and `mailbell resume`
#[derive(Args)]
pub(super) struct Pause {
    #[command(flatten)]
    word: Word,
    #[command(flatten)]
    answer: Answer,
}

impl Pause {
    pub(super) async fn run(self, paused: bool) -> Result<(), Failure> {
        self.word.give().await?.set_paused(paused, &Decider::Terminal).await?;
        let said = if paused {
            "paused: mail is taken in, and nothing is sent, posted to others or changed until `mailbell resume`"
        } else {
            "resumed"
        };
        self.answer.give(json!({ "paused": paused }), said)
    }
}
