"""What differs on a terminal: colour, width, and keys that are typed unseen."""

import contextlib
import os
import pty
import subprocess
import termios

import pytest
from command_line import ENVIRONMENT, PROGRAM
from router_answers import RouterAdmin
from waiting import PATIENCE, wait_for


def shown(command: list[str], columns: int, **environ: str) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    environment = {**ENVIRONMENT, "TERM": "xterm", **environ}
    with subprocess.Popen([*PROGRAM, *command], env=environment, stdout=theirs, start_new_session=True) as process:
        os.close(theirs)
        pieces: list[bytes] = []
        try:
            while piece := os.read(ours, 65536):
                pieces.append(piece)
        except OSError:  # so Linux says that the other side is closed
            pass
        assert process.wait(PATIENCE) == 0
    os.close(ours)
    return b"".join(pieces).decode()


@pytest.fixture
def clean() -> dict[str, str]:
    """The environment of somebody who has not chosen about colour or width."""
    return dict.fromkeys(("NO_COLOR", "FORCE_COLOR"), "")


def test_colour_on_a_terminal_unless_refused(router: RouterAdmin, clean: dict[str, str]):
    command = ["status", "--admin", router.address]
    assert "\x1b[32mready" in shown(command, 100, **clean)
    assert "\x1b" not in shown(command, 100, **clean | {"NO_COLOR": "1"})


def test_a_narrow_terminal_folds(router: RouterAdmin, clean: dict[str, str]):
    text = shown(["status", "--admin", router.address], 40, **clean | {"NO_COLOR": "1"})
    assert max(map(len, text.splitlines())) <= 40
    assert "…" not in text


def test_a_key_is_typed_unseen():
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "keys", "hash"], env=ENVIRONMENT, start_new_session=True,
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        wait_for(lambda: not termios.tcgetattr(theirs)[3] & termios.ECHO)
        os.write(ours, b"sk-canary\n")
        out, error = process.communicate(timeout=PATIENCE)
    assert out.startswith(b"sha256:")
    assert b"canary" not in error
    os.set_blocking(ours, False)
    with contextlib.suppress(BlockingIOError):
        assert b"canary" not in os.read(ours, 65536)
    os.close(theirs)
    os.close(ours)
