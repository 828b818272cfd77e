"""The conformance tests of CEL, through the public library."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from run_cel import failure, main, read_tests, same

from edgeroute.rules import Optional, TypeName, Uint

FOLDER = Path(__file__).parents[2].parent / "shared" / "cel-conformance"
FILES = sorted(FOLDER.glob("*.jsonl"))


@pytest.mark.skipif(not FILES, reason="there is no folder shared/cel-conformance beside the repository")
@pytest.mark.parametrize("path", FILES or [FOLDER], ids=lambda path: path.stem)
def test_conformance(path: Path) -> None:
    failed = {f"{test.section}/{test.name}": reason for test in read_tests(path) if (reason := failure(test))}
    assert not failed


def line(expr: str, expect: dict[str, Any], **options: Any) -> str:
    return json.dumps({"file": "f", "section": "s", "name": "n", "expr": expr, "expect": expect, **options})


INT = {"name": "x", "type": "int"}
TUPLE = {
    "name": "pair",
    "overloads": [
        {"id": "pair", "params": [{"param": "A"}], "result": {"abstract": "pair", "params": [{"param": "A"}]}},
        {"id": "of", "params": ["int", "string"], "result": "bool", "member": True},
    ],
}

PASSES = [
    line("1 + 1", {"value": {"int": "2"}}),
    line("1 + 1", {"type": "int", "value": {"int": "2"}}),
    line("0.0 / 0.0", {"value": {"double": "NaN"}}),
    line("{'a': [1u, b'b']}", {"value": {"map": [[{"string": "a"}, {"list": [{"uint": "1"}, {"bytes": "Yg=="}]}]]}}),
    line("[{}, null, true, int]", {"value": {"list": [{"map": []}, {"null": None}, {"bool": True}, {"type": "int"}]}}),
    line("1 / 0", {"error": True}),
    line("1 + 'a'", {"error": True}),
    line("1 + ", {"error": True}),
    line("true || 1 / 0 > 1", {"value": {"bool": True}}),
    line("1 + 'a' == 2 || true", {"value": {"bool": True}}, disable_check=True),
    line("[1].all(x, x > 0)", {"error": True}, disable_macros=True),
    line("x", {"value": {"int": "3"}}, bindings={"x": {"int": "3"}}),
    line("y", {"value": {"bool": True}}, bindings={"a.b.y": {"bool": True}}, container="a.b"),
    line("x + 1", {"type": "int"}, check_only=True, type_env=[INT]),
    line("x == 'a'", {"error": True}, check_only=True, type_env=[INT]),
    line("pair(1)", {"type": {"abstract": "pair", "params": ["int"]}}, check_only=True, type_env=[TUPLE]),
    line("1.pair('a')", {"type": "bool"}, check_only=True, type_env=[TUPLE]),
    line("x", {"value": {"duration": [1, 500]}}, bindings={"x": {"duration": [1, 500]}}),
    line("x", {"value": {"duration": [-1, -5000]}}, bindings={"x": {"duration": [-1, -5000]}}),
    line("x", {"value": {"timestamp": [-1, 1]}}, bindings={"x": {"timestamp": [-1, 1]}}),
    line("timestamp(1)", {"value": {"timestamp": [1, 0]}}),
    line("optional.of(1)", {"value": {"optional": {"int": "1"}}}),
]

FAILS = [
    line("1", {"value": {"uint": "1"}}),
    line("1", {"value": {"double": 1.0}}),
    line("1", {"type": "uint"}),
    line("1", {"error": True}),
    line("1 / 0", {"value": {"int": "0"}}),
    line("unknown", {"value": {"int": "0"}}),
    line("[1, 2]", {"value": {"list": [{"int": "2"}, {"int": "1"}]}}),
    line("{1: 2}", {"value": {"map": [[{"uint": "1"}, {"int": "2"}]]}}),
    line("x + 1", {"error": True}, check_only=True, type_env=[INT]),
    # A value that the library refuses is no error of a rule.
    line("x", {"error": True}, type_env=[INT], bindings={"x": {"string": "1"}}),
    line("1", {"value": {"something": "else"}}),
]


def test_what_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "good.jsonl").write_text("\n".join(PASSES))
    status = main([tmp_path / "good.jsonl"])
    assert capsys.readouterr().out == f"good: {len(PASSES)} passed, 0 failed\n{len(PASSES)} passed, 0 failed\n"
    assert status == 0


def test_what_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.jsonl").write_text("\n".join([*FAILS, PASSES[0]]))
    assert main([tmp_path / "bad.jsonl"]) == 1
    output = capsys.readouterr().out
    assert output.endswith(f"bad: 1 passed, {len(FAILS)} failed\n1 passed, {len(FAILS)} failed\n")
    assert "bad/s/n: 1\n    1, not Uint(1)\n" in output


@pytest.mark.parametrize(
    ("found", "expected", "equal"),
    [
        (1, 1, True),
        (1, True, False),
        (1, Uint(1), False),
        (1, 1.0, False),
        ("int", TypeName("int"), False),
        (math.nan, math.nan, True),
        ({1: [math.nan]}, {1: [math.nan]}, True),
        ({1: 2, 3: 4}, {3: 4, 1: 2}, True),
        ({1: 2}, {True: 2}, False),
        ({1: 2}, {1: 2, 3: 4}, False),
        ([1], [1, 1], False),
        (Optional(1), Optional(1.0), False),
        (Optional(), Optional(None), False),
        (None, False, False),
    ],
)
def test_values_are_the_same_by_type(found: object, expected: object, equal: bool) -> None:
    assert same(found, expected) == equal
    assert same(expected, found) == equal
