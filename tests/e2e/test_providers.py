"""What the configuration says of a provider: credentials, headers, deadlines, authorities, proxies; and who asks."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from e2e_config import basic_config
from e2e_provider import JSON, OK, Headers, Provider
from e2e_router import Config, Router
from e2e_tls import Authority, Proxy
from waiting import wait_for

Start = Callable[[Config], Router]

USED_UP = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


def with_provider(provider: Provider, **settings: Any) -> Config:
    """A model `hosted` of a provider `hosted` with these settings."""
    config = basic_config()
    config["providers"]["hosted"] = {"dialect": "openai-chat", "url": provider.url, **settings}
    config["models"]["hosted"] = "hosted/llama"
    return config


def logged(router: Router, request: str) -> dict[str, Any]:
    """The log line of a request."""
    line = wait_for(lambda: [line for line in router.said().splitlines() if f'"id":"{request}"' in line])
    return json.loads(line[0])


# Credentials


def test_an_account_that_is_used_up_is_followed_by_the_next(start: Start, stack: ExitStack) -> None:
    def reply(headers: Headers) -> bytes:
        return OK if headers["authorization"] == "Bearer sk-second" else USED_UP % (len(JSON), JSON)

    provider = stack.enter_context(closing(Provider(reply).listen()))
    router = start(with_provider(provider, api_keys=["sk-first", "sk-second"]))
    attempts: list[int] = []
    for number in range(6):
        answer = router.chat("hosted", headers={"x-request-id": f"account-{number}"})
        assert answer.status == 200
        attempts.append(int(answer.headers["x-edgeroute-attempts"]))
        record = logged(router, f"account-{number}")
        assert record["credential"] == 2
        failed = ["hosted/llama credential 1: status 429"] if attempts[-1] == 2 else None
        assert record.get("failed") == failed
    assert attempts == [2, 1, 2, 1, 2, 1], "they take turns"
    assert "sk-first" not in router.said()


def test_when_all_accounts_are_used_up_the_client_is_told_so(start: Start, stack: ExitStack) -> None:
    provider = stack.enter_context(closing(Provider(USED_UP % (len(JSON), JSON)).listen()))
    router = start(with_provider(provider, api_keys=["sk-first", "sk-second"]))
    answer = router.chat("hosted")
    assert (answer.status, answer.headers["x-edgeroute-attempts"]) == (429, "2")
    assert {headers["authorization"] for headers in provider.received} == {"Bearer sk-first", "Bearer sk-second"}


# Headers


def test_headers_of_a_provider_arrive_and_win(start: Start, stack: ExitStack) -> None:
    provider = stack.enter_context(closing(Provider().listen()))
    settings = {"openai-organization": "org-ours", "OpenAI-Beta": "ours"}
    router = start(with_provider(provider, api_key="sk-upstream", headers=settings))
    theirs = {"openai-organization": "org-theirs", "openai-beta": "theirs"}
    for headers in ({}, theirs):
        assert router.chat("hosted", headers=headers).status == 200
        received = provider.received.pop()
        assert received["authorization"] == "Bearer sk-upstream"
        assert (received["openai-organization"], received["openai-beta"]) == ("org-ours", "ours")


# Deadlines


def test_a_target_that_is_slow_to_answer_is_left_for_the_next(start: Start) -> None:
    config = basic_config()
    slow = {"target": "one/mock-delay-60000", "timeouts": {"first_byte": "50ms"}}
    config["models"]["patient"] = {"targets": [slow, "two/gpt-5.5"]}
    router = start(config)
    answer = router.chat("patient", headers={"x-request-id": "slow"})
    assert (answer.status, answer.chosen()[1]) == (200, "two/gpt-5.5")
    assert logged(router, "slow")["failed"] == ["one/mock-delay-60000: first_byte_timeout"]


# Who asks


@pytest.mark.parametrize("trusted", [["127.0.0.0/8"], ["10.0.0.0/8"], []])
def test_rules_see_the_client_behind_a_trusted_proxy(start: Start, face: str, trusted: list[str]) -> None:
    config = basic_config(interface=face, trusted_proxies=trusted)
    config["rules"] = [
        {"name": "office", "when": 'client_ip.startsWith("198.51.100.")', "model": "smart"},
        {"name": "local", "when": 'client_ip == "127.0.0.1"', "model": "fast"},
    ]
    router = start(config)
    behind = {"x-forwarded-for": "203.0.113.1, 198.51.100.7, 127.0.0.9", "x-request-id": "behind"}
    believed = trusted == ["127.0.0.0/8"]
    assert router.chat("embed", headers=behind).chosen()[2] == ("office" if believed else "local")
    assert logged(router, "behind")["client"] == ("198.51.100.7" if believed else "127.0.0.1")
    assert router.chat("embed").chosen()[2] == "local"


# The way to a provider


def test_a_provider_with_an_authority_of_its_own(start: Start, stack: ExitStack, authority: Authority) -> None:
    provider = stack.enter_context(closing(Provider(tls=authority.server()).listen()))
    config = with_provider(provider, ca_file=str(authority.file))
    config["providers"]["distrusted"] = {"dialect": "openai-chat", "url": provider.url}
    config["models"]["distrusted"] = "distrusted/llama"
    router = start(config)
    assert router.chat("hosted").status == 200
    answer = router.chat("distrusted", headers={"x-request-id": "distrusted"})
    assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_unreachable")
    assert "certificate" in logged(router, "distrusted")["detail"]
    assert provider.served == 1


def test_a_provider_behind_a_proxy(start: Start, stack: ExitStack, authority: Authority) -> None:
    provider = stack.enter_context(closing(Provider(tls=authority.server()).listen()))
    proxy = stack.enter_context(closing(Proxy("Basic " + b64encode(b"user:pass@word").decode())))
    config = with_provider(provider, ca_file=str(authority.file), proxy=f"http://user:pass%40word@{proxy.address}")
    refused = {"proxy": f"http://user:wrong-secret@{proxy.address}"}
    config["providers"]["refused"] = config["providers"]["hosted"] | refused
    config["models"]["refused"] = "refused/llama"
    router = start(config)
    for _ in range(3):
        assert router.chat("hosted").status == 200
    assert proxy.targets == [provider.address], "one tunnel is used again"
    assert "proxy-authorization" not in provider.received[0], "which is between router and proxy"
    answer = router.chat("refused", headers={"x-request-id": "refused"})
    assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_unreachable")
    assert proxy.address in logged(router, "refused")["detail"]
    assert "wrong-secret" not in router.said()


def test_a_certificate_file_that_is_none(start: Start, stack: ExitStack, tmp_path: Path) -> None:
    """A reload with a file that holds no certificate changes nothing."""
    provider = stack.enter_context(closing(Provider().listen()))
    config = with_provider(provider)
    router = start(config)
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    config["providers"]["hosted"]["ca_file"] = str(empty)
    router.configure(config)
    wait_for(lambda: "ca_file" in router.said())
    assert router.chat("hosted").status == 200
