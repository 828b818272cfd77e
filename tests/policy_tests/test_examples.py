"""The policies in config/examples: they are right, their tests pass, and fail when a rule is broken."""

import re
from pathlib import Path

import pytest
from command_line import edgeroute

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
POLICIES = sorted(path.name for path in EXAMPLES.glob("*.yaml") if not path.name.endswith(".test.yaml"))
CONDITION = re.compile(r"(?<=when: ')(?:[^'\n]|'')*(?=')")
CREDENTIALS = {f"{name}_API_KEY": "none" for name in ("OPENAI", "GEMINI", "ANTHROPIC", "MISTRAL")}


def rules(policy: str) -> list[str]:
    return re.findall(r"\bname: ([a-z-]+)(?=,|\s)", (EXAMPLES / policy).read_text().split("\nrules:\n")[1])


def test_the_page_lists_them():
    assert len(POLICIES) == 12
    page = (EXAMPLES / "README.md").read_text()
    assert sorted(re.findall(r"^\| \[([a-z-]+\.yaml)\]", page, re.MULTILINE)) == POLICIES


@pytest.mark.parametrize("policy", POLICIES)
def test_it_is_right(policy: str):
    code, out, error = edgeroute("check", "-c", EXAMPLES / policy, "--notes", folder=None, **CREDENTIALS)
    assert code == 0
    assert f"{policy}: ok (" in out
    found = [line for line in error.splitlines() if re.search(r": (error|warning|note): ", line)]
    assert found, "whoever copies it is told that its keys are nobody's"
    assert all("is a placeholder: no key has it" in line for line in found)


@pytest.mark.parametrize("policy", POLICIES)
def test_its_tests_pass_without_credentials(policy: str):
    code, out, error = edgeroute("test", EXAMPLES / policy.replace(".yaml", ".test.yaml"))
    assert (code, error) == (0, "")
    assert out.endswith(" passed, 0 failed\n")


@pytest.mark.parametrize("instead", ["false", "true"])
@pytest.mark.parametrize(
    ("policy", "place"),
    [(policy, place) for policy in POLICIES for place in range(len(rules(policy)))],
)
def test_its_tests_fail_when_a_rule_is_broken(tmp_path: Path, policy: str, place: int, instead: str):
    text = (EXAMPLES / policy).read_text()
    conditions = list(CONDITION.finditer(text))
    assert len(conditions) == len(rules(policy))
    broken = conditions[place]
    if broken.group() == instead:
        return
    (tmp_path / policy).write_text(text[: broken.start()] + instead + text[broken.end() :])
    tests = policy.replace(".yaml", ".test.yaml")
    (tmp_path / tests).write_text((EXAMPLES / tests).read_text())
    code, out, error = edgeroute("test", tmp_path / tests)
    assert (code, error) == (1, ""), f"nothing tests {rules(policy)[place]}"
    assert rules(policy)[place] in out
