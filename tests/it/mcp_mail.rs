//! Agents find, read and tag messages through the mail API.

use serde_json::{Value, json};

use crate::support::{
    agent::{Era, Wing, unfenced},
    mail_api::email,
};

#[tokio::test]
async fn mailboxes_are_listed_with_their_names_fenced() {
    let wing = Wing::start().await;
    let agent = wing.agent(Era::Modern).await;
    let listed = agent.call("list_mailboxes", json!({})).await;
    assert_eq!(listed["mailboxes"][0]["address"], "agent@mailbell.test");
    assert_eq!(unfenced(&listed, &listed["mailboxes"][0]["display_name"]), "The <Agent>");
}

#[tokio::test]
async fn all_mailboxes_are_merged_newest_first_and_paged_without_loss_or_repetition() {
    let wing = Wing::start().await;
    wing.api.add_mailbox("mbx_2", "other@mailbell.test");
    let mut expected = Vec::new();
    for minute in 0..30 {
        // Two at the same moment every third minute, and in both mailboxes in turn.
        for twin in 0..=u32::from(minute % 3 == 0) {
            let id = format!("em_{minute:02}_{twin}");
            let mailbox = if (minute + twin) % 2 == 0 { "mbx_1" } else { "mbx_2" };
            wing.api.add_email(mailbox, email(&id, "thr_1", minute, "s", "t"));
            expected.push(id);
        }
    }
    expected.reverse();
    let agent = wing.agent(Era::Legacy).await;
    let mut seen: Vec<String> = Vec::new();
    let mut arguments = json!({ "limit": 7 });
    loop {
        let page = agent.call("check_inbox", arguments.clone()).await;
        seen.extend(page["messages"].as_array().unwrap().iter().map(|it| it["message_id"].as_str().unwrap().into()));
        match page.get("cursor") {
            Some(cursor) => arguments["cursor"] = cursor.clone(),
            None => break,
        }
        assert!(seen.len() <= expected.len(), "it ends");
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn filters_hold_also_where_the_api_does_not_know_them() {
    let wing = Wing::start().await;
    for number in 0..60 {
        let mut message = email(&format!("em_{number}"), if number < 5 { "thr_a" } else { "thr_b" }, number, "s", "t");
        if number != 3 {
            message["tags"] = json!({ "handled": "true" });
        }
        wing.api.add_email("mbx_1", message);
    }
    let agent = wing.agent(Era::Legacy).await;
    let ids = async |arguments: Value| -> Vec<String> {
        let page = agent.call("check_inbox", arguments).await;
        page["messages"].as_array().unwrap().iter().map(|it| it["message_id"].as_str().unwrap().into()).collect()
    };
    assert_eq!(ids(json!({ "unhandled_only": true, "limit": 20 })).await, ["em_3"]);
    assert_eq!(
        ids(json!({ "thread_id": "thr_a", "limit": 2, "mailbox": "agent@mailbell.test" })).await,
        ["em_4", "em_3"]
    );
    assert!(ids(json!({ "tag": "urgent" })).await.is_empty());
}

#[tokio::test]
async fn a_filter_that_finds_little_far_down_still_gets_there() {
    let wing = Wing::start().await;
    wing.api.add_mailbox("mbx_2", "other@mailbell.test");
    for number in 0..1_400_u32 {
        let mut message = email(&format!("em_{number:04}"), "thr_1", 0, "s", "t");
        message["received_at"] = format!("2026-11-24T{:02}:{:02}:00.000Z", number / 60, number % 60).into();
        if number != 7 {
            message["tags"] = json!({ "handled": "true" });
        }
        wing.api.add_email(if number % 2 == 0 { "mbx_1" } else { "mbx_2" }, message);
    }
    let agent = wing.agent(Era::Legacy).await;
    let mut arguments = json!({ "unhandled_only": true });
    let mut found = Vec::new();
    for _ in 0..10 {
        let page = agent.call("check_inbox", arguments.clone()).await;
        found.extend(page["messages"].as_array().unwrap().iter().map(|it| it["message_id"].clone()));
        match page.get("cursor") {
            Some(cursor) => arguments["cursor"] = cursor.clone(),
            None => return assert_eq!(found, ["em_0007"]),
        }
    }
    panic!("it ends");
}

#[tokio::test]
async fn a_message_is_read_in_parts_that_make_up_the_whole() {
    let wing = Wing::start().await;
    let text = (0..4_000).map(|number| format!("line \"{number}\" é\n")).collect::<Vec<_>>().concat();
    wing.api.add_email("mbx_1", email("em_1", "thr_1", 1, "Long", &text));
    let agent = wing.agent(Era::Modern).await;
    let (mut read, mut offset) = (String::new(), 0);
    loop {
        let part = agent.call("read_email", json!({ "message_id": "em_1", "offset": offset })).await;
        assert!(part.to_string().chars().count() <= 8_000, "{}", part.to_string().chars().count());
        read.push_str(unfenced(&part, &part["body_text"]));
        assert_eq!(part["total_chars"], text.chars().count());
        match part["next_offset"].as_u64() {
            Some(next) => offset = next,
            None => break,
        }
    }
    assert_eq!(read, text);
    let more = agent.call("read_email", json!({ "message_id": "em_1", "max_chars": 20_000 })).await;
    assert_eq!(unfenced(&more, &more["body_text"]).chars().count(), 20_000);
    let beyond = agent.call("read_email", json!({ "message_id": "em_1", "offset": 10_000_000 })).await;
    assert_eq!(unfenced(&beyond, &beyond["body_text"]), "");
}

#[tokio::test]
async fn a_huge_head_still_fits() {
    let wing = Wing::start().await;
    let mut message = email("em_1", "thr_1", 1, &"s".repeat(998), &"text ".repeat(5_000));
    message["to"] = (0..500).map(|number| format!("{number}@{}.test", "x".repeat(60))).collect();
    message["attachments"] = (0..300)
        .map(|number| json!({ "name": format!("{number}{}", "n".repeat(200)), "size": 1, "content_type": "a/b" }))
        .collect();
    wing.api.add_email("mbx_1", message);
    let agent = wing.agent(Era::Legacy).await;
    let read = agent.call("read_email", json!({ "message_id": "em_1" })).await;
    assert!(read.to_string().chars().count() <= 8_000, "{}", read.to_string().chars().count());
    assert!(read["attachments_left_out"].as_u64().unwrap() >= 280 && read["addresses_left_out"].is_u64());
}

#[tokio::test]
async fn a_thread_is_handled_until_something_new_comes_in() {
    let wing = Wing::start().await;
    wing.api.add_email("mbx_1", email("em_1", "thr_1", 1, "Hi", "one"));
    let agent = wing.agent(Era::Modern).await;
    assert_eq!(agent.call("get_thread", json!({ "thread_id": "thr_1" })).await["handled"], false);
    agent.call("tag_email", json!({ "message_id": "em_1", "tags": ["handled", "vip"] })).await;
    assert_eq!(agent.call("get_thread", json!({ "thread_id": "thr_1" })).await["handled"], true);
    wing.api.add_email("mbx_1", email("em_2", "thr_1", 2, "Re: Hi", "two"));
    let thread = agent.call("get_thread", json!({ "thread_id": "thr_1" })).await;
    assert_eq!((&thread["handled"], &thread["message_count"]), (&json!(false), &json!(2)));
    assert_eq!(thread["messages"][1]["message_id"], "em_2");
    let tagged = agent.call("tag_email", json!({ "message_id": "em_1", "remove": "handled" })).await;
    assert_eq!(tagged["handled"], false);
    assert_eq!(wing.api.tags_of("em_1"), ["vip"], "what others set stays, though this API replaces");
}

#[tokio::test]
async fn a_reply_is_shown_without_what_it_quotes_and_with_its_verdict() {
    let wing = Wing::start().await;
    let quoting = format!("Yes.\n\nOn 24 Nov 2026 Bob wrote:\n{}", "> Will you come?\n".repeat(2_000));
    let mut message = email("em_1", "thr_1", 0, "s", &quoting);
    message["extracted_text"] = "Yes.".into();
    message["auth_results"] = json!({
        "by": "mailbell", "spf": { "result": "pass", "domain": "x\"y" }, "dkim": [], "dmarc": { "result": "fail" },
    });
    wing.api.add_email("mbx_1", message);
    let agent = wing.agent(Era::Modern).await;
    let read = agent.call("read_email", json!({ "message_id": "em_1" })).await;
    assert_eq!(unfenced(&read, &read["extracted_text"]), "Yes.");
    assert!(unfenced(&read, &read["body_text"]).starts_with("Yes.\n\nOn 24"));
    assert_eq!(read["auth_results"]["by"], "mailbell");
    assert_eq!(read["auth_results"]["spf"]["result"], "pass");
    assert_eq!(unfenced(&read, &read["auth_results"]["spf"]["domain"]), "x\"y");
    assert_eq!(read["auth_results"]["dmarc"], json!({ "result": "fail" }));
    assert!(read.to_string().chars().count() <= 8_000);
    let next = json!({ "message_id": "em_1", "offset": read["next_offset"] });
    assert!(agent.call("read_email", next).await.get("extracted_text").is_none(), "once is enough");
    // What a service tells in another shape is passed over.
    let mut odd = email("em_2", "thr_1", 0, "s", "t");
    odd["auth_results"] = json!({ "spf": 7 });
    wing.api.add_email("mbx_1", odd);
    assert!(agent.call("read_email", json!({ "message_id": "em_2" })).await.get("auth_results").is_none());
}
