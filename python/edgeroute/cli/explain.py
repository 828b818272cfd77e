"""`edgeroute explain`."""

import json
from pathlib import Path
from typing import Any, cast

import click

from edgeroute._native import explain
from edgeroute.cli.options import config_option, load_or_exit, refuse


@click.command("explain")
@click.argument("request_path", metavar="REQUEST.json", type=click.Path(path_type=Path, allow_dash=True))
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def command(request_path: Path, path: Path, as_json: bool) -> None:
    """Show how the request in REQUEST.json (`-`: standard input) would be routed, and why. Nothing is sent.

    The file holds an object with `path`, `headers` and `body`, and if wanted `method`, `peer`, `seed` and `facts`
    (numbers that a running router would read: `tokens_used`, `requests_used`, `turn`):

    \b
    {"path": "/v1/chat/completions",
     "headers": {"authorization": "Bearer sk-edgeroute-demo", "x-tier": "premium"},
     "body": {"model": "fast", "messages": [{"role": "user", "content": "Hello"}]}}

    Without `facts` limits count as unused; every replica counts as healthy.
    """  # noqa: D301 (click wants the character itself)
    loaded = load_or_exit(path)
    try:
        with click.open_file(str(request_path), "rb") as file:
            answer = explain(loaded.normalised, file.read())
    except OSError as error:
        refuse(f"error: cannot read {request_path}: {error.strerror}", 2)
    except ValueError as error:
        refuse(f"error: {request_path}: {error}", 2)
    click.echo(answer.decode() if as_json else render(json.loads(answer)))


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
