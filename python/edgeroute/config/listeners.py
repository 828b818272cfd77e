"""Checks of where edgeroute listens: addresses of their own, TLS that works, and who is believed."""

import ipaddress

from edgeroute.config.certificates import check_pair
from edgeroute.config.document import Document, Path
from edgeroute.config.providers import warn_written_credential
from edgeroute.config.schema import Config
from edgeroute.config.values import Address, Malformed


def check_listeners(document: Document, config: Config) -> None:
    """Reports every error about the listeners."""
    _check_addresses(document, config)
    _check_pair(document, config)
    _check_trusted_proxies(document)


def warn_listeners(document: Document, config: Config) -> None:
    """Warns of listeners that more people can use than is meant."""
    warn_written_credential(document, ("admin_key",))
    key: Path = ("tls", "key")
    if config.tls is not None and config.tls.key.open_to_all:
        advice = f"chmod o-r {document.shown(key, config.tls.key)}"
        document.warn(key, "every user of this machine may read this private key", advice)
    for index, network in enumerate(config.trusted_proxies):
        if network.endswith("/0"):
            message = "this believes everybody: any client can claim any address"
            document.warn(("trusted_proxies", index), message, "name the networks of your own proxies")
    if config.admin_key is None and not _is_loopback(config.admin):
        advice = 'add admin_key: "${EDGEROUTE_ADMIN_KEY}", or let admin listen on 127.0.0.1'
        message = '"admin" has no key: /status and /reload answer this machine only'
        document.warn(("admin",), message, advice)


def _check_addresses(document: Document, config: Config) -> None:
    listening: list[tuple[Path, Address]] = [(("listen",), config.listen), (("admin",), config.admin)]
    if config.mock is not None:
        listening.append((("mock", "listen"), config.mock.listen))
    owners: dict[str, Path] = {}
    for path, address in listening:
        if address in owners:
            owner = owners[address]
            message = f"{_called(document, owner)} and {_called(document, path)} cannot both listen on one address"
            written = path if document.find(path) and path[0] not in document.origins else owner
            document.error(written, message, "give one of them another port")
        owners.setdefault(address, path)


def _called(document: Document, path: Path) -> str:
    """A setting by its name, and by where it was set if that is not the file."""
    name = f'"{".".join(map(str, path))}"'
    origin = document.origins.get(str(path[0]))
    return name if origin is None else f"{name} (from {origin})"


def _check_pair(document: Document, config: Config) -> None:
    if config.tls is not None:
        try:
            check_pair(config.tls.certificate, config.tls.key)
        except Malformed as problem:
            document.error(("tls", "key"), problem.message, problem.advice)


def _check_trusted_proxies(document: Document) -> None:
    path: Path = ("trusted_proxies",)
    seen: list[str] = []
    for index, text in document.texts(path):
        if text in seen:
            document.error((*path, index), "this network is listed twice", "remove one of them")
        seen.append(text)


def _is_loopback(address: Address) -> bool:
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return address.host == "localhost"
