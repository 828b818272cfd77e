"""Checks of the providers: each can be reached, has its credentials once, and sends no header of ours."""

import re

from edgeroute.config.diagnostics import nearest
from edgeroute.config.document import Document, Path, names_a_secret
from edgeroute.config.placement import check_replicas
from edgeroute.config.schema import Config, Provider
from edgeroute.config.values import Url
from edgeroute.providers import CATALOGUE

CREDENTIAL_HEADERS = ("authorization", "x-api-key")
"""Where an `api_key` is sent, so that none of them can stand beside one."""

LIKELY_CREDENTIALS = (*CREDENTIAL_HEADERS, "api-key")
_WRITTEN_BY_US = "edgeroute writes it for each request itself"
_FORBIDDEN_HEADERS = {
    **dict.fromkeys(("host", "content-length", "content-type", "expect"), _WRITTEN_BY_US),
    **dict.fromkeys(
        ("transfer-encoding", "connection", "te", "upgrade", "trailer", "keep-alive"),
        "it is about one connection, and edgeroute keeps connections itself",
    ),
    "accept-encoding": "replies are read on their way, so they must not be compressed",
}


def check_providers(document: Document, config: Config) -> None:
    """Reports every error in the providers."""
    for name, provider in config.providers.items():
        path: Path = ("providers", name)
        _check_catalogue(document, name, path)
        check_replicas(document, path, provider)
        _check_credentials(document, path)
        _check_headers(document, path)


def warn_providers(document: Document, config: Config) -> None:
    """Warns of what is allowed in a provider, and hardly meant."""
    for name, provider in config.providers.items():
        path: Path = ("providers", name)
        _warn_no_credential(document, name, path)
        _warn_written_credentials(document, path)
        _warn_no_version(document, path, provider)
        _warn_no_tls(document, name, path, provider)


def warn_written_credential(document: Document, path: Path) -> None:
    """Warns of a credential that stands in the file itself."""
    if document.text(path) is not None and path not in document.replaced:
        advice = "read it from the environment, ${NAME}, or from a file, ${file:/path}"
        document.warn(path, "this credential is written into the configuration", advice)


def forbidden_header(name: str) -> tuple[str, str] | None:
    """Why a header (its name in lower case) cannot be added to requests, and what to do; None if it can be."""
    if name in _FORBIDDEN_HEADERS:
        return _FORBIDDEN_HEADERS[name], "remove it"
    if name.startswith("proxy-"):
        return "it is for proxies", "write user and password into proxy: http://user:password@host:port"
    if name.startswith("x-edgeroute-"):
        return "headers of this name are edgeroute's own and never go to providers", "choose another name"
    return None


def _check_catalogue(document: Document, name: str, path: Path) -> None:
    """What the catalogue knows need not be said; anything else must be."""
    given = set(document.names(*path))
    missing = [] if "dialect" in given else ['"dialect"']
    missing += [] if {"url", "urls", "discover"} & given else ['"url"']
    if name not in CATALOGUE and missing:
        near = nearest(name, CATALOGUE)
        advice = f'did you mean "{near}"? Otherwise it' if near else "it"
        advice += " is not in the catalogue: say what it speaks, and where it is"
        document.error(path, f'provider "{name}" needs {" and ".join(missing)}', advice, at_key=True)


def _check_credentials(document: Document, path: Path) -> None:
    keys: Path = (*path, "api_keys")
    if {"api_key", "api_keys"} <= set(document.names(*path)):
        document.error(keys, '"api_key" and "api_keys" are both set', "keep one of them", at_key=True)
    if document.is_empty(keys):
        document.error(keys, '"api_keys" is empty', "name at least one credential, or remove the line", at_key=True)
    credentials = document.texts(keys)
    for index, (place, text) in enumerate(credentials):
        if text in (other for _, other in credentials[:index]):
            advice = "remove one of them; look whether two variables hold the same value"
            document.error((*keys, place), "this credential is listed twice", advice)


def _check_headers(document: Document, path: Path) -> None:
    headers: Path = (*path, "headers")
    lower: dict[str, str] = {}
    for written in document.names(*headers):
        name = written.lower()
        forbidden = forbidden_header(name)
        if forbidden is not None:
            reason, advice = forbidden
            document.error((*headers, written), f'header "{written}" cannot be added: {reason}', advice, at_key=True)
        elif name in lower:
            message = f'headers "{lower[name]}" and "{written}" are the same: case does not matter'
            document.error((*headers, written), message, "remove one of them", at_key=True)
        elif name in CREDENTIAL_HEADERS and {"api_key", "api_keys"} & set(document.names(*path)):
            message = f'header "{written}" and a credential are both set'
            advice = "keep one of them: the credential is sent in this header"
            document.error((*headers, written), message, advice, at_key=True)
        lower.setdefault(name, written)


def _warn_no_credential(document: Document, name: str, path: Path) -> None:
    known = CATALOGUE.get(name)
    if known is None or not {"url", "urls", "api_key", "api_keys"}.isdisjoint(document.names(*path)):
        return
    if not any(header.lower() in LIKELY_CREDENTIALS for header in document.names(*path, "headers")):
        advice = f'add api_key: "${{{known.key_variable}}}"'
        document.warn(path, f'provider "{name}" has no api_key and will refuse requests', advice, at_key=True)


def _warn_written_credentials(document: Document, path: Path) -> None:
    warn_written_credential(document, (*path, "api_key"))
    for index in range(len(document.items((*path, "api_keys")))):
        warn_written_credential(document, (*path, "api_keys", index))
    for header in document.names(*path, "headers"):
        if header.lower() in LIKELY_CREDENTIALS or names_a_secret(header):
            warn_written_credential(document, (*path, "headers", header))


def _warn_no_version(document: Document, path: Path, provider: Provider) -> None:
    """OpenAI's SDKs take a base URL with its version, and so do we; without one every request is a 404."""
    if provider.dialect != "openai-chat":
        return
    for place, url in _urls(path, provider):
        if re.fullmatch("https?://[^/]+", url):
            advice = "most servers answer under /v1: add it, unless this one does not"
            document.warn(place, "this URL has no path", advice)


def _warn_no_tls(document: Document, name: str, path: Path, provider: Provider) -> None:
    """What is for https has no effect on a provider, or on a URL of it, that is reached by http."""
    urls = _urls(path, provider)
    plain = [place for place, url in urls if url.startswith("http:")]
    for setting in ("proxy", "ca_file"):
        if getattr(provider, setting) is None or not plain:
            continue
        if len(plain) == len(urls):
            message = f'"{setting}" has no effect: no URL of provider "{name}" is https'
            document.warn((*path, setting), message, "remove it, or write https:// in the URL", at_key=True)
            continue
        for place in plain:
            message = f'"{setting}" of provider "{name}" is not used for this URL'
            document.warn(place, message, "write https://, if this server answers there")


def _urls(path: Path, provider: Provider) -> list[tuple[Path, Url]]:
    """The URLs that are written, each with its place."""
    listed = [((*path, "urls", index), each.url) for index, each in enumerate(provider.urls or [])]
    return listed if provider.url is None else [((*path, "url"), provider.url)]
