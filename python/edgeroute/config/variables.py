"""`${NAME}` from the environment, `${file:/path}` from a file, `$$` for a dollar; nothing else.

A dollar before any other character is itself. What was put in is never repeated in a message.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeroute.config.diagnostics import nearest

_VARIABLE = re.compile(r"\$(\$|\{([^{}]*)(\}?))")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LARGEST_CONFIG = 16 << 20
_LARGEST_VALUE = 64 << 10
_LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A variable that could not be replaced: where in the text, why, what to do."""

    start: int
    end: int
    message: str
    advice: str | None


@dataclass(frozen=True, slots=True)
class Variables:
    """The environment and the files that values may come from; remembers which files were read.

    Paths that are not absolute start at `folder`, that of the configuration file.
    """

    environ: Mapping[str, str]
    folder: Path
    files: list[Path] = field(default_factory=list[Path])

    def replace(self, text: str) -> tuple[str, list[Unresolved]]:
        """The text with every variable replaced, and those that could not be."""
        problems: list[Unresolved] = []

        def replacement(found: re.Match[str]) -> str:
            if found.group(1) == "$":
                return "$"
            try:
                if not found.group(3):
                    raise _ProblemError("this variable is not closed", "write ${NAME}, or $$ for a dollar")
                return self._value(found.group(2))
            except _ProblemError as problem:
                problems.append(Unresolved(*found.span(), *problem.args))
                return ""

        return _VARIABLE.sub(replacement, text), problems

    def read(self, path: Path) -> str:
        """The text of a file that a setting names, from now on among `files`; ValueError with a reason."""
        if path not in self.files:
            self.files.append(path)
        return read_text(path, _LARGEST_FILE)

    def _value(self, name: str) -> str:
        if name.startswith("file:"):
            return self._file(self.folder / name.removeprefix("file:"))
        if not _NAME.fullmatch(name):
            raise _ProblemError(
                f'"${{{name}}}" is not a variable',
                "write ${NAME} or ${file:/path}; defaults such as ${NAME:-value} are not supported",
            )
        value = self.environ.get(name)
        if value is None:
            near = nearest(name, [each for each in self.environ if _NAME.fullmatch(each)])
            advice = f"export {name} before starting, or use ${{file:/path}}"
            raise _ProblemError(
                f"environment variable {name} is not set",
                f"did you mean {near}? Otherwise {advice}" if near else advice,
            )
        if not value:
            raise _ProblemError(f"environment variable {name} is empty", f"give {name} a value")
        if not is_text(value):
            raise _ProblemError(f"environment variable {name} is not UTF-8 text", "set it again, encoded in UTF-8")
        return value

    def _file(self, path: Path) -> str:
        if path not in self.files:
            self.files.append(path)
        try:
            text = read_text(path, _LARGEST_VALUE)
        except ValueError as problem:
            raise _ProblemError(
                f"cannot read {path}: {problem}", "mount the file, or make it readable for this user"
            ) from None
        text = re.sub(r"\r?\n\Z", "", text)
        if not text:
            raise _ProblemError(f"{path} is empty", "write the value into it")
        return text


def is_text(value: str) -> bool:
    """Whether a value can be written as UTF-8; Python keeps bytes of the environment that are not as surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_config(path: Path) -> str:
    """The configuration file's text, lines ended by line feeds. Raises ValueError with a reason."""
    return read_text(path, _LARGEST_CONFIG).replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path, largest: int) -> str:
    """A regular file as text; pipes are refused, not waited for. Raises ValueError with a reason."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    except ValueError:
        raise ValueError("the path contains a null character") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    finally:
        os.close(descriptor)
    if len(content) > largest:
        raise ValueError(f"it is larger than {largest >> 10} KiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"it is not UTF-8 text (line {line}, byte {error.start})") from None


class _ProblemError(Exception):
    """A message and advice."""
