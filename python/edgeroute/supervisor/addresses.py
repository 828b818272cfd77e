"""Holding the address to listen on, so that two routers never share it by accident.

granian's workers bind with SO_REUSEPORT, which would quietly split the traffic with whoever else does so.
"""

import errno
import socket
import sys

from edgeroute.config.values import Address
from edgeroute.errors import StartError


def reserve(address: Address, setting: str) -> socket.socket:
    """Bind an address that nobody else has, without listening; raises StartError with what to do otherwise.

    The socket stays bound until closed: a second router is refused, our own workers are not.
    """
    family, place = _resolve(address, setting)
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Binds over connections that a previous run left; kept on, it would let a second router bind too.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(place)
    except OSError as error:
        held.close()
        raise StartError(_explain(error, address, setting)) from error
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    if sys.platform == "linux":
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    else:  # elsewhere a bound socket would refuse our own workers: the check alone has to do
        held.close()
    return held


def accepts(address: Address) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((reachable_host(address.host), address.port), timeout=1).close()
    except OSError:
        return False
    return True


def reachable_host(host: str) -> str:
    """The host by which this machine itself reaches a listener: loopback for one on all interfaces."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _resolve(address: Address, setting: str) -> tuple[int, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StartError(f"cannot listen on {address} (`{setting}`): {error.strerror}") from error
    return found[0][0], found[0][4]


def _explain(error: OSError, address: Address, setting: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"cannot listen on {address} (`{setting}`): the port is in use\n"
                f"  help: `ss -ltnp 'sport = :{address.port}'` (or `lsof -i :{address.port}`) shows"
                f" who holds it; stop that, or change `{setting}`"
            )
        case errno.EADDRNOTAVAIL:
            return (
                f"cannot listen on {address} (`{setting}`): this machine has no such address\n"
                f"  help: 0.0.0.0:{address.port} is all interfaces, 127.0.0.1:{address.port} this machine only"
            )
        case errno.EACCES:
            return (
                f"cannot listen on {address} (`{setting}`): not permitted\n"
                f"  help: ports below 1024 need privileges; choose a higher one"
            )
        case _:
            return f"cannot listen on {address} (`{setting}`): {error.strerror}"
