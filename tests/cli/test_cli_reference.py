"""docs/reference/cli.md has every command, argument, option and exit status that exists, and no other."""

import re
from pathlib import Path

import click
import pytest
from command_line import EVERY_COMMAND

from edgeroute.cli.usage import ExitStatus

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text().split("\n# The admin listener")[0]
HEADING = re.compile(r"^## `edgeroute (.+)`$", re.MULTILINE)


def documented() -> dict[tuple[str, ...], tuple[list[str], set[str]]]:
    """Arguments and options of each command, as the page has them."""
    _, *pieces = HEADING.split(PAGE)
    found: dict[tuple[str, ...], tuple[list[str], set[str]]] = {}
    for title, text in zip(pieces[::2], pieces[1::2], strict=True):
        words = title.split()
        path = tuple(word for word in words if word.islower() and "|" not in word)
        cells = "".join(re.findall(r"^\| (`-.+?`) \|", text, re.MULTILINE))
        found[path] = ([word for word in words if word not in path], set(re.findall(r"`(--?[a-z-]+)", cells)))
    return found


def existing(command: click.Command) -> tuple[list[str], set[str]]:
    context = click.Context(command)
    arguments = [each.make_metavar(context).strip("{}") for each in command.params if isinstance(each, click.Argument)]
    options = {name for each in command.params if isinstance(each, click.Option) for name in each.opts}
    return [each for each in arguments if each], options


@pytest.mark.parametrize("path", [path for path in EVERY_COMMAND if path], ids=" ".join)
def test_a_command_is_documented_as_it_is(path: tuple[str, ...]):
    assert documented()[path] == existing(EVERY_COMMAND[path])


def test_no_other_command_is_documented():
    assert set(documented()) == {path for path in EVERY_COMMAND if path}


def test_every_exit_status_is_documented():
    assert re.findall(r"^\| `(\d+)` \|", PAGE, re.MULTILINE) == [str(each.value) for each in ExitStatus]
