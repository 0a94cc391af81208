//! What a host name stands for, asked once when a webhook is registered and again at every connection.

use std::{fmt, io, net::IpAddr, time::Duration};

use async_trait::async_trait;

/// How long a name may take when a webhook is registered. One that takes longer is not refused for it: what it stands for
/// is checked at every connection anyway.
pub(super) const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(5);

/// Knows what names stand for.
#[async_trait]
pub trait Names: fmt::Debug + Send + Sync {
    /// The addresses of `name`.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The names that this machine knows.
#[derive(Debug, Clone, Copy)]
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}
