//! Certificate authorities made for a test, and servers with certificates from them.

use std::net::TcpStream;
use std::sync::Arc;

use edgeroute_upstream::{Origin, Roots};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::Server;

pub type TlsStream = StreamOwned<ServerConnection, TcpStream>;

pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pub pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(authority, key), pem }
    }

    pub fn roots(&self) -> Roots {
        Roots::from_pem(&self.pem).unwrap()
    }

    /// A server with a certificate for `localhost`.
    pub fn serve(&self, script: impl Fn(usize, TlsStream) + Send + Sync + 'static) -> Server {
        self.serve_as("localhost", script)
    }

    /// A server with a certificate for this name.
    pub fn serve_as(&self, name: &str, script: impl Fn(usize, TlsStream) + Send + Sync + 'static) -> Server {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec![name.to_owned()];
        let certificate =
            rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let config = Arc::new(config);
        Server::start(move |number, stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            script(number, StreamOwned::new(connection, stream));
        })
    }
}

/// The server under this name, trusting nobody but the system's authorities.
pub fn https(host: &str, server: &Server) -> Origin {
    Origin::parse(&format!("https://{host}:{}", server.address.port())).unwrap()
}
