"""Another gateway's file as settings that know their place and remember whether they were read.

What an importer does not read is reported at the end, so nothing of the file is passed over in silence.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path

from edgeroute.config.diagnostics import ConfigError, Diagnostic, Source, Span
from edgeroute.config.marks import Mapping, MarkupError, Node, Scalar, Sequence, compose
from edgeroute.config.variables import read_config
from edgeroute.config.vocabulary import foreign_variable
from edgeroute.migrate.report import Place, Reason, Report, reason_for

_NULLS = ("", "~", "null", "Null", "NULL")
_TRUE = ("true", "yes", "on", "1")
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_NOT_KNOWN = Reason("left out", "this setting is not known to the importer", "look for it in docs/migrate.md")


def read_source(path: Path) -> Source:
    """A file's text. Raises ConfigError when it cannot be read."""
    try:
        text = read_config(path)
    except ValueError as problem:
        raise ConfigError([Diagnostic.about(str(path), "error", f"cannot read it: {problem}")]) from None
    return Source(str(path), _SURROGATES.sub(_joined, text))


def read_settings(source: Source, report: Report) -> "Settings":
    """A YAML or JSON file (JSON is YAML) whose top is a map. Raises ConfigError with the place if it is not."""
    root = read_tree(source)
    if not isinstance(root, Mapping):
        raise ConfigError([source.diagnose("error", Span(0, 1), "a map of settings is expected")])
    if not root.entries:
        raise ConfigError([source.diagnose("error", Span(0, 1), "there are no settings in this file")])
    return Settings(root, Place("", root.span, source), report)


def read_tree(source: Source) -> Node:
    """A YAML or JSON file as a tree. Raises ConfigError with the place if it is neither."""
    source.hide_likely_secrets()
    try:
        return compose(source, anchors=True)
    except MarkupError as problem:
        raise ConfigError([source.diagnose("error", problem.span, problem.message, problem.advice)]) from None


class Settings:
    """A map of the file. Reading a value marks it as read; one of the wrong kind is reported and not there."""

    def __init__(self, node: Mapping, place: Place, report: Report) -> None:
        self._node = node
        self._report = report
        self._read: set[str] = set()
        self.place = place
        for key, _, _ in node.repeated:
            report.changed(self._place(key.text, key.span), "given twice; the first one was taken", "remove one")

    def __contains__(self, name: str) -> bool:
        return self._value(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._node.entries)

    def at(self, name: str) -> Place:
        """Where a setting stands; the map itself if it has none of this name."""
        found = self._node.entries.get(name)
        return self.place if found is None else self._place(name, found[0].span)

    def text(self, name: str) -> str | None:
        """A single value; None if it is missing or null."""
        node = self._take(name)
        return self._scalar(node, self.at(name)) if node is not None else None

    def number(self, name: str) -> float | None:
        """A number that is not negative, also `80_000` and one in quotes."""
        text = self.text(name)
        if text is None:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if 0 <= number < 1e15:
            return number
        self._report.left_out(self.at(name), "a number from 0 to 10^15 is expected here, written out")
        return None

    def flag(self, name: str, *, otherwise: bool = False) -> bool:
        """Whether a setting is true."""
        text = self.text(name)
        return otherwise if text is None else text.lower() in _TRUE

    def texts(self, name: str) -> list[tuple[str, Place]]:
        """A list of single values (one alone counts as a list), each with its place."""
        found: list[tuple[str, Place]] = []
        for node, place in self._items(name):
            text = self._scalar(node, place)
            if text is not None:
                found.append((text, place))
        return found

    def map(self, name: str) -> "Settings":
        """A map of settings, empty if there is none."""
        node = self._take(name)
        if node is not None and not isinstance(node, Mapping):
            self._report.left_out(self.at(name), "a map is expected here")
            node = None
        return Settings(node or Mapping({}, self.at(name).span), self.at(name), self._report)

    def maps(self, name: str) -> list["Settings"]:
        """A list of maps; what else is in the list is reported."""
        found: list[Settings] = []
        for node, place in self._items(name):
            if isinstance(node, Mapping):
                found.append(Settings(node, place, self._report))
            else:
                self._report.left_out(place, "a map is expected here")
        return found

    def is_map(self, name: str) -> bool:
        """Whether a setting is a map."""
        return isinstance(self._value(name), Mapping)

    def is_list(self, name: str) -> bool:
        """Whether a setting is a list, also an empty one."""
        return isinstance(self._value(name), Sequence)

    def holds_maps(self, name: str) -> bool:
        """Whether a setting is a list with a map in it."""
        node = self._value(name)
        return isinstance(node, Sequence) and any(isinstance(each, Mapping) for each in node.items)

    def ignore(self, *names: str) -> None:
        """Marks settings as read that neither have nor need a counterpart."""
        self._read.update(names)

    def report_unread(self, table: dict[str, Reason], otherwise: Reason = _NOT_KNOWN) -> None:
        """Reports what was not read, with the reasons of a table."""
        for name in self._node.entries:
            if name not in self._read and self._value(name) is not None:
                self._report.add(self.at(name), reason_for(name, table, otherwise))

    def _place(self, name: str, span: Span) -> Place:
        return Place(f"{self.place.setting}.{name}".lstrip("."), span, self.place.source)

    def _value(self, name: str) -> Node | None:
        found = self._node.entries.get(name)
        return None if found is None or _is_null(found[1]) else found[1]

    def _take(self, name: str) -> Node | None:
        self._read.add(name)
        return self._value(name)

    def _items(self, name: str) -> Iterator[tuple[Node, Place]]:
        node = self._take(name)
        if node is None:
            return
        for index, item in enumerate(node.items if isinstance(node, Sequence) else [node]):
            yield item, Place(f"{self.at(name).setting}[{index}]", item.span, self.place.source)

    def _scalar(self, node: Node, place: Place) -> str | None:
        if isinstance(node, Scalar):
            return None if _is_null(node) else node.text
        variable = _variable_object(node)
        if variable is None:
            self._report.left_out(place, "a single value is expected here")
        return variable


def carried(text: str) -> str:
    """A text as our configuration writes it: variables in our way, a dollar that is one doubled."""
    variable = foreign_variable(text)
    return f"${{{variable}}}" if variable else text.replace("$", "$$")


def variables(source: Source) -> set[str]:
    """The names of environment variables that a file reads."""
    return set(re.findall(r"(?:os\.environ/|\benv\.)([A-Za-z_][A-Za-z0-9_]*)", source.text))


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.style and node.text in _NULLS


def _variable_object(node: Node) -> str | None:
    """Bifrost's other way to write a value: {"value": …, "env_var": "env.NAME", "from_env": true}."""
    entries = node.entries if isinstance(node, Mapping) else {}
    for name in ("env_var", "value"):
        found = entries.get(name, (None, None))[1]
        if isinstance(found, Scalar) and found.text:
            return found.text
    return None


def _joined(found: re.Match[str]) -> str:
    """JSON writes characters beyond the basic plane as two escapes, YAML as one."""
    high, low = int(found.group(1), 16), int(found.group(2), 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"
