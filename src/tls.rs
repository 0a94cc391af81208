//! TLS towards servers that an operator named: always verified, by the system's authorities and one more where it is given.

use std::sync::Arc;

use rustls::{
    ClientConfig,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;

/// Why no TLS can be spoken.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How connections are made. `ca` are authorities in PEM that are trusted beside the system's.
pub fn verified(ca: Option<&[u8]>) -> Result<Arc<ClientConfig>, Cause> {
    let authorities = ca.into_iter().flat_map(CertificateDer::pem_slice_iter).collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(authorities, provider.clone())?;
    // "Dangerous" is any verifier of one's own; this one is the system's, with authorities more.
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}
