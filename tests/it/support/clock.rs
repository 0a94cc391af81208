//! A clock in the test's hand.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use mailbell::domain::clock::{BootTime, Clock, UnixMillis};
use tokio::sync::watch;

/// Stands still until it is told to go on; sleepers wake when their moment has come.
#[derive(Clone)]
pub struct TestClock {
    elapsed: watch::Sender<Duration>,
    boot: Arc<Mutex<(String, Duration)>>,
    /// Milliseconds by which somebody has set the wall clock.
    set_by: Arc<AtomicI64>,
    epoch: UnixMillis,
}

impl Default for TestClock {
    fn default() -> Self {
        // 2026-11-24T10:00:00Z
        let epoch = UnixMillis(1_795_514_400_000);
        Self {
            elapsed: watch::Sender::new(Duration::ZERO),
            boot: Arc::new(Mutex::new(("boot-1".into(), Duration::ZERO))),
            set_by: Arc::default(),
            epoch,
        }
    }
}

impl TestClock {
    /// Lets `span` pass.
    pub fn advance(&self, span: Duration) {
        self.elapsed.send_modify(|elapsed| *elapsed += span);
    }

    /// Sets the wall clock by so many milliseconds, either way; no time passes.
    pub fn set_wall_by(&self, millis: i64) {
        self.set_by.fetch_add(millis, Ordering::Relaxed);
    }

    /// Starts the machine anew: another boot id, and a boot clock from zero.
    pub fn reboot(&self, boot_id: &str) {
        *self.boot.lock().unwrap() = (boot_id.into(), *self.elapsed.borrow());
    }

    /// How many sleepers there are: lets a test know that somebody waits without waiting itself.
    pub fn sleepers(&self) -> usize {
        self.elapsed.receiver_count()
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        let UnixMillis(now) = self.epoch.plus(*self.elapsed.borrow());
        UnixMillis(now + self.set_by.load(Ordering::Relaxed))
    }

    fn boot_time(&self) -> BootTime {
        let boot = self.boot.lock().unwrap();
        let since = self.elapsed.borrow().checked_sub(boot.1).unwrap();
        BootTime { boot_id: boot.0.clone(), millis: i64::try_from(since.as_millis()).unwrap() }
    }

    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut elapsed = self.elapsed.subscribe();
        let until = *elapsed.borrow() + span;
        Box::pin(async move {
            let _ = elapsed.wait_for(|elapsed| *elapsed >= until).await;
        })
    }
}
