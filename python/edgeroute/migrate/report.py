"""What an import could not carry over as it was: each with its place, the reason, and what to do."""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from edgeroute.config.diagnostics import Source, Span

Kind = Literal["left out", "changed", "not needed"]
"""Left out: it has no effect any more. Changed: carried with another meaning. Not needed: nothing is lost."""


class Place(NamedTuple):
    """A setting of the foreign file: its path in words, and where it stands."""

    setting: str
    span: Span
    source: Source

    @property
    def line(self) -> int:
        """Its line, counted from 1."""
        return self.source.position(self.span.start)[0]


class Reason(NamedTuple):
    """Why a setting was not carried as it was, and what to do about it."""

    kind: Kind
    reason: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One entry of the report. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    setting: str
    kind: Kind
    reason: str
    advice: str


class Report:
    """The findings of one import."""

    def __init__(self) -> None:
        self._findings: dict[Finding, bool] = {}

    def add(self, place: Place, why: Reason, *, first: bool = False) -> None:
        """Adds a finding; the same one is kept once. `first` is for what explains others: it stands before them."""
        line, column = place.source.position(place.span.start)
        file = str(place.source.path)
        finding = Finding(file, line, column, place.setting, why.kind, why.reason, why.advice)
        self._findings.setdefault(finding, first)

    def left_out(self, place: Place, reason: str, advice: str = "") -> None:
        """Reports what has no effect any more."""
        self.add(place, Reason("left out", reason, advice))

    def changed(self, place: Place, reason: str, advice: str = "") -> None:
        """Reports what was carried with another meaning."""
        self.add(place, Reason("changed", reason, advice))

    @property
    def findings(self) -> list[Finding]:
        """What matters first, and of that what explains others, then in the order of the files."""
        order = {"left out": 0, "changed": 1, "not needed": 2}

        def rank(each: Finding) -> tuple[int, bool, str, int, int]:
            return order[each.kind], not self._findings[each], each.file, each.line, each.column

        return sorted(self._findings, key=rank)

    def count(self, kind: Kind) -> int:
        """How many findings are of a kind."""
        return sum(each.kind == kind for each in self._findings)

    @property
    def is_complete(self) -> bool:
        """Whether everything that matters was carried as it was."""
        return all(each.kind == "not needed" for each in self._findings)

    def text(self) -> str:
        """For people: findings with one reason stand together."""
        groups: dict[Reason, list[Finding]] = {}
        for each in self.findings:
            groups.setdefault(Reason(each.kind, each.reason, each.advice), []).append(each)
        blocks: list[str] = []
        for why, findings in groups.items():
            lines = [f"{why.kind}: {why.reason}"]
            lines += [f"  {each.file}:{each.line}:{each.column}: {each.setting or 'the file'}" for each in findings]
            lines += [f"  help: {why.advice}"] if why.advice else []
            blocks.append("\n".join(lines))
        return "\n\n".join([*blocks, self.summary()])

    def summary(self) -> str:
        """One line that counts."""
        if not self._findings:
            return "everything was carried"
        counts = ((self.count(kind), kind) for kind in ("left out", "changed", "not needed"))
        return ", ".join(f"{number} {kind}" for number, kind in counts if number)

    def json(self) -> str:
        """For scripts: every finding, and the counts."""
        findings = [{name: getattr(each, name) for name in Finding.__slots__} for each in self.findings]
        counts = {kind.replace(" ", "_"): self.count(kind) for kind in ("left out", "changed", "not needed")}
        return json.dumps({**counts, "findings": findings}, indent=2, ensure_ascii=False)


def reason_for(name: str, table: dict[str, Reason], otherwise: Reason) -> Reason:
    """The first reason whose pattern (`redis_*`, several divided by spaces) fits a setting's name."""
    for patterns, why in table.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns.split()):
            return why
    return otherwise
