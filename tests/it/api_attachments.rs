//! The files of an email are handed out to the byte, and to nobody's browser as anything it would run.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;

use crate::support::{api::ApiServer, mail::Mail, smtp_peer::SmtpPeer};

const AGENT: &str = "agent@mailbell.test";
const LETTER: &str = "From: ann@a.test\r\nSubject: files\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n\
    --b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename*=UTF-8''Rechnung%20N%C2%BA%207.pdf\r\n\r\nJVBERgD/\r\n\
    --b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=\"a.html\"\r\n\r\n<script>1</script>\r\n\
    --b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=\"t.csv\"\r\n\r\none\r\n\
    --b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=\"t.csv\"\r\n\r\ntwo\r\n\
    --b--\r\n";

async fn start() -> (Mail, ApiServer, String) {
    let mail = Mail::start().await;
    let id = SmtpPeer::hello(mail.addr).await.deliver(&[AGENT], LETTER).await;
    let api = mail.api().await;
    (mail, api, format!("/v1/mailboxes/{AGENT}/emails/{id}"))
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn each_file_comes_back_to_the_byte_and_safely_labelled() {
    let (_mail, api, email) = start().await;
    let (_, shown) = api.get(&email).await;
    let names: Vec<&str> =
        shown["attachments"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Rechnung Nº 7.pdf", "a.html", "t.csv", "t (4).csv"], "each has a name of its own");
    for (name, kind, bytes) in [
        ("Rechnung%20N%C2%BA%207.pdf", "application/pdf", &b"%PDF\0\xff"[..]),
        ("a.html", "application/octet-stream", b"<script>1</script>"),
        ("t.csv", "text/csv", b"one"),
        ("t%20(4).csv", "text/csv", b"two"),
    ] {
        let got = api.request(Method::GET, &format!("{email}/attachments/{name}")).send().await.unwrap();
        assert_eq!(got.status(), 200, "{name}");
        assert_eq!(header(&got, "content-type"), kind);
        assert_eq!(header(&got, "x-content-type-options"), "nosniff");
        assert_eq!(header(&got, "content-security-policy"), "sandbox; default-src 'none'");
        assert!(header(&got, "content-disposition").starts_with("attachment; filename="), "{name}");
        assert_eq!(got.bytes().await.unwrap(), bytes, "{name}");
    }
    for missing in [format!("{email}/attachments/b.txt"), format!("{email}x/attachments/a.html")] {
        let (status, body) = api.get(&missing).await;
        assert_eq!(status, 404, "{body}");
    }
    assert_eq!(api.bare(Method::GET, &format!("{email}/attachments/t.csv")).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_link_fetches_its_file_without_a_key_for_a_while_and_nothing_else() {
    let (mail, api, email) = start().await;
    let (status, link) = api.get(&format!("{email}/attachments/t.csv/url")).await;
    assert_eq!((status, &link["filename"], &link["size_bytes"]), (200, &"t.csv".into(), &3.into()));
    assert_eq!(link["expires_in"], 900);
    let url = link["url"].as_str().unwrap();
    let path = &url[url.find("/v1/").unwrap()..];
    let fetch = async |path: &str| api.bare(Method::GET, path).send().await.unwrap();
    let got = fetch(path).await;
    assert_eq!((got.status().as_u16(), got.bytes().await.unwrap().as_ref()), (200, &b"one"[..]));

    let (place, query) = path.split_once('?').unwrap();
    let email_place = place.strip_suffix("/attachments/t.csv").unwrap();
    for wrong in [
        format!("{email_place}/attachments/a.html?{query}"),
        format!("{email_place}?{query}"),
        format!("{place}/url?{query}"),
        format!("{place}?{}", query.replace("expires=1", "expires=2")),
        format!("{place}?signature=00"),
        format!("/v1/mailboxes?{query}"),
    ] {
        let got = fetch(&wrong).await;
        assert_eq!(got.status(), 401, "{wrong}");
        assert!(got.json::<Value>().await.unwrap()["error"].is_string());
    }
    mail.clock.advance(Duration::from_mins(16));
    assert_eq!(fetch(path).await.status(), 401, "it has expired");
}
