"""The reference documents what exists, and nothing else."""

import json
import re
from pathlib import Path

import pytest

from edgeroute import Expression, _native
from edgeroute.cli import COMMANDS
from edgeroute.config.actions import ACTIONS, UNCHANGED
from edgeroute.mock import Distribution
from edgeroute.mock.faults import FAULTS, Fault, usage
from edgeroute.mock.routes import MODELS, ROUTES
from edgeroute.providers import CATALOGUE
from edgeroute.supervisor.generations import AT_RESTART
from edgeroute.telemetry import FAMILIES

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


def first_cells(page: str, prefix: str = "") -> list[str]:
    """What stands in backquotes at the start of a page's table rows."""
    return [
        name
        for name in re.findall(r"^\| `([^`]+)`", (REFERENCE / page).read_text(), re.MULTILINE)
        if name.startswith(prefix)
    ]


def test_every_rule_variable_is_documented() -> None:
    table = (REFERENCE / "rules.md").read_text().split("## Variables")[1].split("## Language")[0]
    rows = re.findall(r"^\| `([^`]+)` \| (\S.*?) \| `([^`]+)` \| (.+) \|$", table, re.MULTILINE)
    assert rows == _native.rule_variables()


def examples() -> list[tuple[str, str]]:
    page = (REFERENCE / "language.md").read_text()
    rows = re.findall(r"^\|.*\| `([^|]+)` \| `([^|]+)` \|$", page, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\|(?!--)", page, re.MULTILINE)) - page.count("| example | gives |")
    return rows


@pytest.mark.parametrize(("example", "gives"), examples())
def test_examples_of_the_language_are_true(example: str, gives: str) -> None:
    assert Expression(f"({example}) == ({gives})").evaluate() is True


def test_every_function_of_rules_is_documented() -> None:
    page = (REFERENCE / "language.md").read_text()
    missing = [name for name in _native.rule_functions() if not re.search(rf"[`. ]{re.escape(name)}[`(]", page)]
    assert missing == []


def test_every_action_of_a_rule_is_documented() -> None:
    table = (REFERENCE / "rules.md").read_text().split("## Actions")[1].split("**Draws**")[0]
    documented = re.findall(r"^\| `(\w+):", table, re.MULTILINE)
    assert set(documented) == {*ACTIONS, "reject"}


def test_fields_that_rules_cannot_change_are_documented() -> None:
    (text,) = re.findall(
        r"quoted values are text\. ((?:`\w+`(?:,| and)?\s)+)cannot", (REFERENCE / "rules.md").read_text()
    )
    assert re.findall(r"`(\w+)`", text) == list(UNCHANGED)


def test_every_kind_of_finding_about_rules_is_documented() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| (.+) \|$", (REFERENCE / "diagnostics.md").read_text(), re.MULTILINE)
    assert rows == _native.rule_codes()


def test_every_metric_is_documented() -> None:
    assert first_cells("metrics.md", "edgeroute_") == list(FAMILIES)


def test_every_outcome_of_an_attempt_is_documented() -> None:
    router = ROOT / "rust" / "router" / "src"
    closed = (router / "ticket.rs").read_text()
    outcomes = set(re.findall(r'close_attempt\("(\w+)"', closed)) | set(re.findall(r'=> "(\w+)",', closed))
    outcomes |= set(re.findall(r'=> "(\w+)"', (router / "failure.rs").read_text()))
    (row,) = re.findall(r"\n\| `edgeroute_attempts_total` .*; (.*)\|", (REFERENCE / "metrics.md").read_text())
    assert set(re.findall(r"`(\w+)`", row)) == outcomes


def test_every_error_code_is_documented() -> None:
    source = (ROOT / "rust" / "router" / "src" / "refusal.rs").read_text()
    names = dict(re.findall(r'Self::(\w+) => "(\w+)"', source))
    arms = re.findall(r"((?:[|\s]*Self::\w+)+) => (\d{3})", source)
    statuses = {names[code]: status for codes, status in arms for code in re.findall(r"Self::(\w+)", codes)}
    errors = (REFERENCE / "endpoints.md").read_text().split("## Errors")[1]
    documented = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+?) \| [^|]+ \| [^|]+ \|$", errors, re.MULTILINE))
    assert documented.keys() == set(names.values()) == statuses.keys()
    assert {code: status for code, status in documented.items() if not status.startswith(statuses[code])} == {
        "rejected_by_rule": "the rule's"
    }


def test_every_response_header_is_documented() -> None:
    source = (ROOT / "rust" / "python" / "src" / "border.rs").read_text()
    sent = set(re.findall(r'"(x-[a-z-]+)"', source))
    section = (REFERENCE / "endpoints.md").read_text().split("## Response headers")[1].split("## Errors")[0]
    assert {name for name in re.findall(r"^\| `([^`]+)`", section, re.MULTILINE) if name.startswith("x-")} == sent


def test_every_reason_of_the_cache_is_documented() -> None:
    section = (ROOT / "docs" / "how-to" / "caches.md").read_text().split("## What is refused")[1].split("\n## ")[0]
    files = ("router/src/recall/words.rs", "cache/src/guard/bypass.rs", "cache/src/guard/difference.rs")
    named = (re.findall(r'Self::\w+ => "([a-z-]+)",', (ROOT / "rust" / name).read_text()) for name in files)
    sent = {name for names in named for name in names}
    assert len(sent) > 20
    assert set(re.findall(r"^\| `([a-z-]+)`", section, re.MULTILINE)) == sent


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert f"edgeroute {name}" in (REFERENCE / "cli.md").read_text()


def test_every_fault_of_the_mock_is_documented() -> None:
    rows = re.findall(
        r"^\| `([^`]+)` \| ([^|]*)\| ([^|]+) \|[^|]+\|[^|]+\|$", (REFERENCE / "mock.md").read_text(), re.M
    )

    def numbers(fault: Fault) -> str:
        least_to_most = "" if fault.least is None else f"{fault.least} to {fault.most}"
        return least_to_most if fault.default is None else f"{least_to_most}, else {fault.default}"

    assert [(name, number.strip(), meaning) for name, number, meaning in rows] == [
        (usage(name, fault), numbers(fault), fault.meaning) for name, fault in FAULTS.items()
    ]


def test_every_endpoint_of_the_mock_is_documented() -> None:
    assert first_cells("mock.md", "/v1/") == [*ROUTES, MODELS]


@pytest.mark.parametrize("text", [name for name in first_cells("mock.md") if re.match("(uniform|lognormal)", name)])
def test_the_distributions_of_the_mock_can_be_written(text: str) -> None:
    assert Distribution.parse(text) == text


def test_every_setting_is_documented() -> None:
    """Every property of the schema is shown in one of the shipped files."""
    shipped = "".join((ROOT / "config" / name).read_text() for name in ("quickstart.yaml", "example.yaml"))
    schema = json.loads((ROOT / "config" / "edgeroute.schema.json").read_text())
    definitions = [schema, *schema.get("$defs", {}).values()]
    names = {name for definition in definitions for name in definition.get("properties", {})}
    assert len(names) > 30, "the schema's settings were not found"
    assert not sorted(name for name in names if not re.search(rf"\b{name}\b", shipped))


def test_the_code_map_names_files_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rust = re.findall(r"`((?:router|wire|python)/\w+\.rs)`", page)
    python = re.findall(r"(?m)^(python/edgeroute/[\w./]+)", page)
    assert len(rust) >= 10
    assert len(python) >= 10
    for path in [*(ROOT / "rust" / each.replace("/", "/src/") for each in rust), *(ROOT / each for each in python)]:
        assert path.exists(), path


def test_settings_that_wait_for_a_restart() -> None:
    page = (REFERENCE / "cli.md").read_text()
    (listed,) = re.findall(r"log says what is wrong\. ((?:`\w+`(?:,| and)?\s)+)take effect at the next start", page)
    assert tuple(re.findall(r"`(\w+)`", listed)) == AT_RESTART


def test_the_readme_has_figures_of_the_benchmarks() -> None:
    costs = (ROOT / "README.md").read_text().split("## What it costs")[1].split("\n## ")[0]
    figures = re.findall(r"([\d.]+) µs", costs)
    measured = (ROOT / "docs" / "benchmarks.md").read_text()
    assert len(figures) == 4
    assert all(figure in measured for figure in figures)


def test_the_size_of_the_memory_file() -> None:
    page = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
    layout = (ROOT / "rust" / "shared" / "src" / "map.rs").read_text().split("impl Default for Layout")[1]
    numbers = re.findall(r"exact: ([\d_]+), gauges: ([\d_]+), sums: ([\d_]+), rows: ([\d_]+)", layout)[0]
    exact, gauges, sums, rows = (f"{int(number):,}" for number in numbers)
    assert f"{exact} exact cells, {gauges} gauges and {sums} sums, and for {rows} workers" in " ".join(page.split())


def test_the_catalogue_is_documented() -> None:
    page = (REFERENCE / "providers.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| (\S+) \| `([^`]+)` \| `([^`]+)` \|$", page, re.MULTILINE)
    assert rows == [(name, known.dialect, known.url, known.key_variable) for name, known in CATALOGUE.items()]


def test_the_page_on_migration_names_what_exists() -> None:
    page = (ROOT / "docs" / "migrate.md").read_text()
    assert set(re.findall(r"`(edgeroute_\w+)", page)) <= set(FAMILIES)
    headers = (REFERENCE / "endpoints.md").read_text()
    assert all(name in headers for name in re.findall(r"`(x-edgeroute-[a-z-]+)`", page))
    variables = {name for name, *_ in _native.rule_variables()}
    ours = page.split("edgeroute has `prompt_tokens`")[1].split("besides")[0]
    assert {"prompt_tokens", *re.findall(r"`(\w+)`", ours)} <= variables
