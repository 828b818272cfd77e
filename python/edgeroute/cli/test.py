"""`edgeroute test`."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from edgeroute.cli.junit import junit
from edgeroute.cli.options import json_option
from edgeroute.cli.output import Screen, echo_json, printable, table
from edgeroute.cli.usage import ExitStatus, refuse
from edgeroute.config import ConfigError
from edgeroute.policy_tests import Outcome, load_suites, run

_FILE = click.Path(path_type=Path)
_Results = list[tuple[Path, list[Outcome]]]


@click.command("test", epilog="Example: edgeroute test policies/*.test.yaml", no_args_is_help=True)
@click.argument("paths", metavar="FILE...", type=_FILE, nargs=-1, required=True)
@click.option("--junit", "report", type=_FILE, metavar="OUT", help="Write JUnit XML to OUT, for CI.")
@json_option
def command(paths: tuple[Path, ...], report: Path | None, as_json: bool) -> None:
    """Run policy tests: what is decided about requests, and what was expected. Nothing is sent.

    \b
    configuration: edgeroute.yaml
    key: demo
    cases:
      - name: premium clients get the smart model
        request: {model: fast, headers: {x-tier: premium}}
        expect: {rules: premium, model: smart}

    Exit status: 0 all passed, 1 some failed, 2 a test or its configuration is wrong.
    """  # noqa: D301 (click wants the character itself)
    try:
        suites = load_suites(dict.fromkeys(paths), os.environ)
        results = [(suite.path, run(suite)) for suite in suites]
    except ConfigError as error:
        refuse(str(error), ExitStatus.WRONG_USE)
    if report is not None:
        _write(report, results)
    if as_json:
        echo_json(_as_json(results))
    else:
        click.echo(render(results, Screen.current()))
    if not all(each.passed for _, outcomes in results for each in outcomes):
        sys.exit(ExitStatus.FAILED)


def render(results: _Results, screen: Screen) -> str:
    """A table of the cases of each file, then every failure, then how many there are."""
    parts: list[str] = []
    for path, outcomes in results:
        rows = [(each.name, _result(each)) for each in outcomes]
        parts.append(f"{printable(str(path))}\n{table(screen, ('case', 'result'), rows)}")
    for path, outcomes in results:
        parts += [
            f"{printable(f'{path}:{each.line}: {each.name}')}\n{describe(each, screen)}"
            for each in outcomes
            if not each.passed
        ]
    failed = sum(not each.passed for _, outcomes in results for each in outcomes)
    passed = sum(len(outcomes) for _, outcomes in results) - failed
    return "\n\n".join([*parts, f"{passed} passed, {failed} failed"])


def describe(outcome: Outcome, screen: Screen) -> str:
    """What of a case is not as expected, and the reasons of the decision that tell why."""
    rows = [(each.field, _plain(each.expected), _plain(each.found)) for each in outcome.differences]
    compared = table(screen, ("field", "expected", "found"), rows)
    return "\n".join([compared, *(f"  {printable(reason)}" for reason in outcome.reasons)])


def _result(outcome: Outcome) -> Text:
    return Text("passed", "green") if outcome.passed else Text("failed", "red")


def _plain(value: Any) -> str:
    match value:
        case None | [] | {}:
            return "none"
        case str():
            return value
        case [*items] if all(isinstance(item, str) for item in items):
            return ", ".join(items)
        case _:
            return json.dumps(value, ensure_ascii=False)


def _write(report: Path, results: Sequence[tuple[Path, Sequence[Outcome]]]) -> None:
    plain = Screen(width=1000, colour=False)
    try:
        report.write_bytes(junit(results, lambda outcome: describe(outcome, plain)))
    except OSError as error:
        refuse(f"error: cannot write {report}: {error.strerror}", ExitStatus.FAILED)


def _as_json(results: _Results) -> dict[str, Any]:
    cases = [
        {
            "file": str(path),
            "line": each.line,
            "name": each.name,
            "passed": each.passed,
            "differences": [
                {"field": one.field, "expected": one.expected, "found": one.found} for one in each.differences
            ],
            "reasons": each.reasons,
        }
        for path, outcomes in results
        for each in outcomes
    ]
    return {"passed": all(case["passed"] for case in cases), "cases": cases}
