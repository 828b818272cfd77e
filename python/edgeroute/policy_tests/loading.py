"""Reads files of policy tests with the configurations that they test; every mistake is told with its place."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeroute.config import ConfigError, Diagnostic, Loaded, load
from edgeroute.config.diagnostics import Source, Span, suggest
from edgeroute.config.document import Document
from edgeroute.config.document import Path as Place
from edgeroute.config.marks import Mapping as MarkedMapping
from edgeroute.config.marks import MarkupError, Node, Sequence, compose
from edgeroute.config.reader import read_section
from edgeroute.config.variables import Variables, read_config
from edgeroute.policy_tests.schema import Case, Request, TestFile

CREDENTIAL_HEADERS = frozenset({"authorization", "x-api-key"})
_SECRET = ("headers", "environment")


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of a file that can be run; `lines` are those on which its cases begin."""

    path: Path
    tests: TestFile
    lines: tuple[int, ...]
    environ: Mapping[str, str]
    loaded: Loaded


def load_suites(paths: Iterable[Path], environ: Mapping[str, str]) -> list[Suite]:
    """Reads and checks files and the configurations they name. Raises ConfigError with every error of all of them."""
    suites: list[Suite] = []
    wrong: dict[Diagnostic, None] = {}
    for path in paths:
        try:
            suites.append(load_suite(path, environ))
        except ConfigError as error:
            wrong |= dict.fromkeys(error.diagnostics)  # several files may name one configuration
    if wrong:
        raise ConfigError(wrong)
    return suites


def load_suite(path: Path, environ: Mapping[str, str]) -> Suite:
    """One file and its configuration; raises ConfigError with every error of the one, or else of the other."""
    document = _read_document(path)
    tests = read_section(document, Variables(environ, path.parent), TestFile)
    if tests is None or document.has_errors:
        raise ConfigError(document.diagnostics)
    environ = {**environ, **tests.environment}
    configuration = path.parent / tests.configuration
    if not configuration.exists():
        document.error(("configuration",), f"there is no file {configuration}", "name it from this file's folder")
        raise ConfigError(document.diagnostics)
    loaded = load(configuration, environ)
    _check(document, tests, loaded)
    if document.has_errors:
        raise ConfigError(document.diagnostics)
    starts = [node.span.start for node in document.items(("cases",))]
    lines = tuple(document.source.position(start)[0] for start in starts)
    return Suite(path, tests, lines, environ, loaded)


def _read_document(path: Path) -> Document:
    try:
        source = Source(str(path), read_config(path))
    except ValueError as problem:
        raise ConfigError([Diagnostic.about(str(path), "error", f"cannot read the tests: {problem}")]) from None
    source.hide_likely_secrets()
    try:
        root = compose(source)
    except MarkupError as problem:
        raise ConfigError([source.diagnose("error", problem.span, problem.message, problem.advice)]) from None
    source.hide(_secrets(root))
    document = Document(source, root)
    if not isinstance(root, MarkedMapping) or not root.entries:
        advice = "write configuration: FILE, and cases: with a list"
        document.error((), "a file of policy tests must be a map", advice)
        raise ConfigError(document.diagnostics)
    return document


def _secrets(node: Node) -> Iterator[Span]:
    """Values that may be credentials. What `key` says is a name."""
    match node:
        case MarkedMapping():
            for key, value in node.entries.values():
                if key.text in _SECRET and isinstance(value, MarkedMapping):
                    yield from (each.span for _, each in value.entries.values())
                else:
                    yield from _secrets(value)
        case Sequence():
            for item in node.items:
                yield from _secrets(item)
        case _:
            pass


def _check(document: Document, tests: TestFile, loaded: Loaded) -> None:
    """Reports what can be read but means nothing: names that do not exist, requests that contradict themselves."""
    keys = loaded.config.virtual_keys
    rules = [rule.name for rule in loaded.config.rules]
    if tests.key is not None:
        _check_name(document, ("key",), "virtual key", tests.key, keys)
    if not tests.cases:
        document.error(("cases",), "there are no cases", "add one: {name: …, request: {…}, expect: {…}}", at_key=True)
    seen: set[str] = set()
    for index, case in enumerate(tests.cases):
        place: Place = ("cases", index)
        if case.name in seen:
            document.error((*place, "name"), f'another case is called "{case.name}" too', "give each its own name")
        seen.add(case.name)
        _check_request(document, (*place, "request"), case.request, keys)
        _check_rules(document, (*place, "expect", "rules"), case, rules)


def _check_request(document: Document, place: Place, request: Request, keys: Collection[str]) -> None:
    if request.key is not None:
        _check_name(document, (*place, "key"), "virtual key", request.key, keys)
        for header in request.headers:
            if header.lower() in CREDENTIAL_HEADERS:
                message = f'the header "{header}" brings a credential, and "key" another'
                document.error((*place, "headers", header), message, "keep one of them", at_key=True)
    given = [name for name in ("messages", "prompt_tokens") if name in document.names(*place)]
    given += ["body"] * ("messages" in request.body)
    if len(given) > 1:
        message = f'the messages are given twice: by "{given[0]}" and by "{given[1]}"'
        document.error((*place, given[1]), message, "keep one of them", at_key=True)
    if request.model is not None and "model" in request.body:
        message = 'the model is given twice: by "model" and in "body"'
        document.error((*place, "body", "model"), message, "keep one of them", at_key=True)


def _check_rules(document: Document, place: Place, case: Case, rules: Collection[str]) -> None:
    if isinstance(case.expect.rules, str):
        _check_name(document, place, "rule", case.expect.rules, rules)
    for index, name in enumerate(case.expect.rules if isinstance(case.expect.rules, list) else ()):
        _check_name(document, (*place, index), "rule", name, rules)


def _check_name(document: Document, place: Place, word: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        advice = suggest(document.nearest(name, known), known, f"{word}s are" if known else f"there are no {word}s")
        document.error(place, f'unknown {word} "{name}"', advice)
