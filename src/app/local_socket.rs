//! `wake.sock`: how the processes of a data directory tell each other that something was committed, and whether the keeper
//! still answers.
//!
//! The keeper listens; every other process is connected to it. What goes over it is single bytes without data: a ring,
//! which the keeper passes on to all, and a knock, which it answers. It is a hint and no more: with the socket gone,
//! waiters are woken by the watch on the database, 50 ms after the commit at most. That the keeper's end closes tells an
//! heir at once that it is time to look at the lock.

use std::{io, os::unix::fs::MetadataExt as _, path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::data_dir::DataDir;
use crate::wake::Bell;

/// Something was committed.
const RING: u8 = b'r';
/// Is anybody there?
const KNOCK: u8 = b'?';
/// Yes.
const HERE: u8 = b'!';
/// Connected processes at most: each is an IDE's or an agent's own; more do without the hint.
const PEERS_MAX: usize = 1024;
/// A process that has not taken a byte for so long is stopped; it connects anew when it goes on.
const WRITE_MAX: Duration = Duration::from_secs(1);
/// How often a process knocks at the keeper.
const KNOCK_EVERY: Duration = Duration::from_secs(1);
/// A keeper that has not answered for so long is reported.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(3);
/// How long a command waits for an answer to its one knock.
const PULSE_MAX: Duration = Duration::from_secs(1);
/// How often the keeper looks whether its socket is still where others look for it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait after `accept` failed, as it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether the keeper answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// It does.
    Answers,
    /// It holds the socket and does not.
    Silent,
    /// There is no socket to ask at.
    Absent,
}

/// Asks the keeper of `dir` once, and waits for up to a second.
pub async fn pulse(dir: &DataDir) -> Pulse {
    let Ok(mut stream) = UnixStream::connect(dir.socket()).await else { return Pulse::Absent };
    let asked = async {
        stream.write_u8(KNOCK).await?;
        while stream.read_u8().await? != HERE {}
        io::Result::Ok(())
    };
    match timeout(PULSE_MAX, asked).await {
        Ok(Ok(())) => Pulse::Answers,
        // It closed: it is no keeper any more, and not stuck.
        Ok(Err(_)) => Pulse::Absent,
        Err(_) => Pulse::Silent,
    }
}

/// Opens the keeper's end. A predecessor's file is in the way, and the lock says that it is nobody's.
pub(super) fn open(dir: &DataDir) -> io::Result<UnixListener> {
    let path = dir.socket();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Which file is at `path`, by its file system and number there; none where there is none.
fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Serves the keeper's end, until `shutdown`. A socket that was removed, or replaced, is made again: who is connected stays so.
pub(super) async fn host(dir: DataDir, mut listener: UnixListener, bell: Bell, shutdown: CancellationToken) {
    let news = watch::Sender::new(());
    let slots = Arc::new(Semaphore::new(PEERS_MAX));
    let mut own = file_at(&dir.socket());
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            () = bell.rung_here() => {
                news.send_replace(());
                continue;
            }
            _ = looks.tick() => {
                if own.is_none() || file_at(&dir.socket()) != own {
                    match open(&dir) {
                        Ok(anew) => {
                            tracing::info!("the local socket was gone, and is made again");
                            (listener, own) = (anew, file_at(&dir.socket()));
                        }
                        Err(error) => tracing::debug!(%error, "the local socket is gone and cannot be made again"),
                    }
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
                let (news, bell, shutdown) = (news.clone(), bell.clone(), shutdown.clone());
                tokio::spawn(async move {
                    let _slot = slot;
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        left = exchange(stream, &news, &bell) => {
                            if let Err(error) = left {
                                tracing::debug!(%error, "a process left the local socket");
                            }
                        }
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept at the local socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Passes rings on, both ways, and answers knocks, until the other process leaves.
async fn exchange(stream: UnixStream, news: &watch::Sender<()>, bell: &Bell) -> io::Result<()> {
    let (mut from, mut to) = stream.into_split();
    let mut told = news.subscribe();
    let mut bytes = [0; 64];
    loop {
        tokio::select! {
            _ = told.changed() => say(&mut to, RING).await?,
            read = from.read(&mut bytes) => {
                let said = &bytes[..read?];
                if said.is_empty() {
                    return Ok(());
                }
                if said.contains(&RING) {
                    bell.pull_from_elsewhere();
                    news.send_replace(());
                }
                if said.contains(&KNOCK) {
                    say(&mut to, HERE).await?;
                }
            }
        }
    }
}

/// Is connected to the keeper of `dir`, until its end closes. `silent` says since when it has not answered.
pub(super) async fn attend(dir: &DataDir, bell: &Bell, silent: &watch::Sender<Option<Instant>>) -> io::Result<()> {
    let (mut from, mut to) = UnixStream::connect(dir.socket()).await?.into_split();
    // What was committed before we were connected may have rung for nobody.
    bell.pull_from_elsewhere();
    let mut knocks = interval(KNOCK_EVERY);
    knocks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked: Option<Instant> = None;
    let mut bytes = [0; 64];
    loop {
        tokio::select! {
            // First what was said: if it was this process that was stopped, the answer lies here already.
            biased;
            read = from.read(&mut bytes) => {
                let said = &bytes[..read?];
                if said.is_empty() {
                    return Ok(());
                }
                if said.contains(&RING) {
                    bell.pull_from_elsewhere();
                }
                asked = None;
                silent.send_if_modified(|since| since.take().is_some());
            }
            () = bell.rung_here() => say(&mut to, RING).await?,
            _ = knocks.tick() => match asked {
                None => {
                    asked = Some(Instant::now());
                    say(&mut to, KNOCK).await?;
                }
                Some(since) if since.elapsed() >= SILENT_AFTER => {
                    silent.send_if_modified(|silent| silent.replace(since).is_none());
                }
                Some(_) => {}
            },
        }
    }
}

async fn say(to: &mut (impl AsyncWrite + Unpin), byte: u8) -> io::Result<()> {
    timeout(WRITE_MAX, to.write_u8(byte)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two {
        dir: DataDir,
        keeper: Bell,
        other: Bell,
        silent: watch::Sender<Option<Instant>>,
        shutdown: CancellationToken,
        _home: tempfile::TempDir,
    }

    /// A keeper's bell and another process's.
    fn two() -> Two {
        let home = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(Some(home.path().into())).expect("opened");
        Two {
            dir,
            keeper: Bell::default(),
            other: Bell::default(),
            silent: watch::Sender::new(None),
            shutdown: CancellationToken::new(),
            _home: home,
        }
    }

    #[tokio::test]
    async fn a_ring_reaches_the_others_and_an_end_is_noticed() {
        let Two { dir, keeper, other, silent, shutdown, _home } = two();
        assert_eq!(pulse(&dir).await, Pulse::Absent);
        let hosting = tokio::spawn(host(dir.clone(), open(&dir).expect("opened"), keeper.clone(), shutdown.clone()));
        assert_eq!(pulse(&dir).await, Pulse::Answers);
        let (there, bell) = (dir.clone(), other.clone());
        let attending = tokio::spawn(async move { attend(&there, &bell, &silent).await });
        // That it is connected.
        other.pulled_from_elsewhere().await;
        other.ring_event(None);
        keeper.pulled_from_elsewhere().await;
        // Its own ring, which the keeper has passed on to all.
        other.pulled_from_elsewhere().await;
        keeper.ring_event(None);
        other.pulled_from_elsewhere().await;
        shutdown.cancel();
        attending.await.expect("ran").expect("the keeper's end closed");
        hosting.await.expect("ran");
    }

    #[tokio::test]
    async fn a_socket_that_is_removed_or_replaced_is_made_again() {
        let Two { dir, keeper, shutdown, _home, .. } = two();
        let hosting = tokio::spawn(host(dir.clone(), open(&dir).expect("opened"), keeper, shutdown.clone()));
        assert_eq!(pulse(&dir).await, Pulse::Answers);
        for replaced in [false, true] {
            std::fs::remove_file(dir.socket()).expect("removed");
            if replaced {
                std::fs::write(dir.socket(), "no socket").expect("written");
            }
            let again = async {
                while pulse(&dir).await != Pulse::Answers {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(LOOK_EVERY * 20, again).await.expect("it is made again");
        }
        shutdown.cancel();
        hosting.await.expect("ran");
    }

    #[tokio::test]
    async fn a_keeper_that_takes_connections_and_answers_nothing_is_silent() {
        let Two { dir, other, silent, _home, .. } = two();
        let _unanswered = open(&dir).expect("opened");
        let mut told = silent.subscribe();
        let (pulse, ()) = tokio::join!(pulse(&dir), async {
            tokio::select! {
                _ = attend(&dir, &other, &silent) => panic!("nobody has closed"),
                since = told.wait_for(Option::is_some) => assert!(since.is_ok()),
            }
        });
        assert_eq!(pulse, Pulse::Silent);
    }
}
