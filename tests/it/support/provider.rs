//! A provider on the internet, played on this machine.

use std::{net::IpAddr, sync::Arc};

use async_trait::async_trait;
use mailbell::reach::Names;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

/// Every name is this machine's.
#[derive(Debug)]
pub struct Here;

#[async_trait]
impl Names for Here {
    async fn addresses(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    }
}

/// A host by TLS with a certificate for `name`, which answers each request, given its head, with what `answer` says; its port,
/// and the authority, in PEM.
pub async fn host(name: &str, answer: impl Fn(&str) -> String + Send + 'static) -> (u16, String) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ServerConfig::builder().with_no_client_auth();
    let chain = vec![CertificateDer::from(own.der().to_vec())];
    let config = config.with_single_cert(chain, PrivateKeyDer::Pkcs8(key.serialize_der().into())).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 2048];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let answer = answer(&String::from_utf8_lossy(&request[..read]));
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, root.pem())
}
