"""`edgeroute cache`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.text import Text

from edgeroute import warming
from edgeroute._native import Store
from edgeroute.cli.admin import admin_option, ask, tell_outcome, understood
from edgeroute.cli.options import config_option, json_option, load_or_refuse
from edgeroute.cli.output import Screen, echo_json, printable, table
from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config import Address
from edgeroute.config.caches import cache_path, has_cache
from edgeroute.warming import NotKept

_PATIENCE_SECONDS = 60
_BY = "--key, --virtual-key, --team, --everybody, --model, --older-than, --all"


class StoreState(msgspec.Struct, frozen=True):
    """Where answers are kept, and how much of them there is."""

    path: str
    available: bool
    entries: int
    most_entries: int
    bytes: int
    most_bytes: int
    redis: bool
    hit_share: float | None
    """Of all models; None before the first request."""


class Evidence(msgspec.Struct, frozen=True):
    """How comparisons of answers to similar requests with the model's went, as far as the store keeps them."""

    correct: int
    wrong: int
    unknown: int
    least_correct: float | None
    """The share of those told apart that is correct, at the least; 95 % sure."""
    serving: bool
    """Whether such answers are given, where an answer's own evidence allows it."""


class Model(msgspec.Struct, frozen=True):
    """A model's answers, and what came of asking for one."""

    model: str
    entries: int
    hit: int
    semantic: int
    joined: int
    miss: int
    bypass: int
    hit_share: float | None
    evidence: Evidence
    mode: str | None = None
    """None where only rules switch its cache on."""
    serve: str | None = None


class Report(msgspec.Struct, frozen=True):
    """What `GET /cache` answers."""

    store: StoreState | None
    models: list[Model]
    refused: dict[str, int]
    evidence: Evidence
    """Of all these models."""
    evictions: int
    dropped: int


@click.group("cache", epilog="Example: edgeroute cache purge --model faq")
def command() -> None:
    """Show the cache of a running router, and remove answers from it."""


@command.command("report", epilog="Example: edgeroute cache report --admin 127.0.0.1:9400")
@admin_option
@json_option
def report(admin: Address, as_json: bool) -> None:
    """Show what the cache holds, how often each model's answers, and what speaks for and against similar requests."""
    body = ask("GET", "/cache", admin, _PATIENCE_SECONDS)
    found = understood(body, Report, admin)
    if as_json:
        echo_json(json.loads(body))
    else:
        click.echo(render(found, Screen.current()))


def render(found: Report, screen: Screen) -> str:
    """The report as tables; those that would be empty are left out."""
    numbers = {"entries", "hit", "semantic", "joined", "miss", "bypass", "hit share", "requests"}
    numbers |= {"correct", "wrong", "unknown", "correct, at least"}
    models = [
        (each.model, _mode(each), str(each.entries), str(each.hit), str(each.semantic), str(each.joined),
         str(each.miss), str(each.bypass), share(each.hit_share)) for each in found.models
    ]  # fmt: skip
    headings = ("model", "cache", "entries", "hit", "semantic", "joined", "miss", "bypass", "hit share")
    compared = [
        (each.model, str(seen.correct), str(seen.wrong), str(seen.unknown), share(seen.least_correct), _served(seen))
        for each in found.models if (seen := each.evidence).correct + seen.wrong + seen.unknown
    ]  # fmt: skip
    comparisons = ("compared with the model's", "correct", "wrong", "unknown", "correct, at least", "answers")
    tables = [
        table(screen, ("cache", ""), [*summary(found.store), *_lost(found)]),
        table(screen, headings, models, numbers),
        table(screen, ("not answered because of", "requests"), list(_texts(found.refused)), numbers),
        table(screen, comparisons, compared, numbers),
    ]
    return "\n\n".join(filter(None, tables))


def summary(store: StoreState | None) -> list[tuple[str, str | Text]]:
    """The store in a few rows."""
    if store is None:
        return [("state", "nothing is cached: no model and no rule has a cache")]
    state = Text("available", "green") if store.available else Text("not available: the log says why", "red")
    return [
        ("state", state),
        ("path", store.path + (", shared over Redis when it can be reached" if store.redis else "")),
        ("entries", f"{store.entries} of {store.most_entries}"),
        ("size", f"{_size(store.bytes)} of {_size(store.most_bytes)}"),
        ("hit share", share(store.hit_share) or "nothing was asked yet"),
    ]


def share(value: float | None) -> str:
    """A share of the requests that asked the cache."""
    return "" if value is None else f"{value:.1%}"


def _mode(model: Model) -> str:
    return "by rules" if model.mode is None else model.mode + (f", {model.serve}" if model.serve else "")


def _served(evidence: Evidence) -> str:
    return "given" if evidence.serving else "not given"


def _lost(found: Report) -> list[tuple[str, str | Text]]:
    """What left the cache before its time, or never came into it."""
    rows: list[tuple[str, str | Text]] = [("evicted", str(found.evictions))] if found.evictions else []
    return rows + ([("not kept", Text(str(found.dropped), "yellow"))] if found.dropped else [])


def _texts(counts: dict[str, int]) -> list[tuple[str, str]]:
    return [(name, str(count)) for name, count in counts.items()]


def _size(number: int) -> str:
    size, units = float(number), ["B", "KiB", "MiB", "GiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        del units[0]
    return f"{size:.{0 if units[0] == 'B' else 1}f} {units[0]}"


@command.command("warm", epilog="Example: edgeroute cache warm answers.jsonl -c edgeroute.yaml")
@click.argument("answers", metavar="ANSWERS.jsonl", type=click.Path(path_type=Path, allow_dash=True))
@config_option
@json_option
def warm(answers: Path, path: Path | None, as_json: bool) -> None:
    """Put the answers in ANSWERS.jsonl (-: standard input) into the cache, one of each line.

    \b
    {"virtual_key": "site", "request": {"model": "faq", "messages": […]},
     "response": {"object": "chat.completion", "choices": […], …}}

    Also `path` (else /v1/chat/completions), `headers`, `ttl`. Workers that run on this host follow within 0.1 s.

    Exit status: 0 all are kept; 1 some are not; 2 file or configuration is wrong, or has no cache.
    """  # noqa: D301 (click wants the character itself)
    config = load_or_refuse(path).config
    folder = cache_path(config, os.environ) if has_cache(config) else None
    if folder is None:
        advice = "write cache: exact in a model"
        refuse("error: no model and no rule of the configuration has a cache", ExitStatus.WRONG_USE, advice)
    redis = config.cache.redis.reveal() if config.cache.redis else None
    kept, not_kept = 0, list[NotKept]()
    try:
        with click.open_file(str(answers), "rb") as file:
            store = Store(folder, config.cache.size, config.cache.entries, redis)
            for each in warming.warm(file, store, config, os.environ):
                kept += each is None
                not_kept += [each] if each is not None else []
    except OSError as error:
        refuse(f"error: cannot read {answers}: {error.strerror or error}", ExitStatus.WRONG_USE)
    written = store.flush()
    for warning in store.take_warnings():
        click.echo(f"warning: {printable(warning)}", err=True)
    if not written:
        refuse(f"error: the answers could not be kept in {folder}", ExitStatus.FAILED)
    if as_json:
        echo_json({"kept": kept, "not_kept": [each._asdict() for each in not_kept]})
    else:
        click.echo(f"kept {kept} answer{'s' * (kept != 1)} in {folder}")
        for each in not_kept:
            click.echo(f"{answers}:{each.line}: not kept: {printable(each.reason)}", err=True)
    sys.exit(ExitStatus.FAILED if not_kept else ExitStatus.DONE)


@command.command("purge", epilog="Example: edgeroute cache purge --older-than 1h")
@click.option("--key", metavar="KEY", help="The answer with this key, as `edgeroute explain` shows it.")
@click.option("--virtual-key", metavar="NAME", help="The answers that a virtual key does not share.")
@click.option("--team", metavar="NAME", help="The answers that a team shares.")
@click.option("--everybody", is_flag=True, help="The answers that everybody shares.")
@click.option("--model", metavar="NAME", help="The answers of a model.")
@click.option("--older-than", metavar="TIME", help="The answers that were stored longer ago, as in 30m or 1h.")
@click.option("--all", is_flag=True, help="All answers.")
@admin_option
@json_option
def purge(admin: Address, as_json: bool, **given: Any) -> None:
    """Remove answers from the cache, for all workers. Say which by one option.

    Exit status: 0 they are gone from its host, or there were none; 1 refused or not done, or no router there; 2 wrong
    use. From Redis they go as soon as it can be reached.
    """
    wanted = {name: value for name, value in given.items() if value}
    if len(wanted) != 1:
        refuse(f"error: say which answers, by one of {_BY}, and not by several", ExitStatus.WRONG_USE)
    tell_outcome(ask("POST", "/cache/purge", admin, _PATIENCE_SECONDS, wanted), admin, as_json)
