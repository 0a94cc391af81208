//! What is signed, what is refused, and mappings that are wrong.

use super::*;
use crate::{bell::sources::samples::NOW, domain::event::Detail};

const SECRET: &str = "acme-secret-0123456789";

/// A source with this way to prove itself, and the fewest places.
fn set(auth: &Value) -> Settings {
    let mapping = serde_json::json!({"auth": auth, "fields": {"event": "/type", "id": "/id"}});
    Settings { mapping: Some(Mapping::read(&mapping.to_string()).expect("a mapping")), ..Settings::default() }
}

fn timed(algorithm: &str, encoding: &str) -> Settings {
    set(&serde_json::json!({"hmac": {
        "header": "X-Acme-Signature", "algorithm": algorithm, "encoding": encoding, "prefix": "v1=",
        "signed": "v1:{timestamp}:{body}!", "timestamp_header": "X-Acme-Time",
    }}))
}

fn judge(request: &RawRequest, settings: &Settings, secrets: &[&str]) -> Result<(Auth, bool), Rejection> {
    let secrets: Vec<_> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    let keys = Keys { secrets: &secrets, settings, certificate: None };
    let verified = Generic.verify(request, &keys, NOW)?;
    Ok((verified.auth(), verified.sent_now()))
}

fn sample(settings: &Settings, now: UnixMillis) -> RawRequest {
    Generic.sample(&Secret::new(SECRET), settings, now).expect("a sample")
}

#[test]
fn each_digest_and_spelling_vouches_and_no_other_passes_for_it() {
    for (algorithm, auth) in [("sha1", Auth::HmacSha1), ("sha256", Auth::HmacSha256), ("sha512", Auth::HmacSha512)] {
        for encoding in ["hex", "base64", "base64url"] {
            let settings = timed(algorithm, encoding);
            let request = sample(&settings, NOW);
            assert_eq!(judge(&request, &settings, &["other-secret-0123456", SECRET]), Ok((auth, true)));
            for other in ["sha1", "sha256", "sha512"].iter().filter(|other| **other != algorithm) {
                assert_eq!(judge(&request, &timed(other, encoding), &[SECRET]), Err(Rejection::Wrong), "{other}");
            }
        }
    }
    // Computed by another program: printf 'v1:1795514400:{"id":1}!' | openssl dgst -sha256 -hmac acme-secret-0123456789
    let (settings, body) = (timed("sha256", "hex"), br#"{"id":1}"#.to_vec());
    let signature = "v1=b93e9a0464fd465fce63b08715b114edbf60cf71f00664885c635477e77170be";
    let headers = vec![
        ("x-acme-signature".to_owned(), signature.to_owned()),
        ("x-acme-time".to_owned(), "1795514400".to_owned()),
    ];
    assert!(judge(&RawRequest { headers, body, token: None }, &settings, &[SECRET]).is_ok());
}

#[test]
fn what_is_changed_missing_old_or_too_much_is_refused() {
    let settings = timed("sha256", "hex");
    let good = sample(&settings, NOW);
    let with = |change: &dyn Fn(&mut RawRequest)| {
        let mut request = good.clone();
        change(&mut request);
        judge(&request, &settings, &[SECRET])
    };
    for at in 0..good.body.len() {
        assert_eq!(with(&|request| request.body[at] ^= 1), Err(Rejection::Wrong), "byte {at}");
    }
    for at in 0..2 {
        assert_eq!(with(&|request| drop(request.headers.remove(at))), Err(Rejection::Missing), "header {at}");
        assert_eq!(
            with(&|request| request.headers.push(request.headers[at].clone())),
            Err(Rejection::Missing),
            "of two headers nobody can say which was signed"
        );
    }
    assert_eq!(with(&|request| request.headers[0].1 = "v0=00".into()), Err(Rejection::Missing));
    assert_eq!(with(&|request| request.headers[0].1 = "v1=zz".into()), Err(Rejection::Missing));
    assert_eq!(with(&|request| request.headers[0].1 = "v1=".into()), Err(Rejection::Wrong));
    assert_eq!(with(&|request| request.headers[1].1 = "1795514401".into()), Err(Rejection::Wrong));
    for odd in ["", "now", "-1", "1e300", "NaN"] {
        assert_eq!(with(&|request| request.headers[1].1 = odd.into()), Err(Rejection::Stale), "{odd}");
    }
    let listed = |count: usize| {
        with(&|request| {
            let filler = ["v1=00"].repeat(count - 1).join(",");
            request.headers[0].1 = format!("{filler}, {}", request.headers[0].1);
        })
    };
    assert!(listed(16).is_ok());
    assert_eq!(listed(1_000), Err(Rejection::TooMany));
    assert_eq!(judge(&good, &settings, &["wrong-secret-0123456"]), Err(Rejection::Wrong));
    assert_eq!(judge(&good, &settings, &[]), Err(Rejection::Wrong));
    for (secs, fine) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let request = sample(&settings, UnixMillis(NOW.0 + secs * 1000));
        let judged = judge(&request, &settings, &[SECRET]);
        assert_eq!(judged.is_ok(), fine, "{secs}: {judged:?}");
    }
    let lenient = Settings { tolerance_secs: Some(3600), ..settings.clone() };
    assert!(judge(&sample(&settings, UnixMillis(NOW.0 - 3_600_000)), &lenient, &[SECRET]).is_ok());
    assert_eq!(judge(&good, &Settings::default(), &[SECRET]), Err(Rejection::Missing), "without a mapping");
}

#[test]
fn a_signature_of_the_body_alone_does_not_say_when_it_was_sent() {
    let settings = set(&serde_json::json!({"hmac": {"header": "X-Sig"}}));
    assert_eq!(judge(&sample(&settings, NOW), &settings, &[SECRET]), Ok((Auth::HmacSha256, false)));
}

#[test]
fn a_secret_may_come_along_where_the_mapping_says_and_nowhere_else() {
    let anywhere = set(&serde_json::json!({"shared-secret": {}}));
    let header = set(&serde_json::json!({"shared-secret": {"header": "X-Api-Key"}}));
    for settings in [&anywhere, &header] {
        let request = sample(settings, NOW);
        assert_eq!(judge(&request, settings, &[SECRET]), Ok((Auth::SharedSecret, true)));
        assert_eq!(judge(&request, settings, &["wrong-secret-0123456"]), Err(Rejection::Wrong));
    }
    assert_eq!(judge(&sample(&header, NOW), &anywhere, &[SECRET]), Err(Rejection::Missing));
    assert_eq!(judge(&sample(&anywhere, NOW), &header, &[SECRET]), Err(Rejection::Missing));
}

#[test]
fn a_wrong_mapping_is_told_in_a_sentence() {
    let wrong = |mapping: Value| Mapping::read(&mapping.to_string()).expect_err("wrong");
    let good = serde_json::json!({
        "auth": {"hmac": {"header": "X-Sig", "signed": "{timestamp}.{body}", "timestamp_header": "X-Time"}},
        "fields": {"event": "/type", "id": "/id"}, "kinds": {"sent": "other"},
    });
    assert!(Mapping::read(&good.to_string()).is_ok());
    let with = |pointer: &str, value: Value| {
        let mut mapping = good.clone();
        put(&mut mapping, pointer, value);
        wrong(mapping)
    };
    for (pointer, value, says) in [
        ("/auth/hmac/algorithm", Value::from("md5"), "expected one of `sha1`, `sha256`, `sha512`"),
        ("/auth/hmac/encoding", Value::from("rot13"), "expected one of `hex`, `base64`, `base64url`"),
        ("/auth/hmac/header", Value::from("X Sig"), "`auth.hmac.header` must be the name of a header"),
        ("/auth/hmac/header", Value::from(""), "`auth.hmac.header` must be the name of a header"),
        ("/auth/hmac/signed", Value::from("{timestamp}"), "must hold {body} once"),
        ("/auth/hmac/signed", Value::from("{body}{body}"), "must hold {body} once"),
        ("/auth/hmac/signed", Value::from("{id}.{timestamp}.{body}"), "may hold {timestamp}"),
        ("/auth/hmac/signed", Value::from("{body}"), "belong together"),
        ("/auth/hmac/timestamp_header", Value::Null, "belong together"),
        ("/auth/hmac/secret", Value::from("s"), "unknown field `secret`"),
        ("/auth", Value::from("none"), "unknown variant `none`"),
        ("/fields/id", Value::from("id"), "a place is a JSON pointer"),
        ("/fields/id", Value::from(vec!["/a"; 9]), "at most 8"),
        ("/fields/id", Value::from(Vec::<Value>::new()), "`fields.id` must say where"),
        ("/fields/event", Value::from(Vec::<Value>::new()), "`fields.event` must say where"),
        ("/fields/idd", Value::from("/id"), "unknown field `idd`"),
        ("/fields/text", Value::from(format!("/{}", "x".repeat(256))), "`fields.text` must be pointers of at most 256"),
        ("/events", Value::from(vec!["/a", "/b"]), "`events` must be one JSON pointer"),
        ("/kinds/sent", Value::from("lost"), "unknown variant `lost`"),
    ] {
        let said = with(pointer, value);
        assert!(said.contains(says), "{pointer}: {said}");
    }
    assert!(with("/fields/id", Value::from(7)).contains("`fields.id`"), "says where");
    assert!(Mapping::read("{").expect_err("no JSON").starts_with("the mapping cannot be read"));
    let kinds: serde_json::Map<String, Value> = (0..501).map(|n| (n.to_string(), Value::from("open"))).collect();
    assert!(with("/kinds", kinds.into()).contains("at most 500 names"));
    let kept = Settings { mapping: Mapping::read(&good.to_string()).ok(), ..Settings::default() };
    assert_eq!(Settings::read(&kept.stored()).expect("read again"), kept);
    assert!(Generic.check(&Settings::default()).expect_err("none").contains("--mapping"));
}

#[test]
fn samples_go_wherever_the_mapping_looks() {
    for (events, fields) in [
        ("", serde_json::json!({"event": "/a~1b/c", "id": ["/x/0/id", "/y"], "timestamp": "/x/1"})),
        ("/deep/list", serde_json::json!({"event": ["/e", "/f"], "id_from": ["/m", "/e"]})),
    ] {
        let mapping =
            serde_json::json!({"auth": {"shared-secret": {}}, "events": events, "fields": fields}).to_string();
        let settings = Settings { mapping: Some(Mapping::read(&mapping).expect("a mapping")), ..Settings::default() };
        let request = sample(&settings, NOW);
        let verified = Verified::vouch(&request, Auth::SharedSecret, true, NOW);
        let told = Generic.normalise(&verified, &settings).expect("understood");
        assert_eq!(
            (told.len(), told[0].provider_kind.as_deref(), &told[0].detail),
            (1, Some(SAMPLE), &Detail::Other {})
        );
    }
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let settings = set(&serde_json::json!({"shared-secret": {}}));
    let told = |body: &str| {
        let request = RawRequest { body: body.as_bytes().to_vec(), ..RawRequest::default() };
        Generic.normalise(&Verified::vouch(&request, Auth::SharedSecret, true, NOW), &settings)
    };
    assert_eq!(told(r#"[{"type":"a","id":1},{"type":"b","id":2}]"#).map(|events| events.len()), Ok(2));
    let Malformed(said) = told(r#"[{"type":"a","id":1},{"type":"b"}]"#).expect_err("no id");
    assert_eq!(said, "each event must have an id, at `/id`");
    // Two such ids could be one.
    let Malformed(said) = told(r#"{"type":"a","id":18446744073709551616}"#).expect_err("lost digits");
    assert_eq!(said, "`id` must be a text, or a whole number of 64 bits");
    let event = told(r#"{"type":"a","id":18446744073709551615}"#).expect("understood").remove(0);
    assert_eq!(event.event_id.as_str(), "18446744073709551615");
    assert!(told("7").is_err() && told("[7]").is_err());
}
