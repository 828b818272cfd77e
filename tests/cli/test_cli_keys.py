"""`edgeroute keys`: what it prints is taken by the configuration, and a key is never an argument."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from command_line import QUICKSTART, edgeroute

KEY = "sk-edgeroute-demo"
HASH = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"


def test_a_new_key_is_accepted_by_the_configuration(tmp_path: Path):
    code, out, error = edgeroute("keys", "new", "mobile", "--team", "demo")
    assert (code, error) == (0, "")
    key, line = (each.strip() for each in out.splitlines() if each.startswith("  "))
    assert key.startswith("sk-")
    assert len(key) >= 43
    file = tmp_path / "edgeroute.yaml"
    file.write_text(f"{QUICKSTART.read_text()}\n  {line}\n")
    assert "2 virtual keys" in edgeroute("check", "-c", file)[1]
    assert yaml.safe_load(line) == {
        "mobile": {"team": "demo", "hash": f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"}
    }
    assert edgeroute("keys", "new", "mobile")[1] != out


@pytest.mark.parametrize("name", ["on", "True", "null", "Null", "12", "1e3", "0x1f", "1.5", "n", "2026-11-21", "a@b.c"])
def test_a_name_that_yaml_would_misread_is_quoted(name: str):
    out = edgeroute("keys", "new", name, "--team", name)[1]
    ((found, settings),) = yaml.safe_load(out.splitlines()[-1]).items()
    assert (found, settings["team"]) == (name, name)


def test_new_in_json():
    made = json.loads(edgeroute("keys", "new", "mobile", "--json")[1])
    assert made["hash"] == f"sha256:{hashlib.sha256(made['key'].encode()).hexdigest()}"
    assert (made["name"], made["team"]) == ("mobile", None)


@pytest.mark.parametrize("name", ["", " ", "a b", "é", "x" * 65, "a/b", "a:b"])
def test_a_name_that_the_configuration_refuses_is_refused(name: str):
    code, out, error = edgeroute("keys", "new", name)
    assert (code, out) == (2, "")
    assert "a name is letters, digits" in error


@pytest.mark.parametrize("given", [KEY, f"{KEY}\n", f"{KEY}\r\n", f" {KEY} \n\n"])
def test_the_hash_of_a_key(given: str):
    assert edgeroute("keys", "hash", given=given) == (0, f"{HASH}\n", "")
    assert json.loads(edgeroute("keys", "hash", "--json", given=given)[1]) == {"hash": HASH}


@pytest.mark.parametrize("given", ["", "\n", "two words", "one\ntwo", "schlüssel", "a\0b", "x" * 70_000])
def test_what_cannot_be_a_key(given: str):
    code, out, error = edgeroute("keys", "hash", given=given)
    assert (code, out) == (2, "")
    assert error.startswith("error: ")
    assert given.strip() == "" or given not in error


def test_a_key_as_argument_is_refused_and_not_repeated():
    code, out, error = edgeroute("keys", "hash", "sk-canary")
    assert (code, out) == (2, "")
    assert "shell's history" in error
    assert "sk-canary" not in error
