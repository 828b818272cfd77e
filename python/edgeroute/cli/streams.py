"""The standard streams of a command: closed ones, and text that they cannot take, cause no traceback."""

import os
import sys
from io import TextIOWrapper
from typing import cast


def complete_streams() -> None:
    """Replace closed streams by /dev/null, and make every text printable.

    The first file or socket opened would else take the number of a closed stream, and get what is printed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is given, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    # Names of files may be no text, and terminals may not be UTF-8.
    cast(TextIOWrapper, sys.stdout).reconfigure(errors="backslashreplace")
