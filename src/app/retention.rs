//! How long things are kept, from the settings.

use crate::{
    config::Config,
    store::retention::{BellPolicy, MailPolicy},
};

/// A day, in milliseconds.
const DAY_MILLIS: i64 = 24 * 3_600_000;

/// The bell wing's part.
pub(super) fn of_bell(config: &Config) -> BellPolicy {
    let settings = &config.retention;
    BellPolicy {
        events_millis: days(settings.events_days),
        events_max: settings.events_max.into(),
        unsettled_millis: days(settings.unsettled_days),
        ids_millis: days(settings.ids_days),
        ids_max: settings.ids_max.into(),
        quarantine_millis: days(settings.quarantine_days),
        received_millis: days(settings.mail_days),
        audit_millis: days(settings.audit_days),
        audit_max: settings.audit_max.into(),
    }
}

/// The mail wing's part.
pub(super) fn of_mail(config: &Config) -> MailPolicy {
    let settings = &config.retention;
    MailPolicy {
        mail_millis: days(settings.mail_days),
        mail_bytes_max: i64::try_from(settings.mail_bytes_max).unwrap_or(i64::MAX),
        attempts_millis: days(settings.attempts_days),
    }
}

fn days(days: u16) -> i64 {
    i64::from(days) * DAY_MILLIS
}
