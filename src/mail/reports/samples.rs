//! How mail systems speak, a sample of each in `samples/`: all of them written for these tests, none copied. Each says
//! in `X-Want` what is to be read from it, a line for each recipient: the address and the reason it failed for, or what
//! else became of it; or `none`.

use super::*;

const FILES: [(&str, &str); 5] = [
    ("systems", include_str!("samples/systems.txt")),
    ("people", include_str!("samples/people.txt")),
    ("world", include_str!("samples/world.txt")),
    ("late", include_str!("samples/late.txt")),
    ("more", include_str!("samples/more.txt")),
];

/// What stands above a report that came out of a mailbox file by SMTP.
const TRACE: &str =
    "Return-Path: <bob@ours.test>\r\nReceived: from a.test\r\n\tby b.test\r\nFrom a@b.test Thu Jan 1 10:00\r\n";

fn told(raw: &[u8]) -> Vec<String> {
    let line = |said: &RecipientStatus| {
        let word = match said.action {
            Action::Failed => said.reason.as_str(),
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        };
        format!("{} {word}", said.recipient.as_deref().unwrap_or("nobody"))
    };
    match read(raw).map(|report| report.says) {
        Some(Says::Status(statuses)) => statuses.iter().map(line).collect(),
        Some(Says::Complaint(complaint)) => vec![format!("complaint of {:?}", complaint.recipients)],
        None => vec!["none".into()],
    }
}

#[test]
fn every_mail_system_is_understood() {
    let mut wrong = Vec::new();
    for (file, samples) in FILES {
        for sample in samples.split("\n=====\n") {
            let (wants, mail): (Vec<&str>, Vec<&str>) = sample.lines().partition(|line| line.starts_with("X-Want: "));
            let wants: Vec<&str> = wants.iter().map(|line| &line["X-Want: ".len()..]).collect();
            for above in ["", TRACE] {
                let raw = format!("{above}{}\r\n", mail.join("\r\n"));
                assert_eq!(read(raw.as_bytes()), of(&letter::Letter::open(raw.as_bytes())), "{file}, {}", mail[0]);
                let told = told(raw.as_bytes());
                if told != wants {
                    wrong.push(format!("{file}, {}: {wants:?} expected, {told:?} read", mail[0]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
