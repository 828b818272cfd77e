"""The file while it is checked: its marked tree and the findings so far."""

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from edgeroute.config.diagnostics import Diagnostic, Severity, Source, Span, nearest
from edgeroute.config.marks import Mapping, Node, Scalar, Sequence
from edgeroute.config.vocabulary import foreign_variable

Path = tuple[str | int, ...]

_MOST_COMPARISONS = 50_000  # NOTE: about 20 µs each, so a second at most
_SECRET_NAME = re.compile(r"(?i)(^|_|-)(api_?key|key|secret|password|token|hash|credential|authorization)s?$")
_SECRET_MAPS = {"headers"}
_OFTEN_MISSPELT = ("api_key", "admin_key", "bearer", "credential", "password", "authorization")
_NO_SECRETS = {"first_token", "virtual_keys"}
_NAMED_BY_PEOPLE = {"providers", "models", "teams", "virtual_keys"}
_HAVE_SECRETS = {"providers", "virtual_keys"}
_HARMLESS = re.compile(r"\$\{[^{}]*\}|sha256:[0-9a-fA-F]{64}|[\w./-]+\.(?:pem|key|crt|cer)")
"""One variable, a well-formed hash, the path of a key's file."""


class Document:
    """The file while it is checked: its tree, and the findings so far.

    `origins` names what set a top-level setting instead of the file: an environment variable, an option.
    """

    def __init__(self, source: Source, root: Node) -> None:
        self.source = source
        self.root = root
        self.origins: dict[str, str] = {}
        self.diagnostics: list[Diagnostic] = []
        self.replaced: set[Path] = set()
        self._comparisons = 0
        self._texts: dict[Path, str] = {}

    def remember(self, path: Path, text: str, *, replaced: bool) -> None:
        """Keeps the text of a value for checks that come after reading; `replaced` if by variables."""
        self._texts[path] = text
        if replaced:
            self.replaced.add(path)

    def text(self, path: Path) -> str | None:
        """The text of a value with its variables replaced; None if there is none, or it could not be read."""
        return self._texts.get(path)

    def report(
        self,
        severity: Severity,
        span: Span,
        message: str,
        advice: str | None = None,
        *,
        code: str | None = None,
        labels: Iterable[tuple[Span, str]] = (),
    ) -> None:
        """Adds a finding at a span."""
        self.diagnostics.append(self.source.diagnose(severity, span, message, advice, code=code, labels=labels))

    def error(self, path: Path, message: str, advice: str | None = None, *, at_key: bool = False) -> None:
        """Adds an error at the value at a path, or at its key."""
        self.report("error", self.span(path, at_key=at_key), message, advice)

    def warn(self, path: Path, message: str, advice: str | None = None, *, at_key: bool = False) -> None:
        """Adds a warning at the value at a path, or at its key."""
        self.report("warning", self.span(path, at_key=at_key), message, advice)

    def span(self, path: Path, *, at_key: bool = False) -> Span:
        """Where a value (or its key) stands; for what is not in the file, the nearest thing above it."""
        node, span = self.root, Span(0, 1)
        for step in path:
            if isinstance(node, Mapping) and step in node.entries:
                key, node = node.entries[str(step)]
                span = key.span if at_key else node.span
            elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
                span = node.span
            else:
                break
        return span

    def find(self, path: Path) -> Node | None:
        """The node at a path, if the file has it."""
        node: Node = self.root
        for step in path:
            if isinstance(node, Mapping) and step in node.entries:
                node = node.entries[str(step)][1]
            elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
            else:
                return None
        return node

    def nearest(self, word: str, candidates: Collection[str]) -> str | None:
        """The candidate most likely meant. In a big file full of mistakes, only the first ones are searched."""
        self._comparisons += len(candidates)
        return nearest(word, candidates) if self._comparisons <= _MOST_COMPARISONS else None

    def items(self, path: Path) -> list[Node]:
        """The entries of a list in the file; none where there is no list."""
        node = self.find(path)
        return node.items if isinstance(node, Sequence) else []

    def texts(self, path: Path) -> list[tuple[int, str]]:
        """The texts of a list in the file, with their places in it."""
        texts = ((index, self.text((*path, index))) for index in range(len(self.items(path))))
        return [(index, text) for index, text in texts if text is not None]

    def is_empty(self, path: Path) -> bool:
        """Whether the file has a list or map at a path with nothing in it."""
        node = self.find(path)
        return (isinstance(node, Sequence) and not node.items) or (isinstance(node, Mapping) and not node.entries)

    @property
    def has_errors(self) -> bool:
        """Whether an error was found so far."""
        return any(each.severity == "error" for each in self.diagnostics)

    def names(self, *path: str | int) -> list[str]:
        """The keys of a map in the file, also those whose values could not be read."""
        node = self.find(path)
        return list(node.entries) if isinstance(node, Mapping) else []

    def shown(self, path: Path, text: str) -> str:
        """A text as messages may show it: the variable instead of what came from it, which may be secret."""
        node = self.find(path)
        return node.text if path in self.replaced and isinstance(node, Scalar) else text


@lru_cache(maxsize=1024)
def names_a_secret(name: str) -> bool:
    """Whether a setting or header of this name holds a credential, also where it is misspelt."""
    if not name or name in _NO_SECRETS:
        return False
    return _SECRET_NAME.search(name) is not None or nearest(name, _OFTEN_MISSPELT) is not None


def _holds_a_key(node: Node) -> bool:
    return not isinstance(node, Scalar) or node.text.startswith("sk-")


def secret_spans(node: Node, name: str = "") -> Iterator[Span]:
    """Values that must not be shown: what stands under a setting whose name means a credential.

    A value that is one variable, a well-formed hash or the path of a key's file is none and stays readable.
    """
    secret = names_a_secret(name) or name in _SECRET_MAPS
    if isinstance(node, Mapping):
        for key, value in (*node.entries.values(), *((key, value) for key, _, value in node.repeated)):
            if key.text == "remove" or (key.text == "virtual_key" and not _holds_a_key(value)):
                continue  # names of headers and of virtual keys
            if name == "strategy" and key.text == "key":
                continue  # what is hashed
            named = "" if name in _NAMED_BY_PEOPLE else key.text
            if name in _HAVE_SECRETS and isinstance(value, Scalar):
                named = "credential"  # in the place of a whole provider or virtual key
            yield from secret_spans(value, name if secret else named)
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from secret_spans(item, name)
    elif secret and not _HARMLESS.fullmatch(node.text) and foreign_variable(node.text) is None:
        yield node.span
