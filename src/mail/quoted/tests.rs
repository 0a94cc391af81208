use proptest::prelude::*;

use super::*;

#[test]
fn what_a_reply_quotes_falls_away_in_the_manner_of_each_program() {
    for (text, expected) in [
        ("Hello", "Hello"),
        ("", ""),
        ("Yes!\n\nOn Mon, Nov 24, 2026 at 10:00 AM Bob <bob@x.test> wrote:\n\n> Will you come?\n> Bob", "Yes!"),
        ("Yes!\n\nOn Mon, Nov 24, 2026 at 10:00 AM Bob\n<bob@x.test>\nwrote:\n> Will you come?", "Yes!"),
        ("Yes!\n\nOn 24 Nov 2026, Bob wrote:\nWill you come?\nBob", "Yes!"),
        ("Ja.\n\nAm 24.11.2026 um 10:00 schrieb Bob <bob@x.test>:\n> Kommst du?", "Ja."),
        ("Ja.\n\nBob <bob@x.test> schrieb am Mo., 24. Nov. 2026, 10:00:\n\n> Kommst du?", "Ja."),
        ("Oui.\n\nLe lun. 24 nov. 2026 à 10:00, Bob <bob@x.test> a écrit :\n\n> Tu viens ?", "Oui."),
        ("Sí.\n\nEl lun, 24 nov 2026 a las 10:00, Bob (<bob@x.test>) escribió:\n> ¿Vienes?", "Sí."),
        ("Sì.\n\nIl giorno lun 24 nov 2026 Bob <bob@x.test> ha scritto:\n> Vieni?", "Sì."),
        ("Sim.\n\nEm seg., 24 de nov. de 2026, Bob <bob@x.test> escreveu:\n> Vens?", "Sim."),
        ("Ja.\n\nOp ma 24 nov 2026 om 10:00 schreef Bob <bob@x.test>:\n> Kom je?", "Ja."),
        ("Да.\n\n24.11.2026 10:00, Bob <bob@x.test> пишет:\n> Придёшь?", "Да."),
        ("好。\n\nBob <bob@x.test> 于2026年11月24日周一 10:00写道：\n> 来吗？", "好。"),
        ("Yes\n\n-----Original Message-----\nFrom: Bob\nCome?", "Yes"),
        ("Ja\n\n-----Ursprüngliche Nachricht-----\nVon: Bob\nKommst du?", "Ja"),
        (
            "Yes\n\n________________________________\nFrom: Bob <bob@x.test>\nSent: Monday\nTo: Ann\nSubject: Come?\n\nCome?",
            "Yes",
        ),
        ("Ja\n\nVon: Bob\nGesendet: Montag\nAn: Ann\nBetreff: Kommst du?\n\nKommst du?", "Ja"),
        ("Yes\n\n*From:* Bob\n*Sent:* Monday\n*To:* Ann\n\nCome?", "Yes"),
        ("Yes\n\n-- \nAnn\nHead of Things", "Yes"),
        ("Yes\n\nSent from my iPhone", "Yes"),
        ("Yes\n\nSent from my iPhone\n\nOn 24 Nov 2026, at 10:00, Bob <bob@x.test> wrote:\n\n> Come?", "Yes"),
        // Answers between the lines stay, in order.
        ("On 24 Nov 2026 Bob wrote:\n> First?\nYes.\n\n> Second?\nNo.\n", "Yes.\n\nNo."),
        ("> Only a quotation", "> Only a quotation"),
    ] {
        assert_eq!(reply_of(text), expected, "{text}");
    }
}

#[test]
fn what_only_looks_like_a_quotation_stays() {
    for text in [
        "As my friend Bob wrote: be brave.",
        "He wrote:\nroses are red",
        "From: the heart\nwe thank you",
        "Two lists:\n- one\n- two\n--- three ---\n4 > 3",
        "To: do list\nSubject: to change",
        "Sent from my heart to yours\nand back",
    ] {
        assert_eq!(reply_of(text), text);
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_every_line_is_the_sender_s_own(
        lines in prop::collection::vec(
            prop_oneof![
                Just(String::new()),
                "[>a-z:*—-]{0,20}",
                "(On|Am|Le) [0-9 ]{1,8} .{0,12} (wrote|schrieb|a écrit) ?:",
                "(From|Sent|To|Von|An): .{0,10}",
                Just("-----Original Message-----".to_owned()),
                Just("-- ".to_owned()),
                ".{0,40}",
            ],
            0..20,
        ),
    ) {
        let text = lines.join("\n");
        let reply = reply_of(&text);
        prop_assert!(reply.len() <= text.len() + 1);
        let own: Vec<&str> = text.lines().map(str::trim).collect();
        prop_assert!(reply.lines().all(|line| own.contains(&line.trim())), "{reply:?} of {text:?}");
        prop_assert!(reply.is_empty() == text.trim().is_empty());
    }
}
