"""Virtual keys: the credentials that clients use. The configuration holds only their hashes."""

import hashlib
import secrets

_RANDOM_BYTES = 32


def new_key() -> str:
    """A fresh virtual key: `sk-` and 256 random bits that need no quoting in headers, shells and URLs."""
    return f"sk-{secrets.token_urlsafe(_RANDOM_BYTES)}"


def hash_key(key: str) -> str:
    """A virtual key as the configuration holds it."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
