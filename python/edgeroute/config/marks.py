"""YAML as a tree in which every key and value knows its place in the file.

Built from PyYAML's event stream (libyaml) and not from its constructors, because the constructors forget
positions, let a second key replace the first, and guess types from spelling: in YAML 1.1 `on` is a boolean
and `1:30` is 90. Here every scalar stays text; the setting it stands for decides what it must be. Anchors,
aliases, merge keys and tags are refused: a configuration says each thing once, where it is read. Only for
files of other gateways (`edgeroute.migrate`) anchors, aliases and merge keys can be allowed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from edgeroute.config.diagnostics import Source, Span

_DEEPEST = 32
_FORBIDDEN = re.compile(r"[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BLANK = " \t\n"
_UNQUOTED_VARIABLE = re.compile(r"[\[{,]\s*([\w-]+:\s*)?\$\{")
_ESCAPE_LENGTH = {"x": 4, "u": 6, "U": 10}


class MarkupError(Exception):
    """The file is not the YAML we read; `span` says where."""

    def __init__(self, span: Span, message: str, advice: str | None = None) -> None:
        super().__init__(message)
        self.span, self.message, self.advice = span, message, advice


@dataclass(frozen=True, slots=True)
class Scalar:
    """A piece of text. `style` is empty when plain, else the character that begins it: ' " | or >."""

    text: str
    style: str
    span: Span


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list of values."""

    items: list["Node"]
    span: Span


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys with their values, in the order of the file; `repeated` are keys given again, with the first."""

    entries: dict[str, tuple[Scalar, "Node"]]
    span: Span
    repeated: list[tuple[Scalar, Scalar, "Node"]] = field(default_factory=list[tuple[Scalar, Scalar, "Node"]])


Node = Scalar | Sequence | Mapping


def compose(source: Source, *, anchors: bool = False) -> Node:
    """The tree of a file's only document. Raises MarkupError at the first thing that is not our YAML.

    With `anchors`, an alias gives the node of its anchor (shared, so walk such a tree with a bound).
    """
    forbidden = _FORBIDDEN.search(source.text)
    if forbidden:
        span = Span(*forbidden.span())
        raise MarkupError(span, f"character U+{ord(forbidden.group()):04X} is not allowed in YAML", "remove it")
    try:
        events = yaml.parse(source.text, Loader=yaml.CSafeLoader)
        return _Composer(source, events, {} if anchors else None).document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(source, error) from error


def locate(source: Source, scalar: Scalar, start: int, end: int) -> Span | None:
    """Where characters `start` to `end` of a scalar's value stand in the file; None if that is unclear."""
    places = _places(source.text, scalar)
    if places is None:
        return None
    if start >= len(places):
        last = places[-1] if places else scalar.span.start
        return Span(last, last + 1)
    return Span(places[start], places[max(start, min(end, len(places)) - 1)] + 1)


class _Composer:
    def __init__(self, source: Source, events: Iterator[yaml.Event], anchors: dict[str, Node] | None) -> None:
        self._source = source
        self._events = events
        self._anchors = anchors

    def document(self) -> Node:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return Mapping({}, Span(0, 0))
        root = self._node(self._next(), 0)
        next(self._events)  # the document's end
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise MarkupError(_span(following), "a second document begins here", "keep one document per file")
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if depth > _DEEPEST:
            advice = "nothing here needs as many; look for brackets that are not closed"
            raise MarkupError(_span(event), f"nested more than {_DEEPEST} levels deep", advice)
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        node = self._written(event, depth)
        if self._anchors is not None and isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _written(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, event.style or "", self._scalar_span(event))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, depth)
        return self._mapping(event, depth)

    def _aliased(self, event: yaml.AliasEvent) -> Node:
        node = (self._anchors or {}).get(event.anchor or "")
        if node is None:
            raise MarkupError(_span(event), f'nothing complete before this is called "&{event.anchor}"')
        return node

    def _sequence(self, start: yaml.Event, depth: int) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Sequence(items, Span(_span(start).start, _span(event).end))

    def _mapping(self, start: yaml.Event, depth: int) -> Mapping:
        entries: dict[str, tuple[Scalar, Node]] = {}
        repeated: list[tuple[Scalar, Scalar, Node]] = []
        merged: list[Node] = []
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar):
                raise MarkupError(key.span, "a key must be text, not a list or a map", "write NAME: VALUE")
            if key.text == "<<" and not key.style:
                if self._anchors is None:
                    raise MarkupError(key.span, "merge keys are not supported", "write the settings out")
                value = self._node(self._next(), depth + 1)
                merged += value.items if isinstance(value, Sequence) else [value]
                continue
            value = self._node(self._next(), depth + 1)
            if key.text in entries:
                repeated.append((key, entries[key.text][0], value))
            else:
                entries[key.text] = (key, value)
        for node in merged:
            if isinstance(node, Mapping):
                entries |= node.entries | entries
        return Mapping(entries, Span(_span(start).start, _span(event).end), repeated)

    def _next(self) -> yaml.Event:
        event = next(self._events)
        if isinstance(event, yaml.AliasEvent) and self._anchors is None:
            raise MarkupError(_span(event), "YAML aliases are not supported", "write the value out, or quote the `*`")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            if event.anchor is not None and self._anchors is None:
                start = _span(event).start
                span = Span(start, start + 1 + len(event.anchor))
                raise MarkupError(span, "YAML anchors are not supported", "write the value out where it is used")
            if event.tag is not None:
                raise MarkupError(_span(event), "YAML tags are not supported", "remove it, or quote the `!`")
        return event

    def _scalar_span(self, event: yaml.ScalarEvent) -> Span:
        """The scalar without the line breaks that libyaml counts to a block scalar's end."""
        span = _span(event)
        return Span(span.start, span.start + len(self._source.text[span.start : span.end].rstrip(_BLANK)))


def _span(event: yaml.Event) -> Span:
    start, end = event.start_mark, event.end_mark
    return Span(start.index if start else 0, end.index if end else 0)


def _places(text: str, scalar: Scalar) -> list[int] | None:
    """The offset in the file of each character of a scalar's value.

    Folding and indentation change only blanks, so the characters that are not blank follow each other in the
    file as they do in the value; blanks are taken to stand right behind their predecessor.
    """
    start, end = scalar.span.start, scalar.span.end
    if scalar.style in ("|", ">"):
        start = text.find("\n", start, end)
    elif scalar.style:
        start, end = start + 1, end - 1
    if start < 0:
        return None
    places: list[int] = []
    place = start
    for character in scalar.text:
        if character in _BLANK:
            places.append(min(places[-1] + 1, end) if places else start)
            continue
        place, width = _next_place(text, place, end, scalar.style)
        escaped = text[place : place + 1] == "\\" and scalar.style == '"'
        if place >= end or not (escaped or text[place] == character):
            return None
        places.append(place)
        place += width
    return places


def _next_place(text: str, place: int, end: int, style: str) -> tuple[int, int]:
    """The next character in the file that is not blank in the value, and how much of the file writes it."""
    while place < end:
        if style == '"' and text[place] == "\\":
            kind = text[place + 1]
            if kind not in " \tnt\n":
                return place, _ESCAPE_LENGTH.get(kind, 2)
            place += 2
        elif text[place] in _BLANK:
            place += 1
        else:
            return place, 2 if style == "'" and text[place] == "'" else 1
    return place, 1


def _syntax_error(source: Source, error: yaml.MarkedYAMLError) -> MarkupError:
    mark = error.problem_mark or error.context_mark
    offset = mark.index if mark else 0
    line_start = source.text.rfind("\n", 0, offset) + 1
    line = source.text[line_start:].split("\n", 1)[0]
    at_end = not source.text[offset:].strip() and error.context_mark is not None
    if at_end and error.context_mark is not None:
        offset = error.context_mark.index
    span = Span(offset, offset + 1)
    character = source.text[offset : offset + 1]
    if _UNQUOTED_VARIABLE.search(line):
        message = "a variable inside brackets or braces has no quotes around it"
        return MarkupError(span, message, 'put it in quotes: "${NAME}"')
    if character == "\t" or line.startswith("\t"):
        return MarkupError(span, "a tab stands where YAML allows none", "indent with spaces")
    message = f"this is not valid YAML: {error.problem}"
    if error.context:
        message += f" {error.context}"
    return MarkupError(span, message, _syntax_help(line, character, error))


def _syntax_help(line: str, character: str, error: yaml.MarkedYAMLError) -> str:
    context = error.context or ""
    if character in ("@", "`", "%", "*", "&", "!") or "alias" in context:
        return f"put text that begins with {character if character in '@`%*&!' else '*'} in quotes"
    if "quoted scalar" in context:
        return "close the quotes; inside double quotes a backslash begins an escape"
    if re.search(r"\bwhen:\s*\S", line):
        return 'put the whole condition in single quotes: when: \'headers["x-tier"] == "premium"\''
    if error.problem and error.problem.startswith("mapping values"):
        return 'put text that contains ": " in quotes'
    if "flow" in context and error.context_mark is not None:
        opened = error.context_mark.line + 1
        return f"close the bracket or brace that opens on line {opened}, and separate entries with commas"
    return "check the indentation of this line and the one before"
