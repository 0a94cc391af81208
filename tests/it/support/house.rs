//! A whole house within the test, on free ports.

use std::{path::Path, sync::Arc};

use mailbell::{
    app::{
        data_dir::DataDir,
        house::{House, Plan},
        listeners::BusyDefault,
        system::SystemEntropy,
        tokens::ShowOperatorToken,
    },
    config::load::{Overrides, load},
    domain::clock::Clock,
};

/// One that keeps `dir`, with these settings beside the defaults.
pub async fn house_in(dir: &Path, settings: Vec<(&'static str, String)>, clock: impl Clock) -> House {
    // As `main` does; another test may have done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let addrs = ["mcp.addr", "hooks.addr", "api.addr", "smtp.addr", "lmtp.addr", "console.addr"];
    let mut values: Vec<_> = addrs.into_iter().map(|key| (key, ":0".to_owned())).collect();
    values.extend(settings);
    let dir = DataDir::open(Some(dir.to_owned())).unwrap();
    let plan = Plan {
        lock: dir.keep().await.unwrap(),
        dir,
        loaded: load(Overrides { values, ..Overrides::default() }).unwrap(),
        publish: true,
        busy: BusyDefault::Fail,
        operator: ShowOperatorToken::Nowhere,
        clock: Arc::new(clock),
        entropy: Arc::new(SystemEntropy),
    };
    House::start(plan).await.unwrap().0
}
