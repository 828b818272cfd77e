"""Telling systemd how things are: sd_notify(3), for units of `Type=notify`."""

import logging
import os
import socket

_log = logging.getLogger("edgeroute")


def notify(state: str) -> None:
    """Send a state such as `READY=1`; nothing happens where nobody asked for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # Linux's abstract names
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.sendto(state.encode(), address)
    except OSError as error:
        _log.warning("systemd cannot be told %s: %s", state, error)
