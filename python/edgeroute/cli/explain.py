"""`edgeroute explain`."""

import json
from pathlib import Path
from typing import Any, cast

import click

from edgeroute._native import explain
from edgeroute.cli.options import config_option, json_option, load_or_refuse
from edgeroute.cli.output import echo_json
from edgeroute.cli.usage import ExitStatus, refuse

_LARGEST_REQUEST = 64 << 20
_KEYS = (
    "it holds one JSON object: `path` is needed; `method`, `headers`, `body`, `peer`, `seed` and `facts` may be there"
)


@click.command("explain", epilog="Example: edgeroute explain -c edgeroute.yaml request.json")
@click.argument("request_path", metavar="REQUEST.json", type=click.Path(path_type=Path, allow_dash=True))
@config_option
@json_option
def command(request_path: Path, path: Path | None, as_json: bool) -> None:
    """Show how the request in REQUEST.json (-: standard input) would be routed, and why. Nothing is sent.

    \b
    {"path": "/v1/chat/completions",
     "headers": {"authorization": "Bearer sk-edgeroute-demo"},
     "body": {"model": "fast", "messages": [{"role": "user", "content": "Hi"}]}}

    Also `method`, `peer` (the client's address), `seed`, and `facts`, what a running router would read:
    `tokens_used`, `requests_used`, `turn`, and `now` (2026-11-21T23:30:00Z; else the time is that of your clock).
    Without them limits count as unused; every replica counts as healthy.
    """  # noqa: D301 (click wants the character itself)
    loaded = load_or_refuse(path)
    try:
        with click.open_file(str(request_path), "rb") as file:
            request = file.read(_LARGEST_REQUEST + 1)
    except OSError as error:
        refuse(f"error: cannot read {request_path}: {error.strerror}", ExitStatus.WRONG_USE)
    if len(request) > _LARGEST_REQUEST:
        refuse(f"error: {request_path} is larger than {_LARGEST_REQUEST >> 20} MiB", ExitStatus.WRONG_USE)
    try:
        [explained] = map(json.loads, explain(loaded.normalised, [request]))
    except ValueError as error:
        refuse(f"error: {request_path}: {error}", ExitStatus.WRONG_USE, _KEYS)
    headers: dict[str, str | None] = explained["decision"].get("headers", {})
    for name, value in headers.items():
        headers[name] = value and "(hidden)"  # it may be a credential
    if as_json:
        echo_json(explained)
    else:
        click.echo(render(explained))


def render(explained: dict[str, Any]) -> str:
    """The phases with what was found in each, then the decision, in two columns."""
    rows = [(each["phase"], each["note"]) for each in explained["reasons"]]
    decision = [(name, _plain(value)) for name, value in explained["decision"].items()]
    width = max(len(name) for name, _ in [*rows, *decision])
    lines: list[str] = []
    previous = ""
    for phase, note in rows:
        lines.append(f"{phase if phase != previous else '':<{width}}  {note}")
        previous = phase
    return "\n".join([*lines, "", *(f"{name:<{width}}  {value}" for name, value in decision)])


def _plain(value: Any) -> str:
    match value:
        case list():
            return ", then ".join(cast(list[str], value)) or "none"
        case {"status": status, "code": code, "message": message}:
            return f"{status} {code}: {message}"
        case _:
            return str(value)
