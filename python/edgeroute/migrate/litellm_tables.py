"""Exports of LiteLLM's tables of virtual keys and teams, as CSV or JSON, so that clients keep their keys.

LiteLLM keeps the SHA-256 of a key in hexadecimal, as edgeroute does (column `token` of
LiteLLM_VerificationToken).
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime

from edgeroute.config.diagnostics import ConfigError, Source, Span
from edgeroute.config.marks import Mapping, Node, Scalar, Sequence
from edgeroute.migrate.access import Access, ForeignTeam
from edgeroute.migrate.draft import Draft, Limits, VirtualKey
from edgeroute.migrate.foreign import read_tree
from edgeroute.migrate.report import Place

_HASH = re.compile(r"[0-9a-f]{64}")
_LIMITS = {
    "rpm_limit": "requests_per_minute",
    "tpm_limit": "tokens_per_minute",
    "max_parallel_requests": "concurrency",
}
_ALL_MODELS = {"all-proxy-models", "all-team-models"}
_BUDGETS = ("budgets come later", "limit with limits: {tokens_per_minute: …}")
_NOT_CARRIED = {
    "max_budget": _BUDGETS,
    "soft_budget": _BUDGETS,
    "model_max_budget": _BUDGETS,
    "budget_id": ("budgets come later; the limits in this one are not in the export", "write them under limits"),
    "metadata": ("metadata has no counterpart, nor have limits of single models in it", "look whether it limits"),
    "aliases": ("a virtual key has no names of its own for models", "write aliases in its team"),
    "allowed_routes": ("a virtual key may use every endpoint", ""),
}
_EMPTY = {"", "{}", "[]", "null", "false", "f", "0"}
_WHOLE_NUMBER = re.compile(r"([0-9]{1,11})(\.0*)?")

Row = dict[str, str]


def read_teams(source: Source, draft: Draft, access: Access) -> None:
    """Takes note of the teams in an export of LiteLLM_TeamTable."""
    for row, place in _rows(source, "team_id"):
        if row.get("blocked", "").lower() in ("true", "t"):
            draft.report.left_out(place("blocked"), "the team is blocked", "its keys are left out too")
            access.add_team(row["team_id"], ForeignTeam(row["team_id"], (), {}, place("team_id")))
            continue
        name = row.get("team_alias") or row["team_id"]
        team = ForeignTeam(name, _models(row, place, access), _limits(row, place, draft), place("team_alias"))
        access.add_team(row["team_id"], team)
        _report_rest(row, place, draft)


def read_keys(source: Source, draft: Draft, access: Access, now: datetime) -> None:
    """Adds the virtual keys in an export of LiteLLM_VerificationToken, with their hashes as they are.

    Those that are blocked, or have expired by `now`, are left out.
    """
    for row, place in _rows(source, "token"):
        token, team = row["token"], row.get("team_id") or None
        if not _HASH.fullmatch(token):
            draft.report.left_out(place("token"), "not a SHA-256 in hexadecimal", "export the column as it is")
            continue
        if row.get("blocked", "").lower() in ("true", "t"):
            draft.report.left_out(place("blocked"), "the key is blocked", "nobody can use it")
            continue
        expiry = row.get("expires")
        if expiry and draft.has_expired(expiry, place("expires"), now):
            continue
        if team is not None and not access.knows(team):
            reason = "the key's team is not in the export, so its models and limits are not known; the key is left out"
            draft.report.left_out(place("team_id"), reason, "export LiteLLM_TeamTable too, and give it with --teams")
            continue
        name = row.get("key_alias") or row.get("key_name") or token[:8]
        key = VirtualKey(f"sha256:{token}", limits=_limits(row, place, draft))
        if access.add_key(name, key, team, _models(row, place, access), place("token")):
            _report_rest(row, place, draft)


def _models(row: Row, place: Callable[[str], Place], access: Access) -> tuple[str, ...] | None:
    """The models that a row names; None if it names none, which with LiteLLM means all."""
    named = [each for each in _listed(row.get("models", "")) if each not in _ALL_MODELS]
    return access.allowed((each, place("models")) for each in named) if named else None


def _listed(text: str) -> list[str]:
    """A list as Postgres (`{a,"b c"}`) or JSON writes it."""
    if text.startswith("["):
        try:
            return [str(each) for each in json.loads(text)]
        except ValueError:
            return [text]  # no model is called that, so nothing is allowed by mistake
    return [each for row in csv.reader([text.strip("{}")], escapechar="\\") for each in row if each]


def _limits(row: Row, place: Callable[[str], Place], draft: Draft) -> Limits:
    """The limits of a row, which spreadsheets may have made decimals (`100.0`)."""
    limits: Limits = {}
    for theirs, ours in _LIMITS.items():
        text = row.get(theirs, "").strip()
        number = _WHOLE_NUMBER.fullmatch(text)
        if number is not None:
            limits[ours] = max(1, int(number[1]))
            if limits[ours] != int(number[1]):
                draft.report.changed(place(theirs), "the least limit is 1, not 0", "remove who may do nothing")
        elif text.lower() not in _EMPTY:
            reason = f"{theirs} is not a whole number of at most 11 digits, so there is no such limit"
            draft.report.left_out(place(theirs), reason, f"write {ours} under limits")
    return limits


def _report_rest(row: Row, place: Callable[[str], Place], draft: Draft) -> None:
    for name, (reason, advice) in _NOT_CARRIED.items():
        if row.get(name, "").lower() not in _EMPTY:
            draft.report.left_out(place(name), reason, advice)


def _rows(source: Source, needed: str) -> Iterator[tuple[Row, Callable[[str], Place]]]:
    """The rows of a file with what says where a column of it stands."""
    is_json = source.text.lstrip()[:1] in ("[", "{")
    for row, where in _json_rows(source) if is_json else _csv_rows(source):
        if not row.get(needed):
            advice = "export the table as CSV with its header, or as JSON"
            source.hide([Span(0, len(source.text))])  # where columns are not known, any value may be a key
            raise ConfigError([source.diagnose("error", where[1], f'this row has no column "{needed}"', advice)])
        setting, span = where
        yield row, lambda name, setting=setting, span=span: Place(f"{setting}.{name}", span, source)


def _json_rows(source: Source) -> Iterator[tuple[Row, tuple[str, Span]]]:
    root = read_tree(source)
    values = [value for _, value in root.entries.values()] if isinstance(root, Mapping) else [root]
    lists = [value for value in values if isinstance(value, Sequence)]
    for index, item in enumerate(lists[0].items if lists else []):
        entries = item.entries if isinstance(item, Mapping) else {}
        yield {name: _plain(value) for name, (_, value) in entries.items()}, (f"row {index + 1}", item.span)


def _csv_rows(source: Source) -> Iterator[tuple[Row, tuple[str, Span]]]:
    reader = csv.DictReader(io.StringIO(source.text))
    starts = [0, *(found.end() for found in re.finditer("\n", source.text))]
    for index, row in enumerate(reader):
        start = starts[min(reader.line_num, len(starts)) - 1]
        yield {name: value or "" for name, value in row.items() if name}, (f"row {index + 1}", Span(start, start + 1))


def _plain(node: Node) -> str:
    """A value of a JSON row as the CSV export would have it."""
    if isinstance(node, Scalar):
        return "" if not node.style and node.text == "null" else node.text
    if isinstance(node, Sequence):
        return json.dumps([each.text for each in node.items if isinstance(each, Scalar)])
    return "{…}" if node.entries else ""
