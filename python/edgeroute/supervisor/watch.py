"""Noticing that the configuration, or a file it takes secrets from, has changed.

Polled, because that also works over network file systems and through the symlinks that Kubernetes swaps.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

Signature = tuple[str, int, int, int] | None


class Watch:
    """Looks at files; a change counts when their bytes differ and they have been still between two looks."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._last = self._look()
        self._settled = self._last
        self._content = self._digest()

    def changed(self) -> bool:
        """Whether new content has settled since this was last true. While nothing happens: one stat per file."""
        seen = self._look()
        settled = seen == self._last
        self._last = seen
        if not settled or seen == self._settled:
            return False
        self._settled = seen
        content = self._digest()
        changed = content != self._content
        self._content = content
        return changed

    def _look(self) -> list[Signature]:
        return [_signature(path) for path in self._paths]

    def _digest(self) -> list[bytes | None]:
        return [_digest(path) for path in self._paths]


def _signature(path: Path) -> Signature:
    try:
        status = path.stat()
    except OSError:
        return None
    return os.path.realpath(path), status.st_ino, status.st_size, status.st_mtime_ns


def _digest(path: Path) -> bytes | None:
    """Of a file's bytes, or of the names in a folder."""
    try:
        if path.is_dir():
            names = sorted(os.fsencode(each.name) for each in path.iterdir())
            return hashlib.sha256(b"/".join(names)).digest()
        # What is no regular file may never end, or be taken from who reads it next.
        return hashlib.sha256(path.read_bytes()).digest() if path.is_file() else None
    except OSError:
        return None
