//! `mailbell approvals`: what agents asked for, and an operator decides.

use anstyle::Style;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure, Where,
    answer::{Answer, say, say_json, say_marked},
    operator::Word,
    terminal::{ascii, bad, good, plain, uneasy},
};
use crate::{
    bell::oversight::Oversight,
    domain::{id::ActionId, oversight::ActionState},
    store::oversight::{Action, Decided, Decider, Decision},
};

/// Actions that a list shows.
const LIST_MAX: u32 = 200;

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
    #[command(flatten)]
    answer: Answer,
}

#[derive(Args)]
struct Show {
    /// Which, such as `act_…`
    id: String,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    answer: Answer,
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
    #[command(flatten)]
    answer: Answer,
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
    #[command(flatten)]
    answer: Answer,
}

impl Approvals {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.what.unwrap_or(What::List(self.list)) {
            What::List(List { all, place, answer }) => {
                let oversight = Word::unasked(place).look().await?;
                let state = (!all).then_some(ActionState::Pending);
                let actions = oversight.actions(state, LIST_MAX, false).await?;
                if actions.is_empty() && !answer.is_json() {
                    return say("nothing waits");
                }
                actions
                    .iter()
                    .try_for_each(|action| if answer.is_json() { say_json(told(action)) } else { line(action) })
            }
            What::Show(Show { id, place, answer }) => {
                let oversight = Word::unasked(place).look().await?;
                let action = found(&oversight, &id).await?;
                if answer.is_json() { say_json(whole(&action)) } else { show(&action) }
            }
            What::Approve(Approve { id, digest, word, answer }) => {
                let action = found(&word.look().await?, &id).await?;
                // What was shown is what is approved, even if somebody put other words there meanwhile.
                if answer.is_json() {
                    say_json(whole(&action))?;
                } else {
                    show(&action)?;
                }
                let oversight = word.give().await?;
                let decision = Decision::Approve { digest: digest.unwrap_or(action.digest) };
                let approved = oversight.decide(&action.id, &decision, &Decider::Terminal, None).await?;
                decided(answer, &action.id, approved, "approved", "approved; the running house does it now")
            }
            What::Deny(Deny { id, note, word, answer }) => {
                let oversight = word.give().await?;
                let (id, by) = (ActionId::new(id), Decider::Terminal);
                let denied = oversight.decide(&id, &Decision::Deny, &by, note.as_deref()).await?;
                decided(answer, &id, denied, "denied", "denied")
            }
        }
    }
}

async fn found(oversight: &Oversight, id: &str) -> Result<Action, Failure> {
    let found = oversight.action(&ActionId::new(id)).await?;
    found.ok_or_else(|| format!("there is no action `{}`; `mailbell approvals` lists what waits", plain(id)).into())
}

fn decided(
    answer: Answer,
    id: &ActionId,
    decided: Decided,
    decision: &'static str,
    done: &'static str,
) -> Result<(), Failure> {
    match decided {
        Decided::Done => answer.give(json!({ "action_id": id, "decided": decision }), done),
        Decided::Unknown => Err("there is no such action; `mailbell approvals` lists what waits".into()),
        Decided::Over(state) => Err(format!("it is {} already; nothing was decided now", state.as_str()).into()),
        Decided::OtherDigest => Err("this is not what was shown, so nothing was approved; look at it again".into()),
    }
}

/// One among many, as a line.
fn line(action: &Action) -> Result<(), Failure> {
    let Action { id, state, created_at, asker, summary, mailbox, .. } = action;
    let mailbox = plain(mailbox.as_deref().unwrap_or("-"));
    let style = match state {
        ActionState::Pending => uneasy(),
        ActionState::Done => good(),
        ActionState::Denied | ActionState::Failed => bad(),
        _ => Style::new(),
    };
    let rest = format!("  {created_at}  {mailbox}  {}  ({})", plain(summary), plain(asker));
    say_marked(format_args!("{id}  "), style, state.as_str(), rest)
}

/// One among many, for programs.
fn told(action: &Action) -> Value {
    let Action { id, state, created_at, expires_at, asker, summary, mailbox, digest, note, .. } = action;
    json!({
        "action_id": id, "state": state.as_str(), "created_at": created_at, "expires_at": expires_at, "mailbox": mailbox,
        "summary": summary, "asker": asker, "digest": digest, "note": note,
    })
}

/// All of one, for programs.
fn whole(action: &Action) -> Value {
    let mut told = told(action);
    if let Some(effect) = &action.effect {
        told["request"] = json!(effect.change.shown());
        told["shown"] = json!(effect.shown);
    }
    told
}

fn show(action: &Action) -> Result<(), Failure> {
    say(format_args!("{}  {}  by {}", action.id, action.state.as_str(), action.asker))?;
    say(format_args!("asked {}, expires {}", action.created_at, action.expires_at))?;
    say(format_args!("digest {}", action.digest))?;
    if let Some(note) = &action.note {
        say(format_args!("note: {}", plain(note)))?;
    }
    let Some(effect) = &action.effect else { return say(plain(&action.summary)) };
    let shown = json!({ "request": effect.change.shown(), "shown": effect.shown });
    say(ascii(&serde_json::to_string_pretty(&shown)?))
}
