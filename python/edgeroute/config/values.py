"""Values with a form of their own: secrets, addresses, URLs, key hashes, times and sizes.

Each class has `parse(text)`, which raises Malformed with sentences that never contain the text (it may be
secret).
"""

import ipaddress
import re
from typing import ClassVar, Protocol, Self
from urllib.parse import unquote, urlsplit

import orjson

from edgeroute.config.vocabulary import HASH

_UNITS = {
    "milliseconds": {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000},
    "bytes": {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30},
}
_URL = "write it as in https://api.example.com/v1"
_PROXY = "write http://host:port; with http://user:password@host:port, special characters as %XX"
_REDIS = "write redis://host:6379; with redis://user:password@host:6379/0, special characters as %XX"
_CREDENTIALS = "write % as %25, no line breaks and the like, and no colon in the user"
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::0*([1-9][0-9]{0,4}))?")
_EXAMPLES = {"milliseconds": "such as 500ms, 2s, 15m or 1h", "bytes": "such as 64KiB or 8MiB"}
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_LIKE_A_NUMBER = re.compile(r"[+-]?(0[xXoO][0-9a-fA-F_]+|[0-9][0-9_]*\.?[0-9_]*([eE][+-]?[0-9_]+)?|\.[0-9][0-9_]*)")
QUANTITY_PATTERNS = {unit: f"^[0-9]+({'|'.join(scales)})$" for unit, scales in _UNITS.items()}


class Malformed(ValueError):  # noqa: N818 (it is about a text, and not a failure)
    """A text that is not what it should be: what is wrong with it, and what to write instead."""

    def __init__(self, message: str, advice: str | None = None) -> None:
        super().__init__(message if advice is None else f"{message}: {advice}")
        self.message, self.advice = message, advice


class Value(Protocol):
    """What the reader needs of a class here: how to read it, and what it looks like to people and editors."""

    expected: ClassVar[str]
    pattern: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The value that a text stands for."""
        ...


class Secret:
    """A credential. It prints redacted; `reveal()` is the only way to its text."""

    __slots__ = ("_text",)
    expected: ClassVar[str] = "printable text without spaces"
    pattern: ClassVar[str] = r"^[!-~]+$"

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def parse(cls, text: str) -> Self:
        """Refuses what could not be sent as a header: blanks, line breaks, other than printable ASCII."""
        if not re.fullmatch(cls.pattern, text):
            advice = "remove line breaks, blanks, and words such as Bearer, where it comes from"
            raise Malformed("a credential is printable ASCII without spaces or line breaks; this one is not", advice)
        return cls(text)

    def reveal(self) -> str:
        """The credential itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class HeaderValue(Secret):
    """The value of a header, which may be a credential."""

    __slots__ = ()
    expected: ClassVar[str] = "printable text on one line"
    pattern: ClassVar[str] = r"^[!-~]([ -~]*[!-~])?$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Refuses what would end the header or be cut off: line breaks, blanks at the ends, other than ASCII."""
        if not re.fullmatch(cls.pattern, text):
            advice = "remove line breaks, blanks at the ends, and characters beyond ASCII"
            raise Malformed("the value of a header is one line of printable ASCII; this one is not", advice)
        return cls(text)


class ProxyUrl(Secret):
    """A proxy for CONNECT, as `http://[user:password@]host:port`; a secret, because of the password."""

    __slots__ = ()
    expected: ClassVar[str] = "a URL such as http://proxy:3128"
    pattern: ClassVar[str] = r"^[Hh][Tt][Tt][Pp]://([^/?#@]+@)?[^/?#@]+/?$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes http, a host, and what else is needed to reach a proxy; the port is 80 if not written."""
        scheme, separator, rest = text.partition("://")
        if separator and scheme.lower() != "http":
            advice = "name one that is reached by http://; providers are reached through it by TLS all the same"
            raise Malformed("a proxy that is not reached by http:// is not supported", advice)
        if not re.fullmatch(cls.pattern, text) or not re.fullmatch(r"[!-~]+", text):
            raise Malformed("a proxy is http://, a host and a port, and nothing else", _PROXY)
        credentials, at, authority = rest.removesuffix("/").rpartition("@")
        try:
            host, port = _host_and_port(authority)
        except ValueError:
            raise Malformed("the host or the port of this proxy is malformed", _PROXY) from None
        if not _can_be_sent(credentials):
            raise Malformed("user or password of this proxy cannot be sent to it", _CREDENTIALS)
        return cls(f"http://{credentials}{at}{host}:{port or 80}")


class RedisUrl(Secret):
    """A Redis or Valkey, as `redis[s]://[[user]:password@]host[:port][/number]`; a secret, because of the password."""

    __slots__ = ()
    expected: ClassVar[str] = "a URL such as redis://host:6379"
    pattern: ClassVar[str] = r"^[Rr][Ee][Dd][Ii][Ss][Ss]?://([^/?#@]*@)?[^/?#@]+(/[0-9]{0,4})?$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes redis or rediss (TLS), a host, and what else is needed; the port is 6379 if not written."""
        scheme, separator, rest = text.partition("://")
        if not separator or scheme.lower() not in ("redis", "rediss"):
            raise Malformed("a Redis or Valkey is reached by redis:// or, with TLS, rediss://", _REDIS)
        if not re.fullmatch(cls.pattern, text) or not re.fullmatch(r"[!-~]+", text):
            raise Malformed("after the scheme there is a host, a port and the number of a database", _REDIS)
        authority, slash, database = rest.partition("/")
        credentials, at, authority = authority.rpartition("@")
        try:
            host, port = _host_and_port(authority)
        except ValueError:
            raise Malformed("the host or the port of this Redis is malformed", _REDIS) from None
        if re.search("%(?![0-9A-Fa-f]{2})", credentials):
            raise Malformed("user or password of this Redis cannot be read", "write % as %25")
        return cls(f"{scheme.lower()}://{credentials}{at}{host}:{port or 6379}{slash}{database}".removesuffix("/"))


class Network(str):
    """A range of addresses, written with its prefix length: `10.0.0.0/8`."""

    __slots__ = ()
    expected: ClassVar[str] = "an address or a network such as 10.0.0.0/8"
    pattern: ClassVar[str] = r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes an address, which stands for itself alone, or a network in CIDR notation."""
        try:
            network, address = ipaddress.ip_network(text, strict=False), ipaddress.ip_interface(text).ip
        except ValueError:
            network = address = None
        if network is None or not re.fullmatch(cls.pattern, text):
            advice = "write numbers, such as 10.0.0.7, 10.0.0.0/8 or fd00::/8; host names are not looked up"
            raise Malformed("this is neither an address nor a network", advice)
        if address != network.network_address:
            advice = f"write {network} for the network, or leave out the prefix for the address alone"
            raise Malformed("this address lies inside its network and does not begin it", advice)
        return cls(network)


class Address(str):
    """Where to listen: `host:port`, IPv6 hosts in brackets."""

    __slots__ = ()
    expected: ClassVar[str] = "an address such as 127.0.0.1:4000"
    # Labels of names have 1 to 63 characters (RFC 1035, section 2.3.4).
    pattern: ClassVar[str] = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*\.?):[0-9]{1,5}$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Checks the form; whether the host exists is found out when listening."""
        if not re.fullmatch(cls.pattern, text) or not 1 <= int(text.rpartition(":")[2]) <= 65535:
            advice = "write host:port, such as 127.0.0.1:4000, 0.0.0.0:4000 (all interfaces) or [::1]:4000"
            raise Malformed("this is not an address to listen on", advice)
        return cls(text)

    @property
    def host(self) -> str:
        """The host, without brackets."""
        return self.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port, 1 to 65535."""
        return int(self.rpartition(":")[2])


class Url(str):
    """The base URL of a provider: scheme and host in lower case, no slash at its end."""

    __slots__ = ()
    expected: ClassVar[str] = "a URL such as https://api.example.com/v1"
    pattern: ClassVar[str] = r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+(/[^?#]*)?$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes http or https, a host, a path; nothing else, because `/chat/completions` is appended."""
        if not re.fullmatch(r"[!-~]+", text):
            raise Malformed("a URL has no spaces and no characters beyond ASCII", "write such characters as %XX")
        scheme, _, rest = text.partition("://")
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
        path = rest.removeprefix(authority)
        if scheme.lower() not in ("http", "https") or not authority:
            raise Malformed("a provider's URL is http:// or https://, a host, and a path", _URL)
        if "@" in authority:
            raise Malformed("a URL must not carry credentials", "take them out, and write api_key or headers")
        if "?" in path or "#" in path:
            raise Malformed("a base URL has no query and no fragment", "leave out what begins with ? or #")
        try:
            host, port = _host_and_port(authority)
        except ValueError:
            raise Malformed("the host or the port of this URL is malformed", _URL) from None
        return cls(f"{scheme.lower()}://{host}{'' if port is None else f':{port}'}{path.rstrip('/')}")

    @property
    def port(self) -> int | None:
        """The port, if one is written."""
        return urlsplit(self).port

    @property
    def is_numeric(self) -> bool:
        """Whether the host is an address and not a name."""
        try:
            ipaddress.ip_address(urlsplit(self).hostname or "")
        except ValueError:
            return False
        return True


class KeyHash(str):
    """The SHA-256 of a virtual key: 64 lower-case hexadecimal digits."""

    __slots__ = ()
    expected: ClassVar[str] = '"sha256:" and 64 hexadecimal digits'
    pattern: ClassVar[str] = r"^sha256:[0-9a-fA-F]{64}$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `sha256:<64 hexadecimal digits>`."""
        if not re.fullmatch(cls.pattern, text):
            raise Malformed('a hash is "sha256:" and the 64 hexadecimal digits of the key\'s SHA-256', HASH)
        return cls(text.removeprefix("sha256:").lower())


class FilePath(str):
    """The path of a file, resolved from the folder of the configuration once it is read."""

    __slots__ = ()
    expected: ClassVar[str] = "the path of a file"
    pattern: ClassVar[str] = r"\S"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes any path; whether the file is there is found out when it is needed."""
        if not text.strip() or "\0" in text:
            raise Malformed("this is not the path of a file", "name the file, from the folder of the configuration")
        return cls(text)


class FolderPath(FilePath):
    """The path of a folder, resolved in the same way."""

    __slots__ = ()
    expected: ClassVar[str] = "the path of a folder"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes any path; the folder is made when it is needed."""
        if not text.strip() or "\0" in text:
            raise Malformed("this is not the path of a folder", "name the folder, from that of the configuration")
        return cls(text)


class HashKey(str):
    """What of a request is hashed: `session`, `user`, `virtual_key`, `prompt` or `header:name` (in lower case)."""

    __slots__ = ()
    expected: ClassVar[str] = "session, user, virtual_key, prompt or header:NAME"
    pattern: ClassVar[str] = r"^(session|user|virtual_key|prompt|header:[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128})$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes one of the words, or a header with its name."""
        if not re.fullmatch(cls.pattern, text):
            raise Malformed("this is nothing of a request that can be hashed", f"write {cls.expected}")
        return cls(text.lower())


class Json(str):
    """A value of a request's body, as the JSON it becomes: `0.20` stays `0.20`."""

    __slots__ = ()
    expected: ClassVar[str] = "text, a number, true, false, a list or a map"
    pattern: ClassVar[str] = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """What plain text in YAML stands for: true, false, a number of JSON, or else text."""
        if text in ("true", "false") or _JSON_NUMBER.fullmatch(text):
            return cls(text)
        if text.lower() in ("true", "false"):
            raise Malformed("true and false are written in lower case", f'write {text.lower()}, or "{text}" in quotes')
        if _LIKE_A_NUMBER.fullmatch(text):
            raise Malformed("this is no number of JSON", "write it as in 0.5, 100 or 1e-3, or put it in quotes")
        return cls.quote(text)

    @classmethod
    def quote(cls, text: str) -> Self:
        """Text."""
        return cls(orjson.dumps(text).decode())


class Condition(str):
    """A rule's condition, in CEL. Variables such as `${NAME}` are not replaced in it: it is code."""

    __slots__ = ()
    expected: ClassVar[str] = "a CEL condition"
    pattern: ClassVar[str] = r"\S"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes any text; the rule compiler judges it."""
        return cls(text)


def parse_quantity(text: str, unit: str | None) -> int:
    """A whole number: plain, or a time in milliseconds, or a size in bytes, written with its unit."""
    if unit is None:
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise ValueError("a whole number, digits only")
        return int(text)
    found = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]+)", text)
    scale = _UNITS[unit].get(found.group(2)) if found else None
    if found is None or scale is None:
        raise ValueError(f"{'a time' if unit == 'milliseconds' else 'a size'} {_EXAMPLES[unit]}")
    return int(found.group(1)) * scale


def parse_decimal(text: str, decimals: int) -> float:
    """A number without exponent, with at most so many decimals."""
    if not re.fullmatch(rf"-?[0-9]{{1,9}}(\.[0-9]{{1,{decimals}}})?", text):
        raise ValueError(f"a number such as 1.25, with at most {decimals} decimals")
    return float(text)


def format_quantity(number: int, unit: str | None) -> str:
    """The shortest exact way to write a quantity, as `parse_quantity` reads it."""
    if unit is None:
        return str(number)
    symbol, scale = max((item for item in _UNITS[unit].items() if number % item[1] == 0), key=lambda item: item[1])
    if number == 0:
        symbol, scale = next(iter(_UNITS[unit].items()))
    return f"{number // scale}{symbol}"


def _host_and_port(authority: str) -> tuple[str, int | None]:
    """A host in lower case (IPv6 in brackets) and its port if one is written, as rust/upstream takes them.

    Raises ValueError.
    """
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise ValueError("not a host, or not a port")
    host, port = found[1].lower(), int(found[2]) if found[2] else None
    if host.startswith("["):
        ipaddress.IPv6Address(host[1:-1])
    if port is not None and port > 65535:
        raise ValueError("there is no such port")
    return host, port


def _can_be_sent(credentials: str) -> bool:
    """Whether the user and password of a URL make a Basic authorization (RFC 7617)."""
    if re.search("%(?![0-9A-Fa-f]{2})", credentials):
        return False
    user, _, _ = credentials.partition(":")
    decoded = unquote(credentials, encoding="latin-1")
    return ":" not in unquote(user, encoding="latin-1") and re.search(r"[\x00-\x1f\x7f]", decoded) is None
