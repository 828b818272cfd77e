"""PEM files that settings name: certificates and private keys, judged by the TLS library that Python has."""

import re
import ssl
import stat
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from edgeroute.config.values import Malformed

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PASTED = re.compile(r"-----BEGIN|\n")
_OF_ANOTHER = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
"""How OpenSSL says that key and certificate do not belong together; the last is for keys of another kind."""


class PemFile(str, ABC):
    """The path of a PEM file, which was read when the configuration was."""

    __slots__ = ()
    pattern: ClassVar[str] = r"^[^\n]+$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes any path, and refuses what is the content of such a file."""
        if _PASTED.search(text):
            raise Malformed("this is the content of a file and not its path", "save it in a file, and write its path")
        return cls(text)

    @classmethod
    @abstractmethod
    def read(cls, path: Path, content: str) -> Self:
        """The value for a file at a path, with this content; raises Malformed."""


class CertificateFile(PemFile):
    """Certificates. `pem` is their text alone, without whatever else the file holds."""

    __slots__ = ("pem",)
    expected: ClassVar[str] = "the path of a PEM file with certificates"

    pem: str

    @classmethod
    def read(cls, path: Path, content: str) -> Self:
        """Checks that there are certificates, and that all of them can be read."""
        found = "\n".join([*_CERTIFICATE.findall(content), ""])
        if not found:
            raise Malformed("this file holds no certificate", 'it must be PEM: "-----BEGIN CERTIFICATE-----" and so on')
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found)
        except (ssl.SSLError, ValueError):
            advice = "copy it again from where it was issued, whole and in PEM"
            raise Malformed("this file holds a certificate that cannot be read", advice) from None
        value = cls(path)
        value.pem = found
        return value


class KeyFile(PemFile):
    """A private key. Its content is not kept; `open_to_all` is whether every user of the machine may read it."""

    __slots__ = ("open_to_all",)
    expected: ClassVar[str] = "the path of a PEM file with a private key"

    open_to_all: bool

    @classmethod
    def read(cls, path: Path, content: str) -> Self:
        """Checks that there is a private key that needs no password."""
        if not _PRIVATE_KEY.search(content):
            raise Malformed("this file holds no private key", 'it must be PEM: "-----BEGIN PRIVATE KEY-----" and so on')
        if "ENCRYPTED" in content:
            advice = "decrypt it (openssl pkey -in FILE -out NEW), and let only this user read it"
            raise Malformed("this private key is encrypted, and nobody is there to type its password", advice)
        value = cls(path)
        try:
            value.open_to_all = bool(path.stat().st_mode & stat.S_IROTH)
        except OSError as error:
            raise Malformed(f"this file cannot be read: {error.strerror}", "try again") from None
        return value


def check_pair(certificate: CertificateFile, key: KeyFile) -> None:
    """Raises Malformed when the key cannot be read, or is not that of the first certificate."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        if error.reason in _OF_ANOTHER:
            advice = "name the key that the certificate was made for; its own certificate comes first in the file"
            raise Malformed("this is not the key of the certificate", advice) from None
        if str(error.reason).endswith(("TOO_SMALL", "TOO_WEAK")):
            advice = "make a new key and certificate: RSA of 2048 bits or more, or EC, signed with SHA-256"
            raise Malformed("this key, or its certificate, is too weak for clients to accept", advice) from None
        advice = "copy it again from where it was made, whole and in PEM"
        raise Malformed("this file holds a private key that cannot be read", advice) from None
    except OSError:
        raise Malformed("this file, or the certificate, changed while it was checked", "try again") from None
