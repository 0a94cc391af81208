//! Every statement that this process runs, overheard, and what SQLite makes of it.

use std::{
    collections::BTreeSet,
    fmt,
    path::Path,
    sync::{Mutex, Once, PoisonError},
};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, sqlite::SqliteConnectOptions};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::Interest,
};

static HEARD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Hears what sqlx says of each statement, and nothing else.
struct Ear;

/// sqlx tells a long statement's first words, and then the whole of it.
#[derive(Default)]
struct Told {
    summary: String,
    whole: String,
}

impl Visit for Told {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.trim().clone_into(&mut self.whole),
            _ => {}
        }
    }
}

impl Subscriber for Ear {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut told = Told::default();
        event.record(&mut told);
        let text = if told.whole.is_empty() { told.summary } else { told.whole };
        HEARD.lock().unwrap_or_else(PoisonError::into_inner).insert(text);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Begins to listen. Stories that run beside are heard too.
pub fn listen() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| tracing::subscriber::set_global_default(Ear).expect("nobody else listens"));
}

/// The statements of the database at `path` that were heard, each with the lines of its plan that walk a table of `growing`
/// other than by an index of `open`.
pub async fn walks(path: &Path, growing: &[&str], open: &[&str]) -> Vec<(String, Vec<String>)> {
    let mut conn = SqliteConnectOptions::new().filename(path).read_only(true).connect().await.unwrap();
    let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut all = Vec::new();
    let plain =
        |text: &String| ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].iter().any(|verb| text.starts_with(verb));
    for text in heard.into_iter().filter(plain) {
        let explain = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}")));
        // Another database's.
        let Ok(rows) = explain.fetch_all(&mut conn).await else { continue };
        let walked = rows.iter().filter_map(|row| {
            let line: String = row.get("detail");
            let name = line.strip_prefix("SCAN ")?.split(' ').next()?;
            let grows = growing.iter().any(|table| *table == name || names(&text, table).contains(&name));
            let is_open = line.split(' ').any(|word| open.contains(&word));
            (grows && !is_open).then_some(line)
        });
        let walked: Vec<String> = walked.collect();
        all.push((text, walked));
    }
    all
}

/// What `text` calls `table`: the words that follow its name.
fn names<'a>(text: &'a str, table: &str) -> Vec<&'a str> {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    words.windows(2).filter(|pair| pair[0] == table).map(|pair| pair[1]).collect()
}
