//! Loads the settings: the defaults, then the file, then the environment, then the flags; the later wins.
//!
//! The one place that reads the environment's `MAILBELL_…` variables.

use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr, ops::RangeInclusive, path::PathBuf};

use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format as _, Toml},
};

use super::{
    Config, Relay, RelayTls,
    effective::{Setting, effective},
};
use crate::domain::{
    address::{ascii_domain, is_domain},
    notice::NoticeTarget,
    secret::Secret,
};

pub(super) const DEFAULTS: &str = include_str!("default.toml");
/// What the name of a variable begins with; `__` stands between section and key.
pub(super) const PREFIX: &str = "MAILBELL_";
/// The keys whose values no message may repeat, and which are texts whatever they look like: an API key of digits is no
/// number.
const SECRETS: [&str; 1] = ["mail.api_key"];
/// A message larger than all that may be in flight at once (256 MiB, see `mail::smtp`) could never be taken.
const MESSAGE_BYTES: RangeInclusive<usize> = 1024..=256 << 20;
/// More connections than a process can have file descriptors for.
const CONNECTIONS: RangeInclusive<usize> = 1..=100_000;
/// At zero every peer would be too slow; a day is for ever.
const IDLE_SECS: RangeInclusive<u64> = 1..=86_400;
/// The sections that have an address.
const LISTENERS: [&str; 6] = ["mcp", "hooks", "api", "smtp", "lmtp", "console"];

/// What the command line says of the settings.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// A file named there; it must exist.
    pub file: Option<PathBuf>,
    /// A file that is read where it exists.
    pub default_file: Option<PathBuf>,
    /// Keys such as `mcp.addr`, with their values.
    pub values: Vec<(&'static str, String)>,
}

/// The settings, and which addresses somebody chose.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The listeners (by section) whose address is not the default: they must get it, or fail.
    pub explicit: BTreeSet<&'static str>,
    /// Every setting with its origin, secrets struck out, for people to see.
    pub settings: Vec<Setting>,
}

/// Settings that cannot be used: what is wrong, where, and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named on the command line is not there.
    #[error("there is no configuration file {}; check --config", .0.display())]
    NoFile(PathBuf),
    /// Something in it is wrong.
    #[error("{0}")]
    Invalid(String),
}

/// Loads the settings.
pub fn load(overrides: Overrides) -> Result<Loaded, ConfigError> {
    let defaults = Figment::from(Toml::string(DEFAULTS));
    let mut figment = defaults.clone();
    match (overrides.file, overrides.default_file) {
        (Some(file), _) if !file.is_file() => return Err(ConfigError::NoFile(file)),
        (Some(file), _) | (None, Some(file)) => figment = figment.merge(Toml::file_exact(file)),
        (None, None) => {}
    }
    // A variable without a section, such as MAILBELL_TOKEN, is not a setting.
    figment = figment.merge(Env::prefixed(PREFIX).filter(|key| key.as_str().contains("__")).split("__"));
    for key in SECRETS {
        if let Some(value) = variable(key) {
            figment = figment.merge((key, value));
        }
    }
    for (key, value) in overrides.values {
        figment = figment.merge((key, value));
    }
    let config: Config = figment.extract().map_err(|error| ConfigError::Invalid(sentence(error)))?;
    validate(&config)?;
    let chosen = |section: &&str| {
        let key = format!("{section}.addr");
        figment.find_value(&key).ok() != defaults.find_value(&key).ok()
    };
    let explicit = LISTENERS.into_iter().filter(chosen).collect();
    let settings = effective(&figment);
    Ok(Loaded { config, explicit, settings })
}

/// The token with which a bridge speaks to a house elsewhere: it comes from the environment alone, for a command line can be
/// read by everybody on the machine.
pub fn token_for_elsewhere() -> Option<Secret> {
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    let token = std::env::var(format!("{PREFIX}TOKEN")).ok()?;
    let token = token.trim();
    (!token.is_empty()).then(|| Secret::new(token))
}

/// The text of the variable for `key`, as it is.
fn variable(key: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is where settings are read")]
    std::env::var(format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())).ok()
}

fn validate(config: &Config) -> Result<(), ConfigError> {
    let invalid = |text: String| Err(ConfigError::Invalid(text));
    if let Some(wrong) = config.mail.domains.iter().find(|domain| !is_domain(domain)) {
        return invalid(format!("mail.domains holds `{wrong}`, which is no domain; write names such as mailbell.test"));
    }
    if config.mail.domains.is_empty() && config.mail.base_url.is_none() {
        return invalid("mail.domains is empty; name at least one domain whose mail is taken".into());
    }
    if config.mail.base_url.is_some() && config.mail.api_key.as_ref().is_none_or(|key| key.expose().trim().is_empty()) {
        return invalid(
            "mail.base_url is set without mail.api_key; set MAILBELL_MAIL__API_KEY to the service's key".into(),
        );
    }
    if let Some(NoticeTarget::Address(address)) =
        config.operator.notify.iter().find(|target| matches!(target, NoticeTarget::Address(_)))
        && config.mail.base_url.is_some()
    {
        return invalid(format!(
            "operator.notify names {address}, and with mail.base_url there is no mail service here that could write to it; name \
             an https:// URL"
        ));
    }
    let smtp = &config.smtp;
    if !is_domain(&smtp.hostname) {
        return invalid("smtp.hostname must be a name such as mail.example.com".into());
    }
    for (key, fits, allowed) in [
        ("smtp.message_bytes_max", MESSAGE_BYTES.contains(&smtp.message_bytes_max), format!("{MESSAGE_BYTES:?}")),
        ("smtp.connections_max", CONNECTIONS.contains(&smtp.connections_max), format!("{CONNECTIONS:?}")),
        ("smtp.idle_secs", IDLE_SECS.contains(&smtp.idle_secs), format!("{IDLE_SECS:?}")),
    ] {
        if !fits {
            return invalid(format!("{key} must be a whole number from {}", allowed.replace("..=", " to ")));
        }
    }
    for (key, url) in [("mail.base_url", &config.mail.base_url), ("hooks.public_url", &config.hooks.public_url)] {
        if url.as_ref().is_some_and(|url| !matches!(url.scheme(), "http" | "https") || url.host().is_none()) {
            return invalid(format!("{key} must be an http or https URL, such as https://bell.example.com"));
        }
    }
    let auth = &config.mail.auth;
    if let Some(wrong) = auth.trusted_peers.iter().find(|peer| peer.parse::<IpAddr>().is_err()) {
        return invalid(format!("mail.auth.trusted_peers holds `{wrong}`; write IP addresses, such as 192.0.2.7"));
    }
    if auth.authserv_id.is_some() == auth.trusted_peers.is_empty() {
        return invalid(
            "mail.auth.authserv_id and mail.auth.trusted_peers need each other: anybody can write that name, so say who \
             may"
                .into(),
        );
    }
    let reporters = &config.mail.arf_reporters;
    if let Some(wrong) = reporters.iter().find(|domain| !is_domain(&ascii_domain(domain))) {
        return invalid(format!("mail.arf_reporters holds `{wrong}`; write domains, such as fbl.example.net"));
    }
    if !reporters.is_empty() && !auth.verify && auth.authserv_id.is_none() {
        return invalid(
            "mail.arf_reporters takes signatures that were checked: set mail.auth.verify, or mail.auth.authserv_id"
                .into(),
        );
    }
    relay(&config.mail.relay).map_or(Ok(()), |wrong| invalid(wrong.to_owned()))
}

/// What is wrong with the relay's settings. A password never goes over a connection that anybody can read.
fn relay(relay: &Relay) -> Option<&'static str> {
    let host = relay.host.as_deref()?;
    if host.is_empty()
        || host.chars().any(|char| char.is_whitespace() || char.is_control() || "/@".contains(char))
        || (host.contains(':') && host.parse::<IpAddr>().is_err())
    {
        return Some(
            "mail.relay.host must be a host name, such as smtp.example.com; the port stands in mail.relay.port",
        );
    }
    if relay.username.is_some() != relay.password.is_some() {
        return Some("mail.relay.username and mail.relay.password go together; set both or neither");
    }
    match relay.security() {
        RelayTls::None if !relay.is_loopback() => {
            Some("mail.relay.tls = none is allowed for a relay on loopback only; use starttls or implicit")
        }
        RelayTls::None if relay.username.is_some() => {
            Some("mail.relay.password goes only over TLS; set mail.relay.tls to starttls or implicit")
        }
        _ => None,
    }
}

/// All that is wrong, one line each: where, what, and the nearest right name.
fn sentence(errors: figment::Error) -> String {
    let mut text = String::new();
    for error in errors {
        if !text.is_empty() {
            text.push('\n');
        }
        let place = match &error.metadata {
            Some(metadata) => metadata
                .source
                .as_ref()
                .map_or_else(|| metadata.name.to_string(), |source| format!("{} {source}", metadata.name)),
            None => "the settings".to_owned(),
        };
        let key = error.path.join(".");
        let _ = match &error.kind {
            Kind::UnknownField(name, allowed) => {
                // The path ends with the unknown name itself.
                let name = if key.is_empty() { name.clone() } else { key };
                let wrong = name.rsplit('.').next().unwrap_or(&name);
                let nearest = allowed
                    .iter()
                    .max_by(|a, b| strsim::jaro_winkler(a, wrong).total_cmp(&strsim::jaro_winkler(b, wrong)));
                let hint = nearest.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                write!(text, "{place}: there is no setting `{name}`{hint} It may be one of {}", allowed.join(", "))
            }
            _ if SECRETS.contains(&key.as_str()) => {
                write!(text, "{place}: `{key}` must be a text; put it in quotation marks")
            }
            Kind::Message(said) if key.is_empty() => write!(text, "{place}: {}", without_quotation(said)),
            kind => write!(text, "{place}: `{key}`: {kind}"),
        };
    }
    text
}

/// What a parser says, without the lines of the file that it shows beside: there may be a key in them.
fn without_quotation(said: &str) -> String {
    let quotes = |line: &&str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    said.lines().filter(|line| !quotes(line)).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_tells_who_said_it_and_no_secret() {
        let values = [
            ("mail.base_url", "https://user:hidden1@api.example.com/?k=hidden2"),
            ("mail.api_key", "hidden3"),
            ("mail.relay.password", "hidden4"),
            ("operator.notify", "[\"https://chat.example.com/hidden5\"]"),
            ("hooks.public_url", "https://bell.example.com"),
        ];
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        for value in values {
            figment = figment.merge(value);
        }
        let settings = effective(&figment);
        let of = |key: &str| settings.iter().find(|setting| setting.key == key).expect("a setting");
        assert_eq!(of("smtp.idle_secs").origin, "default");
        assert_eq!(of("hooks.public_url").origin, "command line");
        assert_eq!(of("operator.notify").value, "https://chat.example.com/…");
        assert!(!format!("{settings:?}").contains("hidden"), "{settings:?}");
    }

    fn with(values: &[(&'static str, &str)]) -> Result<Loaded, ConfigError> {
        let values = values.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        load(Overrides { values, ..Overrides::default() })
    }

    #[test]
    fn the_manual_is_valid_and_chooses_no_address() {
        let loaded = with(&[]).expect("the defaults are valid");
        assert_eq!(loaded.config.hooks.addr.to_string(), "127.0.0.1:7412");
        assert!(loaded.explicit.is_empty());
    }

    #[test]
    fn a_port_alone_is_a_loopback_address() {
        let loaded = with(&[("mcp.addr", ":0")]).expect("valid");
        assert_eq!(loaded.config.mcp.addr.to_string(), "127.0.0.1:0");
        assert_eq!(loaded.explicit.into_iter().collect::<Vec<_>>(), ["mcp"]);
    }

    #[test]
    fn a_list_may_be_written_with_commas() {
        let loaded = with(&[("mail.domains", "a.test, b.test")]).expect("valid");
        assert_eq!(loaded.config.mail.domains, ["a.test", "b.test"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_nearest_name() {
        for (key, value, said) in [
            ("hooks.publik_url", "x", "did you mean `public_url`?"),
            ("hook.addr", "x", "did you mean `hooks`?"),
            ("mcp.addr", "nonsense", "127.0.0.1:7411"),
            ("mail.domains", "a b", "`a b`"),
            ("mail.base_url", "ftp://x", "mail.api_key"),
            ("mail.auth.authserv_id", "mx.example.com", "trusted_peers"),
            ("mail.auth.trusted_peers", "mx.example.com", "IP addresses"),
            ("mail.arf_reporters", "fbl.example.net", "mail.auth.verify"),
            ("mail.arf_reporters", "a b", "fbl.example.net"),
        ] {
            let error = with(&[(key, value)]).expect_err(key).to_string();
            assert!(error.contains(said), "{key}: {error}");
        }
    }

    #[test]
    fn a_limit_that_would_stop_the_service_is_refused() {
        for (key, value) in [
            ("smtp.idle_secs", "0"),
            ("smtp.connections_max", "0"),
            ("smtp.connections_max", "9000000000000000000"),
            ("smtp.message_bytes_max", "0"),
            ("smtp.message_bytes_max", "268435457"),
            ("smtp.hostname", "a b"),
        ] {
            let mut loaded = with(&[]).expect("the defaults are valid").config;
            match key {
                "smtp.idle_secs" => loaded.smtp.idle_secs = value.parse().expect("a number"),
                "smtp.connections_max" => loaded.smtp.connections_max = value.parse().expect("a number"),
                "smtp.message_bytes_max" => loaded.smtp.message_bytes_max = value.parse().expect("a number"),
                _ => loaded.smtp.hostname = value.into(),
            }
            let error = validate(&loaded).expect_err(value).to_string();
            assert!(error.starts_with(key), "{key}: {error}");
        }
    }

    #[test]
    fn no_mistake_repeats_a_key() {
        for wrong in ["[mail]\napi_key = 31337\n", "[mail]\napi_key = \"31337\n", "[mail]\napi_key = [\"31337\"]\n"] {
            let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
            std::fs::write(file.path(), wrong).expect("written");
            let error = load(Overrides { file: Some(file.path().into()), ..Overrides::default() }).expect_err(wrong);
            let said = error.to_string();
            assert!(!said.replace(&file.path().display().to_string(), "").contains("31337"), "{said}");
            assert!(said.contains("api_key") || said.contains("line 2"), "{said}");
        }
    }

    #[test]
    fn a_password_goes_only_over_tls_and_plain_smtp_only_to_loopback() {
        let [host, tls] = ["mail.relay.host", "mail.relay.tls"];
        let login = [("mail.relay.username", "u"), ("mail.relay.password", "p")];
        let relay = |first: &[(&'static str, &'static str)], more: &[(&'static str, &'static str)]| {
            with(&[first, more].concat()).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(relay(&[(host, "smtp.example.com")], &login), Ok(()));
        assert_eq!(relay(&[(host, "127.0.0.1"), (tls, "none")], &[]), Ok(()));
        let security =
            |values: &[(&'static str, &'static str)]| with(values).expect("valid").config.mail.relay.security();
        assert_eq!(security(&[(host, "127.0.0.1")]), RelayTls::None);
        assert_eq!(security(&[&[(host, "127.0.0.1")], &login[..]].concat()), RelayTls::Starttls);
        assert_eq!(security(&[(host, "smtp.example.com")]), RelayTls::Starttls);
        for (wrong, more, said) in [
            (vec![(host, "127.0.0.1"), (tls, "none")], &login[..], "only over TLS"),
            (vec![(host, "smtp.example.com"), (tls, "none")], &[], "loopback only"),
            (vec![(host, "smtp.example.com")], &login[..1], "both or neither"),
            (vec![(host, "smtp.example.com:25")], &[], "the port stands in"),
            (vec![(host, "h"), (tls, "maybe")], &[], "mail.relay.tls"),
        ] {
            let error = relay(&wrong, more).expect_err(said);
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_file_s_mistake_names_the_file() {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
        std::fs::write(file.path(), "[smtp]\nhostnam = \"x\"\n").expect("written");
        let error =
            load(Overrides { file: Some(file.path().into()), ..Overrides::default() }).expect_err("unknown key");
        assert!(error.to_string().contains("`smtp.hostnam`"), "{error}");
        assert!(error.to_string().contains("did you mean `hostname`?"), "{error}");
    }
}
