"""`edgeroute rules explain`: the strategy, and what each rule is tried for."""

import json
from pathlib import Path

from command_line import QUICKSTART, edgeroute


def test_each_rule_is_told_with_what_it_is_looked_up_by():
    code, out, error = edgeroute("rules", "explain", "-c", QUICKSTART)
    assert (code, error) == (0, "")
    assert (
        out
        == """\
2 rules, searched by index: each rule is looked up by the values that it needs
1 without a value to be looked up by
2 different tests, 0 shared by several rules

rule         looked up by                                                if absent
premium      headers["x-tier"] == "premium"                              passed over
near-limit   nothing: no == or in decides alone that it does not match
"""
    )


def test_many_rules_are_looked_up(tmp_path: Path):
    (file := tmp_path / "edgeroute.yaml").write_text(with_rules(40))
    code, out, _ = edgeroute("rules", "explain", "-c", file)
    assert code == 0
    assert out.startswith("41 rules, searched by index: each rule is looked up by the values that it needs\n0 without")
    assert 'listed   params["p"] in ["0", "1", "2", "3", "4", … 4 more]   passed over\n' in out


def test_one_rule_is_just_tried(tmp_path: Path):
    (file := tmp_path / "edgeroute.yaml").write_text(with_rules(0))
    out = edgeroute("rules", "explain", "-c", file)[1]
    assert out.startswith("1 rule, searched one after the other: there is only one")
    assert "rule     could be looked up by" in out


def test_json(tmp_path: Path):
    (file := tmp_path / "edgeroute.yaml").write_text(with_rules(1))
    code, out, _ = edgeroute("rules", "explain", "-c", file, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["strategy"] == "hash"
    assert found["rules"][1] == {
        "name": "r0", "guard": {"attribute": 'headers["x-team"]', "values": ['"0"']}, "tried_if_absent": False,
    }  # fmt: skip


def test_no_rules(tmp_path: Path):
    head, _, rest = QUICKSTART.read_text().partition("rules:")
    (file := tmp_path / "edgeroute.yaml").write_text(f"{head}teams:{rest.partition('teams:')[2]}")
    assert edgeroute("rules", "explain", "-c", file)[1] == "there are no rules\n"


def with_rules(count: int) -> str:
    rules = [{"name": "listed", "when": f'params["p"] in {json.dumps([*map(str, range(9))])}', "model": "fast"}]
    rules += [{"name": f"r{n}", "when": f'headers["x-team"] == "{n}"', "model": "fast"} for n in range(count)]
    head, _, rest = QUICKSTART.read_text().partition("rules:")
    return f"{head}rules: {json.dumps(rules)}\nteams:{rest.partition('teams:')[2]}"
