//! `default.toml` as a page of the reference: every key with its variable, its flag, its default and its comment.

use std::fmt::Write as _;

use super::load::{DEFAULTS, PREFIX};

/// A setting as `default.toml` tells of it.
struct Told<'a> {
    /// Its name within the section.
    name: &'a str,
    /// Its value there; of one that is not set, an example.
    value: &'a str,
    /// Whether it is set unless somebody says otherwise.
    is_set: bool,
    /// Its comment; of one that shares the comment of another, which that is.
    about: String,
}

/// `docs/reference/configuration.md`. `flag` answers with the flag that says a key such as `mcp.addr`, if there is one.
pub fn page(flag: impl Fn(&str) -> Option<String>) -> String {
    let mut page = String::from(
        "# Configuration\n\nMade by `mailbell reference configuration` from `src/config/default.toml`; a test holds it to the code.\n\n\
         Put what you want to change into `config.toml` under `$XDG_CONFIG_HOME/mailbell` (`~/.config/mailbell`), or name a file with\n\
         `--config`. A variable wins over the file, and a flag over both. A key that is not listed\n\
         here is an error. A list in a variable is written as in the file: `MAILBELL_MAIL__DOMAINS='[\"example.com\"]'`.\n\
         The console's Settings page shows what holds, and who said so.\n",
    );
    let (mut section, mut comment, mut first) = (String::new(), Vec::new(), "");
    for line in DEFAULTS.lines() {
        // Writing to a text never fails.
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut section);
            comment.clear();
            let _ = write!(page, "\n## `[{section}]`\n");
        } else if let Some((name, value, is_set)) = setting(line) {
            let about = if comment.is_empty() {
                format!("See `{section}.{first}`.")
            } else {
                first = name;
                std::mem::take(&mut comment).join(" ")
            };
            let _ = write!(page, "\n{}", told(&section, &Told { name, value, is_set, about }, &flag));
        } else if let Some(text) = line.strip_prefix('#') {
            comment.push(text.trim());
        }
    }
    page
}

/// The key and value of a line, and whether it is set: `key = value`, or an example behind a `#`.
fn setting(line: &str) -> Option<(&str, &str, bool)> {
    let (line, is_set) = line.strip_prefix("# ").map_or((line, true), |line| (line, false));
    let (name, value) = line.split_once(" = ")?;
    let is_name = name.chars().all(|char| char.is_ascii_lowercase() || char == '_');
    is_name.then_some((name, value, is_set))
}

fn told(section: &str, told: &Told<'_>, flag: &impl Fn(&str) -> Option<String>) -> String {
    let Told { name, value, is_set, about } = told;
    let key = format!("{section}.{name}");
    let variable = format!("{PREFIX}{}", key.replace('.', "__").to_uppercase());
    let value = if *is_set { format!("default `{value}`") } else { format!("not set; such as `{value}`") };
    let flag = flag(&key).map(|flag| format!(", `{flag}`")).unwrap_or_default();
    format!("### `{key}`\n\n`{variable}`{flag}; {value}.\n\n{about}\n")
}

#[cfg(test)]
mod tests {
    use figment::{
        Figment,
        providers::{Format as _, Toml},
    };

    use super::*;
    use crate::config::effective::effective;

    #[test]
    fn every_key_is_told_with_its_comment() {
        let page = page(|_| None);
        for setting in effective(&Figment::from(Toml::string(DEFAULTS))) {
            let head = format!("\n### `{}`\n", setting.key);
            assert_eq!(page.matches(&head).count(), 1, "{}", setting.key);
        }
        // Those that are not set stand there too.
        assert!(page.contains("### `mail.relay.host`\n\n`MAILBELL_MAIL__RELAY__HOST`; not set"));
        for part in page.split("\n### ").skip(1) {
            assert!(part.lines().nth(4).is_some_and(|about| about.len() > 10), "nothing is said of {part}");
        }
    }
}
