"""Where settings come from besides the file: options, variables, and the environment alone."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from edgeroute.config import Config, ConfigError, Loaded, configuration_from, load, load_environment

FILE = """
listen: 127.0.0.1:1000
workers: 2
providers: {openai: {api_key: "${OPENAI_API_KEY}"}}
models: {fast: openai/gpt-5-mini}
virtual_keys: {demo: {hash: "sha256:2904cb91b4d3e13d761f8ea8a47d42158ae6729fe2c90764d9b3b0294140812e"}}
"""
OPENAI = {"OPENAI_API_KEY": "sk-do-not-print"}
KEYS = {**OPENAI, "ANTHROPIC_API_KEY": "sk-do-not-print", "EDGEROUTE_KEY": "sk-mine-do-not-print"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "edgeroute.yaml"
    path.write_text(FILE)
    return path


def test_options_override_variables_and_these_the_file(path: Path) -> None:
    def check(environ: Mapping[str, str], options: Mapping[str, str], *expected: object) -> None:
        config = load(path, {**OPENAI, **environ}, options).config
        assert (config.listen, config.admin, config.workers, config.log) == expected

    check({}, {}, "127.0.0.1:1000", "127.0.0.1:9400", 2, "text")
    check({"EDGEROUTE_LISTEN": "[::]:2"}, {}, "[::]:2", "127.0.0.1:9400", 2, "text")
    check({"EDGEROUTE_WORKERS": "3"}, {"workers": "4"}, "127.0.0.1:1000", "127.0.0.1:9400", 4, "text")
    check({"EDGEROUTE_LOG": "json"}, {"admin": "127.0.0.1:7"}, "127.0.0.1:1000", "127.0.0.1:7", 2, "json")


def test_a_wrong_override_names_the_variable_or_the_option(path: Path) -> None:
    def check(environ: Mapping[str, str], options: Mapping[str, str], *expected: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load(path, {**OPENAI, **environ}, options)
        assert [str(each).split("\n")[0] for each in caught.value.diagnostics] == list(expected)

    check(
        {"EDGEROUTE_WORKERS": "many", "EDGEROUTE_LOG": ""},
        {"listen": "here", "admin": "127.0.0.1:1"},
        "--listen:1:1: error: this is not an address to listen on",
        'EDGEROUTE_WORKERS:1:1: error: "workers" must be a whole number, digits only, not "many"',
        'EDGEROUTE_LOG:1:1: error: "log" must be "json" or "text", not ""',
    )
    check({}, {"workers": "65"}, '--workers:1:1: error: "workers" must be from 1 to 64, not "65"')
    check(
        {"EDGEROUTE_ADMIN": "127.0.0.1:1000"},
        {},
        f'{path}:2:9: error: "listen" and "admin" (from EDGEROUTE_ADMIN) cannot both listen on one address',
    )


def test_a_variable_that_is_nearly_ours_is_told(path: Path) -> None:
    def check(variable: str, *expected: str) -> None:
        assert [str(each) for each in load(path, {**OPENAI, variable: "x"}).warnings] == list(expected)

    told = "the environment: warning: nothing reads EDGEROUTE_WORKRES\n  = help: did you mean EDGEROUTE_WORKERS?"
    check("EDGEROUTE_WORKRES", told)
    check("EDGEROUTE_ADMIN_KEY")
    check("EDGEROUTE_INTERNAL_LOG")
    check("EDGEROUTE_SOMETHING_OF_MINE")


def test_the_configuration_of_an_environment() -> None:
    loaded = load_environment({**KEYS, "GROQ_API_KEY": "", "EDGEROUTE_LISTEN": "0.0.0.0:80"})
    assert loaded.warnings == []
    assert loaded.watched == []
    assert list(loaded.config.providers) == ["anthropic", "openai"]
    assert list(loaded.config.models) == ["anthropic/*", "openai/*", "*"]
    assert loaded.config.virtual_keys["default"].hash == hashlib.sha256(b"sk-mine-do-not-print").hexdigest()
    assert loaded.config.listen == "0.0.0.0:80"


def test_the_pool_has_the_best_known_provider_of_each_dialect() -> None:
    def check(variables: list[str], expected: list[str]) -> None:
        text = configuration_from({**dict.fromkeys(variables, "x"), "EDGEROUTE_KEY": "k"})
        assert yaml.safe_load(text)["models"]["*"] == {"targets": expected}

    check(["ANTHROPIC_API_KEY"], ["anthropic/*"])
    check(["GROQ_API_KEY", "XAI_API_KEY"], ["groq/*"])
    check(["GROQ_API_KEY", "OPENROUTER_API_KEY", "ANTHROPIC_API_KEY"], ["anthropic/*", "openrouter/*"])
    check(["ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "OPENAI_API_KEY"], ["openai/*", "anthropic/*"])


def test_it_can_be_saved_and_loaded_and_holds_no_secret(tmp_path: Path) -> None:
    text = configuration_from(KEYS)
    assert "do-not-print" not in text
    saved = tmp_path / "edgeroute.yaml"
    saved.write_text(text)
    assert load(saved, KEYS).normalised == load_environment(KEYS).normalised


def test_an_environment_that_is_not_enough() -> None:
    def check(environ: Mapping[str, str], expected: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load_environment(environ)
        assert str(caught.value).startswith(f"the environment: error: {expected}")
        assert "do-not-print" not in str(caught.value)

    check({}, "there is no edgeroute.yaml here, and no key of a provider in the environment\n  = help: name a file")
    check(OPENAI, "EDGEROUTE_KEY: a credential is printable ASCII")
    check({**OPENAI, "EDGEROUTE_KEY": "two do-not-print"}, "EDGEROUTE_KEY: a credential is printable ASCII")


def test_mistakes_in_it_are_shown_in_the_text_that_was_made() -> None:
    with pytest.raises(ConfigError) as caught:
        load_environment({"OPENAI_API_KEY": "do-not-print\n", "EDGEROUTE_KEY": "k"})
    assert "the environment:3:21: error: a credential is printable ASCII" in str(caught.value)


def test_config_load_is_for_programs(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = Config.load(str(path), {**OPENAI, "EDGEROUTE_LOGS": "json"})
    assert isinstance(config, Config)
    assert config.workers == 2
    assert "nothing reads EDGEROUTE_LOGS" in caplog.text
    with pytest.raises(ConfigError):
        Config.load(path, {})


def test_a_loaded_configuration_shows_no_secret(path: Path) -> None:
    loaded: Loaded = load(path, OPENAI)
    assert "do-not-print" not in f"{loaded}{loaded.config}"


def test_bytes_of_the_environment_that_are_no_text_are_told_with_their_variable(path: Path) -> None:
    """The kernel takes any bytes; Python shows those that are not UTF-8 as surrogates, which nothing can write."""

    def check(addition: str, environ: Mapping[str, str], place: str, message: str) -> None:
        path.write_text(FILE + addition)
        with pytest.raises(ConfigError) as caught:
            load(path, {**OPENAI, **environ})
        [diagnostic] = caught.value.diagnostics
        assert (f"{diagnostic.path}:{diagnostic.line}", diagnostic.message) == (place, message)
        assert str(caught.value).isascii()

    named = "environment variable X is not UTF-8 text"
    check('rules: [{name: a, when: stream, reject: "x ${X}"}]\n', {"X": "caf\udce9"}, f"{path}:7", named)
    check('log: "${X}"\n', {"X": "\udcff"}, f"{path}:7", named)
    check("", {"EDGEROUTE_LOG": "\udcff"}, "EDGEROUTE_LOG:0", "this is not UTF-8 text")
    unset = "environment variable XYZ is not set"
    check('rules: [{name: a, when: stream, reject: "${XYZ}"}]\n', {"XYZ\udcff": "a"}, f"{path}:7", unset)
    path.write_text(FILE)
    assert not load(path, {**OPENAI, "EDGEROUTE_WORKERS\udcff": "1", "OTHER": "\udcff"}).warnings
