//! What a process was at when it ended: the next one, or its own last moment, sees to it.

use std::{fs, path::Path, time::Duration};

use mailbell::{app::house::House, domain::id::SourceName, store::sources::Records as _};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

use crate::support::{clock::TestClock, house::house_in};

fn client() -> Client {
    Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

async fn api(house: &House, dir: &Path, method: Method, path: &str) -> (u16, Value) {
    let token = fs::read_to_string(dir.join("tokens/api")).unwrap();
    let url = format!("{}{path}", house.addresses().api.as_ref().unwrap());
    let answer = client().request(method, url).bearer_auth(token.trim()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_ends_with_the_account_even_where_closing_it_was_cut_off() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
    let house = house_in(dir.path(), Vec::new(), clock.clone()).await;
    let (status, held) = api(&house, dir.path(), Method::DELETE, "/v1/account").await;
    assert_eq!((status, &held["status"]), (202, &json!("pending_approval")));
    house.close().await;

    // As a process leaves it that is killed once all is erased.
    let mut mail = SqliteConnectOptions::new().filename(dir.path().join("mail.db")).connect().await.unwrap();
    sqlx::query("DELETE FROM mailbox").execute(&mut mail).await.unwrap();
    sqlx::query("INSERT INTO closing (one, asked_at) VALUES (1, 0)").execute(&mut mail).await.unwrap();
    drop(mail);

    let house = house_in(dir.path(), Vec::new(), clock.clone()).await;
    let (status, waits) = api(&house, dir.path(), Method::GET, "/v1/oversight/pending").await;
    assert_eq!((status, &waits["pending"]), (200, &json!([])));
    let (_, mailboxes) = api(&house, dir.path(), Method::GET, "/v1/mailboxes").await;
    assert_eq!(mailboxes["mailboxes"].as_array().map(Vec::len), Some(1), "it is a fresh one: {mailboxes}");
    house.close().await;
    let mut mail = SqliteConnectOptions::new().filename(dir.path().join("mail.db")).connect().await.unwrap();
    let closing: i64 = sqlx::query_scalar("SELECT count(*) FROM closing").fetch_one(&mut mail).await.unwrap();
    assert_eq!(closing, 0, "the next start erases nothing");
}

async fn refused(house: &House, times: usize) {
    let url = format!("{}/hooks/multimail", house.addresses().hooks.as_ref().unwrap());
    for _ in 0..times {
        assert_eq!(client().post(&url).body("{}").send().await.unwrap().status(), 401);
    }
}

async fn counted(house: &House) -> i64 {
    let refusals = house.bell().store.refusals(&SourceName::new("multimail")).await.unwrap();
    refusals.iter().map(|(_, times, _)| times).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_requests_are_counted_when_their_second_is_over_and_when_the_house_ends() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), TestClock::default());
    let house = house_in(dir.path(), Vec::new(), clock.clone()).await;
    refused(&house, 3).await;
    assert_eq!(counted(&house).await, 1, "anybody can cause them, and each write is a commit");
    let over = async {
        while counted(&house).await < 3 {
            clock.advance(Duration::from_millis(100));
        }
    };
    tokio::time::timeout(Duration::from_mins(1), over).await.expect("none is held for long");
    assert_eq!(counted(&house).await, 3);

    clock.advance(Duration::from_secs(2));
    refused(&house, 3).await;
    let store = house.bell().store.clone();
    house.close().await;
    let refusals = store.refusals(&SourceName::new("multimail")).await.unwrap();
    assert_eq!(refusals.iter().map(|(_, times, _)| times).sum::<i64>(), 6);
}
