"""Rules in files of their own, which `include` names.

Their texts are appended to that of the configuration, and their rules to its rules: every check then works on one
tree, and each finding still knows its file.
"""

from dataclasses import replace
from itertools import chain
from pathlib import Path

from edgeroute.config.diagnostics import Diagnostic, Severity, Source, Span
from edgeroute.config.marks import Mapping, MarkupError, Node, Scalar, Sequence, compose
from edgeroute.config.variables import Variables, read_config

_MOST_FILES = 200
_MOST_CHARACTERS = 16 << 20


def include(source: Source, root: Node, variables: Variables) -> tuple[Node, list[Diagnostic]]:
    """The tree with the rules of included files, and what is wrong with those files.

    `source` grows by their texts. They are among the variables' files, and so are folders in which others may appear.
    """
    node = root.entries["include"][1] if isinstance(root, Mapping) and "include" in root.entries else None
    if not isinstance(root, Mapping) or not isinstance(node, Sequence):
        return root, []
    includer = _Includer(source, variables)
    for item in node.items:
        if isinstance(item, Scalar):
            includer.pattern(item)
    source.hide_likely_secrets()
    return includer.with_rules(root), [source.diagnose(*each) for each in includer.problems]


class _Includer:
    def __init__(self, source: Source, variables: Variables) -> None:
        self._source = source
        self._variables = variables
        self._seen: set[Path] = set()
        self._rules: list[tuple[Scalar, Sequence]] = []
        self.problems: list[tuple[Severity, Span, str, str | None]] = []

    def pattern(self, item: Scalar) -> None:
        """Reads the files that an entry names, in alphabetical order. Variables that cannot be replaced are left out:
        whoever reads the entry reports them.
        """
        text, problems = self._variables.replace(item.text)
        if problems or not text.strip():
            return
        path = self._variables.folder / text
        if "*" not in text:
            self._file(item, path)
        elif "*" in str(path.parent):
            self._error(item.span, "a * may stand in the name of the file only", "write each folder out")
        else:
            self._variables.files.append(path.parent)
            found = sorted(each for each in path.parent.glob(path.name) if not each.name.startswith("."))
            if not found:
                message, advice = f"no file is called {text}", "put one there, or remove the entry"
                self.problems.append(("warning", item.span, message, advice))
            for each in found:
                self._file(item, each)

    def with_rules(self, root: Mapping) -> Node:
        """The configuration's own rules, and then those of the files."""
        if not self._rules:
            return root
        key, own = root.entries.get("rules", self._rules[0])
        if not isinstance(own, Sequence):
            return root
        lists = [own, *(rules for _, rules in self._rules)] if "rules" in root.entries else [r for _, r in self._rules]
        together = Sequence(list(chain.from_iterable(each.items for each in lists)), own.span)
        return replace(root, entries={**root.entries, "rules": (key, together)})

    def _file(self, item: Scalar, path: Path) -> None:
        if path in self._seen:
            self._error(item.span, f"{path} is included twice", "remove one of the entries")
            return
        self._seen.add(path)
        if len(self._seen) > _MOST_FILES:
            if len(self._seen) == _MOST_FILES + 1:
                self._error(item.span, f"more than {_MOST_FILES} files are included", "put their rules together")
            return
        self._variables.files.append(path)
        try:
            text = read_config(path)
        except ValueError as problem:
            advice = "put the file there, or make it readable for this user"
            self._error(item.span, f"cannot read {path}: {problem}", advice)
            return
        if len(self._source.text) + len(text) > _MOST_CHARACTERS:
            self._error(item.span, f"with {path} the configuration is larger than 16 MiB", "include less")
            return
        start = self._source.append(str(path), text)
        try:
            self._take(_moved(compose(Source(str(path), text)), start))
        except MarkupError as problem:
            self._error(_shifted(problem.span, start), problem.message, problem.advice)

    def _take(self, node: Node) -> None:
        entries = node.entries if isinstance(node, Mapping) else {}
        for name, (key, value) in entries.items():
            if name != "rules":
                message = f'"{name}" cannot stand in an included file'
                self._error(key.span, message, "an included file has rules alone; put the rest into the configuration")
            elif isinstance(value, Sequence):
                self._rules.append((key, value))
            else:
                self._error(value.span, '"rules" must be a list', "begin each rule with a hyphen")
        if isinstance(node, Mapping):
            for key, _, _ in node.repeated:
                self._error(key.span, f'"{key.text}" is given twice', "remove one of them")
        if not entries:
            self._error(node.span, "an included file must be a map with rules", "begin it with the line rules:")

    def _error(self, span: Span, message: str, advice: str | None) -> None:
        self.problems.append(("error", span, message, advice))


def _shifted(span: Span, by: int) -> Span:
    return Span(span.start + by, span.end + by)


def _moved(node: Node, by: int) -> Node:
    """The same tree at another place of a longer text."""
    span = _shifted(node.span, by)
    match node:
        case Scalar():
            return replace(node, span=span)
        case Sequence():
            return Sequence([_moved(item, by) for item in node.items], span)
        case Mapping():
            return Mapping(
                {name: (_key(key, by), _moved(value, by)) for name, (key, value) in node.entries.items()},
                span,
                [(_key(key, by), _key(first, by), _moved(value, by)) for key, first, value in node.repeated],
            )


def _key(key: Scalar, by: int) -> Scalar:
    return replace(key, span=_shifted(key.span, by))
