//! Certificate authorities that one origin trusts besides those of the system, as configured.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

/// Certificate authorities, parsed once when the configuration loads; cheap to clone.
///
/// Two are equal if they hold the same certificates in the same order.
#[derive(Clone)]
pub struct Roots {
    certificates: Arc<[CertificateDer<'static>]>,
    /// Stands for the certificates wherever they are compared, which is once per exchange.
    digest: [u8; 32],
}

/// Why a text holds no certificate authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoots {
    /// No certificate in it.
    #[error("there is no certificate in it; each begins with `-----BEGIN CERTIFICATE-----`")]
    Empty,
    /// The text is broken before this certificate ends, counted from 1.
    #[error("certificate {0} is not valid PEM")]
    Pem(usize),
    /// What the text decodes to is no certificate, counted from 1.
    #[error("certificate {0} is not a valid X.509 certificate")]
    Certificate(usize),
}

impl Roots {
    /// Parses the certificates of a PEM text. Sections of other kinds are skipped.
    pub fn from_pem(text: &str) -> Result<Self, InvalidRoots> {
        let mut certificates = Vec::new();
        let mut digest = Sha256::new();
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let number = certificates.len() + 1;
            let certificate = certificate.map_err(|_| InvalidRoots::Pem(number))?;
            store.add(certificate.clone()).map_err(|_| InvalidRoots::Certificate(number))?;
            // DER says its own length: no two lists of certificates are the same bytes.
            digest.update(&certificate);
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(InvalidRoots::Empty);
        }
        Ok(Self { certificates: certificates.into(), digest: digest.finalize().into() })
    }

    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Roots {}

impl Hash for Roots {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({} certificates)", self.certificates.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> String {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn parses_what_files_of_authorities_hold() {
        let (one, two) = (authority(), authority());
        let check = |text: &str, expected: usize| {
            assert_eq!(Roots::from_pem(text).unwrap().certificates().len(), expected, "{text}");
        };
        check(&one, 1);
        check(&format!("{one}{two}"), 2);
        check(&format!("# subject: me\n\n{one}\n  \ntrailing words"), 1);
        check(&one.replace('\n', "\r\n"), 1);
        check(&format!("{}{one}", rcgen::KeyPair::generate().unwrap().serialize_pem()), 1);
    }

    #[test]
    fn equal_certificates_are_equal() {
        let (one, two) = (authority(), authority());
        let roots = |text: &str| Roots::from_pem(text).unwrap();
        assert_eq!(roots(&one), roots(&format!("\n{one}\n")));
        assert_ne!(roots(&one), roots(&two));
        assert_ne!(roots(&one), roots(&format!("{one}{two}")));
    }

    #[test]
    fn refuses_with_the_number_of_the_certificate() {
        let good = authority();
        let check = |text: &str, expected: InvalidRoots| {
            assert_eq!(Roots::from_pem(text).unwrap_err(), expected, "{text}");
        };
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for text in ["", "not PEM at all", &key] {
            check(text, InvalidRoots::Empty);
        }
        let cut = good.trim_end().strip_suffix("-----END CERTIFICATE-----").unwrap();
        check(cut, InvalidRoots::Pem(1));
        check(&format!("{good}{cut}"), InvalidRoots::Pem(2));
        check(&good.replacen("MII", "M!I", 1), InvalidRoots::Pem(1));
        check(&format!("{good}-----BEGIN CERTIFICATE\n"), InvalidRoots::Pem(2));
        let other = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        check(other, InvalidRoots::Certificate(1));
        check(&format!("{good}{other}"), InvalidRoots::Certificate(2));
    }
}
