"""What is wrong with a file, where, and what to do: positions, snippets with carets, suggestions."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Self

from edgeroute.errors import EdgerouteError

Severity = Literal["error", "warning"]

_SNIPPET_WIDTH = 120
_LONGEST_SENTENCE = 500
_LONGEST_NAME = 64
_LISTED = 20
_NAMED = r"(?:key|secret|password|token|hash|credential|authorization|header|value)s?[\"']?[ \t]*:"
_LIKELY_SECRET = re.compile(rf"(?im){_NAMED}(?:[ \t]+(?![|>]|[\"']?\$\{{)(\S.*)$|[ \t]*\n((?:[ \t]*-[ \t].*\n?)+))")
_CREDENTIAL = re.compile(
    r"""(?<=://)(?!user:password@)[^\s"']+(?=@)"""  # before the host of a URL
    r"""|(?<=[?&])[^\s"'{}]*=[^\s"'{}]*"""  # in its query
    r"""|\b(?:sk|gsk|pk|rk|xai|pplx|nvapi|hf|r8)[-_][\w-]{8,}"""  # as providers and gateways write their keys
    r"""|\bAIza[\w-]{20,}|\beyJ[\w-]{10,}\.[\w.-]+"""
    r"""|(?<=PRIVATE KEY-----)[^"'].*""",  # in PEM
)
"""What is a credential wherever it stands."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the file's text, in characters from its start; `end` is exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `line` and `column` count from 1 (line 0: the whole of it); `snippet` is the line.

    `path` is the file, or what else was read: an environment variable, an option of the command line.
    """

    severity: Severity
    message: str
    path: str
    line: int
    column: int
    snippet: str
    width: int
    advice: str | None = None

    @classmethod
    def about(cls, path: str, severity: Severity, message: str, advice: str | None = None) -> Self:
        """A finding about something as a whole."""
        return cls(severity, message, path, 0, 0, "", 0, advice)

    def __str__(self) -> str:
        if self.line == 0:
            advice = f"\n  = help: {self.advice}" if self.advice is not None else ""
            return f"{self.path}: {self.severity}: {self.message}{advice}"
        margin = " " * len(str(self.line))
        before, marked = self.snippet[: self.column - 1], self.snippet[self.column - 1 :][: self.width]
        start = self.column - 1
        cut = max(0, start - _SNIPPET_WIDTH // 2)
        shown = self.snippet[cut : cut + _SNIPPET_WIDTH]
        lead = "…" if cut else ""
        tail = "…" if cut + _SNIPPET_WIDTH < len(self.snippet) else ""
        carets = "^" * max(1, min(_columns(marked), _SNIPPET_WIDTH - _columns(before[cut:])))
        lines = [
            f"{self.path}:{self.line}:{self.column}: {self.severity}: {self.message}",
            f"{margin} |",
            f"{self.line} | {lead}{shown}{tail}",
            f"{margin} | {' ' * (len(lead) + _columns(before[cut:]))}{carets}",
        ]
        if self.advice is not None:
            lines.append(f"{margin} = help: {self.advice}")
        return "\n".join(line.rstrip() for line in lines)


class ConfigError(EdgerouteError):
    """A configuration that cannot be used. `str()` is the full text for people: every error, then warnings.

    `watched` names the files that were read before giving up, so that a mended one can be noticed.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic], watched: Iterable[Path] = ()) -> None:
        self.diagnostics = tuple(diagnostics)
        self.watched = tuple(watched)
        super().__init__(render(self.diagnostics))


class Source:
    """The text of the file, or of several one after the other, and what of it may be shown."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._visible = text
        self._line_starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._files = [(0, path)]
        """Lines before each file, and its path."""

    def append(self, path: str, text: str) -> int:
        """Adds another file; its text begins at the offset that is returned. Nothing is hidden any longer."""
        start = len(self.text) + 1
        self._files.append((len(self._line_starts), path))
        self.text = self._visible = f"{self.text}\n{text}"
        self._line_starts += [start, *(start + found.end() for found in re.finditer("\n", text))]
        return start

    def hide(self, spans: Iterable[Span]) -> None:
        """Blot out these spans, and no others, in snippets; their width stays, so that carets stay true."""
        pieces: list[str] = []
        shown = 0
        for span in sorted(spans, key=lambda each: each.start):
            start, end = max(shown, span.start), max(shown, span.end)
            pieces += [self.text[shown:start], re.sub(r"\S", "*", self.text[start:end])]
            shown = end
        self._visible = "".join([*pieces, self.text[shown:]])

    def hide_likely_secrets(self) -> None:
        """Blot out what follows names of credentials, line by line; for files that may not even be YAML."""
        found = _LIKELY_SECRET.finditer(self.text)
        self.hide(Span(*each.span(each.lastindex or 0)) for each in found)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column in its file, both from 1, of a character offset."""
        line = bisect_right(self._line_starts, offset)
        return line - self._file(line)[0], offset - self._line_starts[line - 1] + 1

    def place(self, offset: int, seen_from: int) -> str:
        """A character offset in words for somebody who reads another: `line 3`, or `line 3 of rules.yaml`."""
        here, there = (self._file(bisect_right(self._line_starts, each)) for each in (offset, seen_from))
        line, _ = self.position(offset)
        return f"line {line}" if here == there else f"line {line} of {here[1]}"

    def diagnose(self, severity: Severity, span: Span, message: str, advice: str | None = None) -> Diagnostic:
        """A diagnostic for a span; a span over several lines is underlined to the end of its first."""
        offset = min(span.start, len(self.text))
        line, column = self.position(offset)
        start = offset - column + 1
        snippet = self._visible[start : self.text.find("\n", start) % (len(self.text) + 1)]
        width = span.end - span.start
        return Diagnostic(
            severity,
            _printable(_redacted(message)[:_LONGEST_SENTENCE]),
            self._file(bisect_right(self._line_starts, offset))[1],
            line,
            column,
            _printable(_redacted(snippet)),
            width,
            None if advice is None else _printable(_redacted(advice)[:_LONGEST_SENTENCE]),
        )

    def _file(self, line: int) -> tuple[int, str]:
        """The file of a line of the whole text: how many lines are before it, and its path."""
        return self._files[bisect_right(self._files, line - 1, key=lambda file: file[0]) - 1]


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """All diagnostics as text, errors first, file by file, closed by a line that counts them."""
    found = list(diagnostics)
    files = {path: place for place, path in enumerate(dict.fromkeys(each.path for each in found if each.line), 1)}
    found.sort(key=lambda each: (each.severity, files.get(each.path, 0) if each.line else 0, each.line, each.column))
    errors = sum(each.severity == "error" for each in found)
    counts = [_count(errors, "error"), _count(len(found) - errors, "warning")]
    summary = "found " + " and ".join(filter(None, counts)) if found else "found nothing wrong"
    return "\n\n".join([*map(str, found), summary])


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a person most likely meant, or None when nothing is near."""
    if len(word) > _LONGEST_NAME:
        return None
    most = max(1, len(word) // 3)
    similar = (each for each in candidates if abs(len(each) - len(word)) <= most)
    distance, found = min(((_distance(word.lower(), each.lower()), each) for each in similar), default=(0, None))
    return found if distance <= most else None


def suggest(near: str | None, candidates: Collection[str], otherwise: str) -> str:
    """A help line: the nearest candidate if there is one, else `otherwise` and some of the candidates."""
    if near is not None:
        return f'did you mean "{near}"?'
    if not candidates:
        return otherwise
    return f"{otherwise}: {', '.join(islice(candidates, _LISTED))}{', …' if len(candidates) > _LISTED else ''}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}" if number else ""


def _redacted(text: str) -> str:
    return _CREDENTIAL.sub(lambda found: "*" * len(found.group()), text)


def _printable(text: str) -> str:
    """Text that cannot command a terminal: blanks as spaces, other control characters replaced."""
    shown = (each if each.isprintable() else " " if each.isspace() else "\ufffd" for each in text)
    return "".join(shown)


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def _distance(left: str, right: str) -> int:
    """Edit distance counting a swap of neighbours as one edit (optimal string alignment)."""
    older: list[int] = []
    previous = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            best = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (letter != other))
            swapped = row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other
            current.append(min(best, older[column - 2] + 1) if swapped else best)
        older, previous = previous, current
    return previous[-1]
