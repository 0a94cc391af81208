//! Who is in: sessions in memory, and what keeps guesses out.
//!
//! Why in memory: a keeper that ends takes its sessions with it, and the operator opens another by one command.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use subtle::ConstantTimeEq as _;

use crate::{domain::secret::Secret, ids::Ids, signing::digest::sha256, store::tokens::TokenHash};

/// Sessions at once: a person with a few browsers. The oldest makes room.
const SESSIONS_MAX: usize = 8;
/// A session ends after so long without a request of its own: a page that was left open is nobody's.
const IDLE_MAX: Duration = Duration::from_hours(2);
/// And after so long in any case: a working day.
const LIFE_MAX: Duration = Duration::from_hours(12);
/// So many wrong codes within [`LOCKED_FOR`] lock the door.
const WRONG_MAX: usize = 5;
/// How long it stays locked after the last of them: five codes a minute find none of 64 bits.
pub(super) const LOCKED_FOR: Duration = Duration::from_mins(1);

/// One operator in one browser.
pub(super) struct Session {
    /// Its name in the audit record.
    pub(super) id: String,
    /// The first segment of each path in it, which only its own pages know.
    pub(super) door: String,
    /// What each form of it carries.
    csrf: String,
    cookie: [u8; 32],
    /// The token that let it in.
    pub(super) operator: TokenHash,
    began_millis: i64,
    seen_millis: AtomicI64,
    said: Mutex<Option<Said>>,
}

/// What the next page of a session tells first.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// Whether it was done.
    pub(super) done: bool,
    /// A sentence.
    pub(super) text: String,
    /// A secret to be shown once.
    pub(super) secret: Option<Secret>,
}

impl Session {
    /// What its forms carry.
    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    pub(super) fn knows(&self, csrf: &str) -> bool {
        bool::from(self.csrf.as_bytes().ct_eq(csrf.as_bytes()))
    }

    pub(super) fn say(&self, said: Said) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }

    pub(super) fn take_said(&self) -> Option<Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn lives(&self, now_millis: i64) -> bool {
        let since = |then: i64| Duration::from_millis(u64::try_from(now_millis - then).unwrap_or(0));
        since(self.began_millis) < LIFE_MAX && since(self.seen_millis.load(Ordering::Relaxed)) < IDLE_MAX
    }
}

/// All of them. Times are those of the boot clock, in milliseconds.
#[derive(Default)]
pub(super) struct Sessions {
    open: Mutex<Vec<Arc<Session>>>,
    wrong: Mutex<VecDeque<i64>>,
}

impl Sessions {
    /// Opens one; answers with it and with its cookie.
    pub(super) fn open(&self, operator: TokenHash, ids: &Ids, now_millis: i64) -> (Arc<Session>, Secret) {
        let cookie = Secret::new(ids.secret(""));
        let session = Arc::new(Session {
            id: ids.next("con_"),
            door: ids.secret("c"),
            csrf: ids.secret(""),
            cookie: sha256(cookie.expose().as_bytes()),
            operator,
            began_millis: now_millis,
            seen_millis: AtomicI64::new(now_millis),
            said: Mutex::default(),
        });
        let mut open = self.all();
        open.retain(|session| session.lives(now_millis));
        if open.len() >= SESSIONS_MAX {
            open.remove(0);
        }
        open.push(session.clone());
        (session, cookie)
    }

    /// The session behind `door` that one of `cookies` belongs to; it counts as seen.
    pub(super) fn find(&self, door: &str, cookies: &[String], now_millis: i64) -> Option<Arc<Session>> {
        let hashes: Vec<[u8; 32]> = cookies.iter().map(|cookie| sha256(cookie.as_bytes())).collect();
        let mut open = self.all();
        open.retain(|session| session.lives(now_millis));
        let found = open.iter().find(|session| {
            bool::from(session.door.as_bytes().ct_eq(door.as_bytes()))
                && hashes.iter().any(|hash| bool::from(hash.ct_eq(&session.cookie)))
        });
        let found = found.cloned()?;
        found.seen_millis.store(now_millis, Ordering::Relaxed);
        Some(found)
    }

    /// Whether it is still open. Does not count as seen.
    pub(super) fn holds(&self, session: &Session, now_millis: i64) -> bool {
        session.lives(now_millis) && self.all().iter().any(|open| open.id == session.id)
    }

    /// Ends one.
    pub(super) fn close(&self, session: &Session) {
        self.all().retain(|open| open.id != session.id);
    }

    /// Counts that a code is tried, before anybody looks at it; whether it may be.
    pub(super) fn try_code(&self, now_millis: i64) -> bool {
        let mut wrong = self.wrong(now_millis);
        let may = wrong.len() < WRONG_MAX;
        if may {
            wrong.push_back(now_millis);
        }
        may
    }

    /// The code that was tried is right: those before it were slips.
    pub(super) fn forgive(&self) {
        self.wrong(0).clear();
    }

    /// Whether no code is taken now.
    pub(super) fn is_locked(&self, now_millis: i64) -> bool {
        self.wrong(now_millis).len() >= WRONG_MAX
    }

    /// The wrong codes that still count. A lock lasts from the last of them.
    fn wrong(&self, now_millis: i64) -> MutexGuard<'_, VecDeque<i64>> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let window = i64::try_from(LOCKED_FOR.as_millis()).unwrap_or(i64::MAX);
        if wrong.len() >= WRONG_MAX {
            if wrong.back().is_some_and(|last| now_millis - last >= window) {
                wrong.clear();
            }
        } else {
            wrong.retain(|then| now_millis - then < window);
        }
        wrong
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
