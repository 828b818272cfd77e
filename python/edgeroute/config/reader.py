"""From the marked tree to the structs of the schema, collecting every error with its place.

A part that is wrong is left out and the rest is read on, so that one run reports all mistakes.
"""

import re
from typing import Any, Final, TypeVar, cast

from msgspec import inspect

from edgeroute.config import schema
from edgeroute.config.certificates import PemFile
from edgeroute.config.diagnostics import Diagnostic, Source, Span, nearest, suggest
from edgeroute.config.document import Document, Path
from edgeroute.config.marks import Mapping, Node, Scalar, Sequence, locate
from edgeroute.config.overrides import Override
from edgeroute.config.schema import Config, Section, VirtualKey
from edgeroute.config.values import (
    Condition,
    FilePath,
    Json,
    Malformed,
    Value,
    format_quantity,
    parse_decimal,
    parse_quantity,
)
from edgeroute.config.variables import Variables
from edgeroute.config.vocabulary import (
    CREDENTIALS,
    FOREIGN,
    FOREIGN_IN,
    HASH,
    LATER,
    foreign_variable,
    foreign_word,
)

_Choice = tuple[inspect.Type, dict[str, Any]]
"""A type without its metadata, and what the schema adds to it."""

AnySection = TypeVar("AnySection", bound=Section)

_NULLS = ("", "~", "null", "Null", "NULL")


class _Invalid:
    """What reading a wrong value gives; the error is already reported."""


_INVALID: Final = _Invalid()


def read(document: Document, variables: Variables) -> Config:
    """The configuration as far as it can be read; errors are in `document`."""
    root = document.root
    if isinstance(root, Mapping) and root.entries:
        return cast(Config, _Reader(document, variables).value(root, inspect.type_info(Config), ()))
    document.error(
        (),
        "the configuration is empty" if isinstance(root, Mapping) else "the configuration must be a map",
        "start from config/quickstart.yaml",
    )
    return Config()


def read_section(document: Document, variables: Variables, kind: type[AnySection]) -> AnySection | None:
    """Another file's root as a section, or None; errors are in `document`."""
    value = _Reader(document, variables).value(document.root, inspect.type_info(kind), ())
    return None if value is _INVALID else cast(AnySection, value)


def read_override(override: Override, variables: Variables) -> tuple[Any, list[Diagnostic]]:
    """The value that a text from outside the file gives a setting, or what is wrong with it."""
    whole = Span(0, len(override.text))
    value = Scalar(override.text, '"', whole)
    root = Mapping({override.setting: (Scalar(override.setting, "", whole), value)}, whole)
    document = Document(Source(override.origin, override.text), root)
    fields = cast(inspect.StructType, inspect.type_info(Config)).fields
    [kind] = [each.type for each in fields if each.name == override.setting]
    return _Reader(document, variables).value(value, kind, (override.setting,)), document.diagnostics


class _Reader:
    def __init__(self, document: Document, variables: Variables) -> None:
        self._document = document
        self._variables = variables

    def value(self, node: Node, kind: inspect.Type, path: Path) -> Any:
        """The value of a node as a type wants it, or `_INVALID`."""
        kind, extra = _unwrap(kind)
        choices = _choices(kind, extra)
        if isinstance(node, Scalar) and not node.style and node.text in _NULLS:
            advice = "give it a value, or remove the line"
            self._document.error(path, f"{_setting(path)} has no value", advice, at_key=True)
            return _INVALID
        if isinstance(node, Scalar):
            # A word beside numbers, as `auto`, comes before what is said of those.
            choices.sort(key=lambda each: not self._is_word(node, each[0]))
        for choice, extra in choices:
            if isinstance(choice, inspect.CustomType) and choice.cls is Json:
                return self._json(node, path)
            if isinstance(node, Mapping) and isinstance(choice, inspect.StructType):
                return self._struct(node, choice, path)
            if isinstance(node, Mapping) and isinstance(choice, inspect.DictType):
                return self._dict(node, choice, path)
            if isinstance(node, Sequence) and isinstance(choice, inspect.ListType):
                return self._list(node, choice, path)
            if isinstance(node, Scalar) and isinstance(choice, inspect.StructType) and (short := _shorthand(choice)):
                read = self.value(node, short.type, path)
                return _INVALID if read is _INVALID else choice.cls(**{short.name: read})
            if isinstance(node, Scalar) and not _is_container(choice):
                return self._scalar(node, choice, extra, path)
        return self._mismatch(node, choices, path)

    def _struct(self, node: Mapping, kind: inspect.StructType, path: Path) -> Any:
        self._repeated(node)
        fields = {each.encode_name: each for each in kind.fields}
        values: dict[str, Any] = {}
        for name, (key, value) in node.entries.items():
            if name not in fields:
                self._unknown(key, kind)
                continue
            read = self.value(value, fields[name].type, (*path, name))
            if read is not _INVALID:
                values[fields[name].name] = read
        missing = [name for name, each in fields.items() if each.required and name not in node.entries]
        for name in missing:
            noun = _section(kind).noun
            self._document.error(
                path, f'{noun} needs "{name}"', f"add {name}: {_expected(fields[name].type)}", at_key=True
            )
        if any(each.required and each.name not in values for each in kind.fields):
            return _INVALID
        return kind.cls(**values)

    def _json(self, node: Node, path: Path) -> Any:
        """A value of a request's body, with lists and maps as deep as YAML may be."""
        kind = inspect.type_info(Json)
        match node:
            case Mapping():
                self._repeated(node)
                values = {key: self.value(value, kind, (*path, key)) for key, (_, value) in node.entries.items()}
                read, members = [*values.values()], [f"{Json.quote(key)}:{value}" for key, value in values.items()]
                made = f"{{{','.join(members)}}}"
            case Sequence():
                read = [self.value(item, kind, (*path, index)) for index, item in enumerate(node.items)]
                made = f"[{','.join(map(str, read))}]"
            case Scalar():
                return self._scalar(node, kind, {}, path)
        return _INVALID if _INVALID in read else Json(made)

    def _dict(self, node: Mapping, kind: inspect.DictType, path: Path) -> dict[str, Any]:
        self._repeated(node)
        values: dict[str, Any] = {}
        for name, (key, value) in node.entries.items():
            named = self._name(key, kind.key_type)
            read = self.value(value, kind.value_type, (*path, name))
            if named and read is not _INVALID:
                values[name] = read
        return values

    def _list(self, node: Sequence, kind: inspect.ListType, path: Path) -> list[Any]:
        items = [self.value(item, kind.item_type, (*path, index)) for index, item in enumerate(node.items)]
        return [item for item in items if item is not _INVALID]

    def _name(self, key: Scalar, kind: inspect.Type) -> bool:
        if "${" in key.text:
            advice = "write the name itself"
            self._document.report("error", key.span, "variables are not replaced in names", advice)
            return False
        kind, extra = _unwrap(kind)
        pattern = kind.pattern if isinstance(kind, inspect.StrType) else None
        if pattern is None or re.fullmatch(pattern, key.text):
            return True
        self._document.report(
            "error", key.span, f'"{_shorten(key.text)}" cannot be a name here', f"a name is {extra['form']}"
        )
        return False

    def _scalar(self, node: Scalar, kind: inspect.Type, extra: dict[str, Any], path: Path) -> Any:
        if isinstance(kind, inspect.CustomType) and kind.cls is Condition:
            return self._condition(node, path)
        text, problems = self._variables.replace(node.text)
        for problem in problems:
            span = locate(self._document.source, node, problem.start, problem.end) or node.span
            self._document.report("error", span, problem.message, problem.advice)
        if problems:
            return _INVALID
        foreign = foreign_variable(node.text)
        if foreign is not None:
            self._document.error(
                path, f'"{node.text}" is another gateway\'s way to name a variable', f'write "${{{foreign}}}"'
            )
            return _INVALID
        if text.strip():
            self._document.remember(path, text, replaced="$" in node.text)
        return self._text(node, text, kind, extra, path)

    def _is_word(self, node: Scalar, kind: inspect.Type) -> bool:
        """Whether a text is one of the words that a type has."""
        return isinstance(kind, inspect.LiteralType) and self._variables.replace(node.text)[0] in kind.values

    def _text(self, node: Scalar, text: str, kind: inspect.Type, extra: dict[str, Any], path: Path) -> Any:
        match kind:
            case inspect.IntType(ge=least, le=most):
                return self._quantity(node, text, extra, least, most, path)
            case inspect.FloatType(ge=least, le=most):
                return self._decimal(node, text, extra, least, most, path)
            case inspect.LiteralType(values=values):
                if text in values:
                    return text
                near = nearest(text, map(str, values)) if text == node.text else None
                advice = foreign_word(text, values) or (f'did you mean "{near}"?' if near else None)
                return self._refuse(path, f"{_setting(path)} must be {_expected(kind)}{_not(node, text)}", advice)
            case inspect.BoolType():
                if text in ("true", "false"):
                    return text == "true"
                return self._refuse(path, f"{_setting(path)} must be true or false{_not(node, text)}", None)
            case inspect.CustomType(cls=cls) if cls is Json and node.style:
                return Json.quote(text)
            case inspect.CustomType(cls=cls):
                try:
                    value = cast(type[Value], cls).parse(text)
                    if isinstance(value, FilePath):
                        return FilePath(self._variables.folder / value)
                    return self._file(node, value, path) if isinstance(value, PemFile) else value
                except Malformed as problem:
                    return self._refuse(path, problem.message, problem.advice)
            case inspect.StrType(pattern=pattern, min_length=_, max_length=longest):
                if not text.strip():
                    return self._refuse(path, f"{_setting(path)} is empty", "give it a value, or remove the line")
                if longest is not None and len(text) > longest:
                    return self._refuse(path, f"{_setting(path)} is longer than {longest} characters", None)
                if pattern is not None and not re.fullmatch(pattern, text):
                    problem = f'cannot be "{_shorten(text)}"' if text == node.text else "is malformed"
                    return self._refuse(path, f"{_setting(path)} {problem}", f"write {extra['form']}")
                return text
            case _:
                raise AssertionError(f"the schema has a type that cannot be read: {kind}")

    def _file(self, node: Scalar, file: PemFile, path: Path) -> Any:
        place = self._variables.folder / file
        try:
            content = self._variables.read(place)
        except ValueError as problem:
            shown = place if file == node.text else node.text
            advice = "put the file there, or make it readable for this user"
            return self._refuse(path, f"cannot read {shown}: {problem}", advice)
        return file.read(place, content)

    def _quantity(
        self, node: Scalar, text: str, extra: dict[str, Any], least: int | None, most: int | None, path: Path
    ) -> Any:
        unit = extra.get("unit")
        try:
            number = parse_quantity(text, unit)
        except ValueError as problem:
            return self._refuse(path, f"{_setting(path)} must be {problem}{_not(node, text)}", _digits(node.text, unit))
        if (least is not None and number < least) or (most is not None and number > most):
            bounds = f"from {format_quantity(least or 0, unit)} to {format_quantity(most or 0, unit)}"
            return self._refuse(path, f"{_setting(path)} must be {bounds}{_not(node, text)}", extra.get("cure"))
        return number

    def _decimal(
        self, node: Scalar, text: str, extra: dict[str, Any], least: float | None, most: float | None, path: Path
    ) -> Any:
        try:
            number = parse_decimal(text, extra.get("decimals", 9))
        except ValueError as problem:
            return self._refuse(path, f"{_setting(path)} must be {problem}{_not(node, text)}", extra.get("cure"))
        if (least is not None and number < least) or (most is not None and number > most):
            bounds = f"from {least or 0:g} to {most or 0:.7g}"
            return self._refuse(path, f"{_setting(path)} must be {bounds}{_not(node, text)}", extra.get("cure"))
        return number

    def _condition(self, node: Scalar, path: Path) -> Any:
        if not node.text.strip():
            return self._refuse(path, "the condition is empty", 'write when: "true" for a rule that always matches')
        at = node.text.find("${")
        if at >= 0:
            span = locate(self._document.source, node, at, at + 2) or node.span
            advice = "write the value itself; a condition is code"
            self._document.report("error", span, "variables are not replaced in a condition", advice)
            return _INVALID
        self._document.remember(path, node.text, replaced=False)
        return Condition.parse(node.text)

    def _unknown(self, key: Scalar, kind: inspect.StructType) -> None:
        name = key.text
        known = [each.encode_name for each in kind.fields]
        noun = _section(kind).noun
        here = FOREIGN_IN.get(_section(kind).__name__, {})
        if _section(kind) not in _sections():  # of another file than the configuration
            near = nearest(name, known)
            message, advice = (
                f'unknown setting "{_shorten(name)}" in {noun}',
                suggest(near, known, "what can be set here"),
            )
        elif name in here:
            message, advice = f'unknown setting "{name}" in {noun}', here[name]
        elif name in LATER:
            message, advice = f'"{name}" is not enforced by this version', LATER[name]
        elif name in CREDENTIALS and _section(kind) is VirtualKey:
            message, advice = f'unknown setting "{name}" in {noun}', HASH
        elif name in FOREIGN:
            message, advice = f'unknown setting "{name}" in {noun}', FOREIGN[name]
        else:
            message = f'unknown setting "{_shorten(name)}" in {noun}'
            near = nearest(name, known)
            advice = _elsewhere(name) if near is None else None
            advice = advice or suggest(near, known, "what can be set here")
        self._document.report("error", key.span, message, advice)

    def _repeated(self, node: Mapping) -> None:
        for key, first, _ in node.repeated:
            place = self._document.source.place(first.span.start, key.span.start)
            message = f'"{_shorten(key.text)}" is given twice; the first is on {place}'
            self._document.report("error", key.span, message, "remove one of them")

    def _mismatch(self, node: Node, choices: list[_Choice], path: Path) -> _Invalid:
        found = {Scalar: "a single value", Sequence: "a list", Mapping: "a map"}[type(node)]
        wanted = " or ".join(_expected_choice(*each) for each in choices)
        advice = None
        if isinstance(node, Scalar) and any(isinstance(each, inspect.ListType) for each, _ in choices):
            advice = "put it in brackets, as a list of one: [VALUE]"
        elif isinstance(node, Sequence) and not any(map(_is_container, (each for each, _ in choices))):
            advice = "write one value, without brackets and hyphens"
        elif isinstance(node, Mapping) and any(isinstance(each, inspect.ListType) for each, _ in choices):
            advice = "begin each entry with a hyphen, or put brackets around all: [ONE, OTHER]"
        return self._refuse(path, f"{_setting(path)} must be {wanted}, not {found}", advice)

    def _refuse(self, path: Path, message: str, advice: str | None) -> _Invalid:
        self._document.error(path, message, advice)
        return _INVALID


def _unwrap(kind: inspect.Type) -> _Choice:
    if isinstance(kind, inspect.Metadata):
        extra = cast(dict[str, Any] | None, kind.extra)  # pyright: ignore[reportUnknownMemberType]
        return kind.type, extra or {}
    return kind, {}


def _shorthand(kind: inspect.StructType) -> inspect.Field | None:
    """The setting of a section whose value alone may be written, if it has one."""
    return next((each for each in kind.fields if each.name == _section(kind).shorthand), None)


def _section(kind: inspect.StructType) -> type[Section]:
    return cast(type[Section], kind.cls)


def _choices(kind: inspect.Type, extra: dict[str, Any]) -> list[_Choice]:
    """The types a value may have; `None` is how the schema says "not set" and cannot be written."""
    if isinstance(kind, inspect.UnionType):
        return [_unwrap(each) for each in kind.types if not isinstance(each, inspect.NoneType)]
    return [(kind, extra)]


def _is_container(kind: inspect.Type) -> bool:
    return isinstance(kind, (inspect.StructType, inspect.DictType, inspect.ListType))


def _expected(kind: inspect.Type) -> str:
    """What a type wants, for people."""
    return " or ".join(_expected_choice(*each) for each in _choices(*_unwrap(kind)))


def _expected_choice(kind: inspect.Type, extra: dict[str, Any]) -> str:
    match kind:
        case inspect.IntType():
            return {"milliseconds": "a time such as 500ms or 2s", "bytes": "a size such as 8MiB"}.get(
                extra.get("unit", ""), "a whole number"
            )
        case inspect.FloatType():
            return "a number"
        case inspect.LiteralType(values=values):
            quoted = [f'"{value}"' for value in values]
            return " or ".join(quoted) if len(quoted) <= 4 else f"one of {', '.join(quoted)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.CustomType(cls=cls):
            return cast(type[Value], cls).expected
        case inspect.ListType():
            return "a list"
        case inspect.DictType():
            return "a map"
        case inspect.StructType():
            settings = f"a map of settings ({', '.join(each.encode_name for each in kind.fields)})"
            short = _shorthand(kind)
            return f"{_expected(short.type)} or {settings}" if short else settings
        case _:
            return extra.get("form", "text")


def _setting(path: Path) -> str:
    """How to call the value at a path: `"workers"`, `an entry of "targets"`."""
    if not path:
        return "the configuration"
    if isinstance(path[-1], int):
        return f'an entry of "{path[-2]}"'
    return f'"{path[-1]}"'


def _not(node: Scalar, text: str) -> str:
    """`, not "…"`: what was written, unless it came out of a variable (it may be secret)."""
    return f', not "{_shorten(node.text)}"' if text == node.text else ""


def _digits(text: str, unit: str | None) -> str | None:
    """Advice for numbers written in another way."""
    plain = re.sub(r"[_, ]", "", text)
    if unit is None and plain.isascii() and plain.isdigit():
        return f"write {plain}"
    if unit == "milliseconds" and plain.isascii() and plain.isdigit():
        return f"say the unit: {plain}s or {plain}ms"
    if unit == "bytes" and re.fullmatch(r"[0-9]+[kKmMgG]?[bB]?", plain):
        return "units are B, KiB, MiB and GiB"
    return None


def _elsewhere(name: str) -> str | None:
    """Says where a setting belongs that is unknown here but known in another place."""
    places = [each for each in _sections() if name in each.__struct_encode_fields__]
    if not places:
        return None
    return f'"{name}" belongs in {" or ".join(dict.fromkeys(each.noun for each in places))}'


def _sections() -> list[type[Section]]:
    found = (each for each in vars(schema).values() if isinstance(each, type))
    return [each for each in found if issubclass(each, Section) and each is not Section]


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
