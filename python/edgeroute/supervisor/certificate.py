"""The certificate that clients see: stored for the server, and replaced when its files change."""

from collections.abc import Callable
from pathlib import Path

from edgeroute.config import Config
from edgeroute.supervisor.run_directory import RunDirectory


class ServerCertificate:
    """Keeps certificates and key as one file in the run directory, which the server's workers read when they start.

    A copy, so that a worker that starts later finds a pair that fits, whatever is being written meanwhile.
    """

    def __init__(self, directory: RunDirectory, config: Config, renewed: Callable[[], None]) -> None:
        """`renewed` is called whenever another pair takes the place of the last. OSError if the first is unusable."""
        self._directory = directory
        self._renewed = renewed
        self._stored = _pem(config)
        if self._stored is not None:
            directory.write_tls(self._stored)

    def update(self, config: Config) -> bool:
        """Whether another pair was stored. A router that was started without TLS goes on without. OSError if not."""
        pem = _pem(config)
        if self._stored is None or pem is None or pem == self._stored:
            return False
        self._directory.write_tls(pem)
        self._stored = pem
        self._renewed()
        return True


def _pem(config: Config) -> bytes | None:
    tls = config.tls
    return tls.certificate.pem.encode() + Path(tls.key).read_bytes() if tls is not None else None
