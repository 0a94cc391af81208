//! The person in charge: `mailbell mode`, `pause`, `resume`, `approvals`. Each change asks for the operator token, on the
//! terminal or in a file that is named; never in a variable, which every process an agent starts would inherit.

use std::{
    io::{IsTerminal as _, Read as _, Write as _},
    path::PathBuf,
};

use clap::{Args, Subcommand};

use super::{Failure, Where, say, time_and_ids};
use crate::{
    app::bell_side::{BellSide, open_bell_store},
    bell::oversight::Oversight,
    domain::{
        allow_hosts::AllowHosts,
        id::ActionId,
        oversight::{ActionState, OversightMode},
        secret::Secret,
    },
    store::oversight::{Action, Decided, Decider, Decision},
    wake::Bell,
};

/// A token is shorter by far.
const TOKEN_BYTES_MAX: u64 = 1024;
/// Actions that a list shows.
const LIST_MAX: u32 = 200;

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
    async fn side(&self) -> Result<BellSide, Failure> {
        let (clock, ids) = time_and_ids();
        let store = open_bell_store(&self.place.open()?, &ids).await?;
        Ok(BellSide { store: store.into(), bell: Bell::default(), ids, clock })
    }

    /// The gate, without a word: for what only shows.
    async fn look(&self) -> Result<Oversight, Failure> {
        Ok(self.side().await?.oversight(AllowHosts::default()))
    }

    /// The gate, for whoever has proved to be the operator.
    async fn give(&self) -> Result<Oversight, Failure> {
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
}

impl Mode {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { wanted, mailbox, code, word } = self;
        let Some(wanted) = wanted else {
            let rules = word.look().await?.rules().await?;
            say(format_args!("{}{}", rules.mode, if rules.paused { "  (paused)" } else { "" }))?;
            for (mailbox, mode) in &rules.mailboxes {
                say(format_args!("{mode}  {mailbox}"))?;
            }
            return Ok(());
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
            (true, Some(mode), Some(mailbox)) => say(oversight.code(mailbox, mode, &Decider::Terminal).await?.expose()),
            (true, ..) => Err("a code is for a mode of a mailbox, not for `default`".into()),
            _ => {
                oversight.set_mode(mailbox.as_deref(), mode, &Decider::Terminal).await?;
                let whose = mailbox.as_deref().unwrap_or("every mailbox without a mode of its own");
                say(format_args!("{whose}: {wanted}"))
            }
        }
    }
}

/// `mailbell pause` and `mailbell resume`
#[derive(Args)]
pub(super) struct Pause {
    #[command(flatten)]
    word: Word,
}

impl Pause {
    pub(super) async fn run(self, paused: bool) -> Result<(), Failure> {
        self.word.give().await?.set_paused(paused, &Decider::Terminal).await?;
        say(if paused {
            "paused: mail is taken in, and nothing is sent, posted to others or changed until `mailbell resume`"
        } else {
            "resumed"
        })
    }
}

/// `mailbell approvals`
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Approvals {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    list: List,
}

#[derive(Subcommand)]
enum What {
    /// List what waits, or with --all what was decided too
    List(List),
    /// Show one, exactly as it will be done
    Show(Show),
    /// Have one done, exactly as it is shown
    Approve(Approve),
    /// Have one not done
    Deny(Deny),
}

#[derive(Args)]
struct List {
    /// Also those that are over
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Where,
}

#[derive(Args)]
struct Show {
    /// Which, such as `act_…`
    id: String,
    #[command(flatten)]
    place: Where,
}

#[derive(Args)]
struct Approve {
    /// Which, such as `act_…`
    id: String,
    /// Only if this is the digest that `show` printed
    #[arg(long)]
    digest: Option<String>,
    #[command(flatten)]
    word: Word,
}

#[derive(Args)]
struct Deny {
    /// Which, such as `act_…`
    id: String,
    /// Why, for the record
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    word: Word,
}

impl Approvals {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.what.unwrap_or(What::List(self.list)) {
            What::List(List { all, place }) => {
                let oversight = Word { operator_token_file: None, place }.look().await?;
                let state = (!all).then_some(ActionState::Pending);
                let actions = oversight.actions(state, LIST_MAX, false).await?;
                if actions.is_empty() {
                    return say("nothing waits");
                }
                for Action { id, state, created_at, asker, summary, mailbox, .. } in actions {
                    let mailbox = mailbox.as_deref().unwrap_or("-");
                    say(format_args!(
                        "{id}  {}  {created_at}  {mailbox}  {}  ({asker})",
                        state.as_str(),
                        plain(&summary)
                    ))?;
                }
                Ok(())
            }
            What::Show(Show { id, place }) => {
                let oversight = Word { operator_token_file: None, place }.look().await?;
                show(&found(&oversight, &id).await?)
            }
            What::Approve(Approve { id, digest, word }) => {
                let action = found(&word.look().await?, &id).await?;
                // What was shown is what is approved, even if somebody put other words there meanwhile.
                show(&action)?;
                let oversight = word.give().await?;
                let decision = Decision::Approve { digest: digest.unwrap_or(action.digest) };
                let approved = oversight.decide(&action.id, &decision, &Decider::Terminal, None).await?;
                decided(approved, "approved; the running house does it now")
            }
            What::Deny(Deny { id, note, word }) => {
                let oversight = word.give().await?;
                let (id, by) = (ActionId::new(id), Decider::Terminal);
                decided(oversight.decide(&id, &Decision::Deny, &by, note.as_deref()).await?, "denied")
            }
        }
    }
}

async fn found(oversight: &Oversight, id: &str) -> Result<Action, Failure> {
    let found = oversight.action(&ActionId::new(id)).await?;
    found.ok_or_else(|| format!("there is no action `{}`; `mailbell approvals` lists what waits", plain(id)).into())
}

fn decided(decided: Decided, done: &str) -> Result<(), Failure> {
    match decided {
        Decided::Done => say(done),
        Decided::Unknown => Err("there is no such action; `mailbell approvals` lists what waits".into()),
        Decided::Over(state) => Err(format!("it is {} already; nothing was decided now", state.as_str()).into()),
        Decided::OtherDigest => Err("this is not what was shown, so nothing was approved; look at it again".into()),
    }
}

fn show(action: &Action) -> Result<(), Failure> {
    say(format_args!("{}  {}  by {}", action.id, action.state.as_str(), action.asker))?;
    say(format_args!("asked {}, expires {}", action.created_at, action.expires_at))?;
    say(format_args!("digest {}", action.digest))?;
    if let Some(note) = &action.note {
        say(format_args!("note: {}", plain(note)))?;
    }
    let Some(effect) = &action.effect else { return say(plain(&action.summary)) };
    // As JSON: what a terminal could take as a command to itself is escaped.
    let shown = serde_json::json!({ "request": effect.change.shown(), "shown": effect.shown });
    say(ascii(&serde_json::to_string_pretty(&shown)?))
}

/// JSON in which every character that is not plain ASCII is escaped, so that nothing in it looks like something else.
fn ascii(json: &str) -> String {
    use std::fmt::Write as _;
    let mut shown = String::with_capacity(json.len());
    for char in json.chars() {
        if char.is_ascii() {
            shown.push(char);
        } else {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

/// A stranger's text on a terminal: without what could command it.
fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}
