//! A domain for trying agents out: mail to it goes nowhere, and each address plays one thing that can become of mail.

use super::relay::Answer;

/// The domain; `.test` is nobody's (RFC 2606).
pub const DOMAIN: &str = "simulator.mailbell.test";

/// What an address plays after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aftermath {
    /// Nothing.
    None,
    /// Its owner calls the message spam.
    Complaint,
    /// Its owner opens the message.
    Open,
    /// Its owner is away, and a program answers.
    Away,
}

/// What the address with this local part answers, and what follows.
pub(super) fn play(local: &str) -> (Answer, Aftermath) {
    let answer = |code, text: &str| Answer { code, text: text.to_owned() };
    let taken = answer(250, "2.0.0 taken by the simulator");
    match local {
        "delivered" => (taken, Aftermath::None),
        "complaint" => (taken, Aftermath::Complaint),
        "opened" => (taken, Aftermath::Open),
        "out-of-office" => (taken, Aftermath::Away),
        "soft-bounce" => (answer(452, "4.2.2 the simulated mailbox is full"), Aftermath::None),
        "hard-bounce" => (answer(550, "5.1.1 the simulator knows no such user"), Aftermath::None),
        _ => {
            let known = "delivered, hard-bounce, soft-bounce, complaint, opened and out-of-office";
            (answer(550, &format!("5.1.1 the simulator plays {known}")), Aftermath::None)
        }
    }
}
