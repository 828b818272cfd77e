"""The run directory: the memory file, the generations of the configuration and the TLS key, private to this user.

It is removed at exit. Those that killed supervisors left are told by their free lock, and removed at the next
start.
"""

import fcntl
import logging
import os
import re
import shutil
import ssl
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from edgeroute.errors import StartError
from edgeroute.supervisor import handover

VARIABLE = "EDGEROUTE_RUN_DIR"
_PREFIX = "edgeroute-"
_LOCK = "lock"
_log = logging.getLogger("edgeroute")
_OURS = re.compile(r"cells|lock|affinity-[0-9a-f]+|(generation-[0-9]+\.json|tls\.pem)(\.new)?")


class RunDirectory:
    """A locked directory; use it as a context manager, or call `remove`."""

    def __init__(self, path: Path, temporary: bool) -> None:
        self.path = path
        self._temporary = temporary
        self._lock = _lock(path)

    @classmethod
    def create(cls, environ: Mapping[str, str]) -> Self:
        """The directory that EDGEROUTE_RUN_DIR names, else a new one in /dev/shm or the temporary directory.

        Raises StartError when it cannot be made, is not private, or when another router lives in it.
        """
        named = environ.get(VARIABLE)
        try:
            if named:
                path = Path(named)
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                _check_private(path)
                directory = cls(path, temporary=False)
                _clear(path, keep=_LOCK)
                return directory
            base = Path("/dev/shm")  # noqa: S108 (a directory of our own is made in it)
            if not os.access(base, os.W_OK):
                base = Path(tempfile.gettempdir())
            _sweep(base)
            return cls(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base)), temporary=True)
        except BlockingIOError as error:
            raise StartError(f"{VARIABLE}={named} is in use by another edgeroute; give each its own") from error
        except OSError as error:
            raise StartError(f"cannot make the run directory {error.filename}: {error.strerror}") from error

    @property
    def cells(self) -> Path:
        """Where the memory file is."""
        return handover.cells_file(self.path)

    def write_generation(self, number: int, normalised: bytes) -> None:
        """Store a configuration; a reader sees all of it or nothing."""
        _write(handover.generation_file(self.path, number), normalised)

    def write_tls(self, pem: bytes) -> None:
        """Store the server's certificates and private key; ssl.SSLError if they do not belong together."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _write(handover.tls_file(self.path), pem, context.load_cert_chain)

    def forget_before(self, number: int) -> None:
        """Remove the generations older than `number`."""
        for path in self.path.glob("generation-*.json"):
            if int(path.stem.removeprefix("generation-")) < number:
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove what was made here, and the directory if it is a temporary one.

        What cannot be removed is logged, not raised: an exception would hide why the router ends.
        """
        try:
            _clear(self.path, keep=None)
            if self._temporary:
                self.path.rmdir()
        except OSError as error:
            _log.warning("the run directory %s is not removed whole: %s", self.path, error)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _write(target: Path, content: bytes, check: Callable[[Path], None] = lambda _: None) -> None:
    """All of it or nothing, and nothing if the check of what was written raises."""
    draft = target.with_name(target.name + ".new")
    draft.unlink(missing_ok=True)  # of a write that failed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    check(draft)
    draft.rename(target)


def _check_private(path: Path) -> None:
    """Refuses a directory whose files others could read or replace: they hold credentials."""
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise StartError(f"{VARIABLE}={path} belongs to another user; name a directory of your own")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise StartError(f"{VARIABLE}={path} is open to other users (mode {mode:03o}); chmod 700 it")


def _lock(directory: Path) -> int:
    """Lock a directory for the life of this process; BlockingIOError if another process holds it.

    The file has content only once it was locked, so an empty one may be about to get an owner.
    """
    path = directory / _LOCK
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                os.pwrite(descriptor, b"locked\n", 0)
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner removed it between the two calls


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _sweep(base: Path) -> None:
    """Remove temporary directories of ours whose supervisor was killed."""
    for path in base.glob(f"{_PREFIX}*"):
        try:
            status = path.lstat()
            if path.is_symlink() or status.st_uid != os.getuid() or not (path / _LOCK).stat().st_size:
                continue
            os.close(_lock(path))
        except OSError:  # alive, or removed by somebody else meanwhile
            continue
        shutil.rmtree(path, ignore_errors=True)


def _clear(directory: Path, keep: str | None) -> None:
    """Remove all files of ours that can be removed; then OSError for one that cannot."""
    failure: OSError | None = None
    for path in list(directory.iterdir()):
        if _OURS.fullmatch(path.name) and path.name != keep:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                failure = error
    if failure is not None:
        raise failure
