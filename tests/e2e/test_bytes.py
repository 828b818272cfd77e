"""What passes unchanged, byte for byte, and what does not pass at all."""

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from e2e_config import basic_config
from e2e_provider import JSON, Provider
from e2e_router import KEY, Config, Router

START = Callable[[Config], Router]
AUTHORIZED = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
ENDPOINTS = ["/v1/chat/completions", "/v1/embeddings", "/v1/messages"]
BODIES = 1_000
BATCH = 100
"""As many requests as the mock remembers."""


@pytest.fixture(scope="module")
def quick(start: START, face: str) -> Router:
    config = basic_config(workers=2, interface=face)
    config["mock"] = {"first_token": "0ms", "token_interval": "0ms"}
    config["models"]["smart"]["targets"] = ['one/quo"ted\\mödel', "claude/claude-opus-4-8"]
    return start(config)


class Writer:
    """Random JSON as text, in every way of writing that the grammar allows and no library would choose."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def space(self) -> str:
        return "".join(self._random.choices(" \t\r\n", k=self._random.choice([0, 0, 0, 1, 3])))

    def string(self) -> str:
        """Plain, escaped and needlessly escaped characters, of every plane."""
        return '"' + "".join(self._character() for _ in range(self._random.randrange(8))) + '"'

    def _character(self) -> str:
        character = self._random.choice('abc ~/éß漢😀\u2028\x7f"\\\n\t\x00model')
        units = character.encode("utf-16-be")
        escaped = "".join(f"\\u{units[at]:02X}{units[at + 1]:02x}" for at in range(0, len(units), 2))
        if character in '"\\' or character < " ":
            return escaped
        return self._random.choice([character, character, character, escaped, "\\/", "\\b", '\\"', "\\\\"])

    def number(self) -> str:
        return self._random.choice(
            ["0", "-0", "1.0", "1E+5", "0.1e-7", "18446744073709551616", "-" + "9" * 40, "1.7976931348623159e999"]
        )

    def value(self, depth: int = 0) -> str:
        kind = self._random.randrange(7 if depth < 4 else 5)
        if kind == 0:
            return self._random.choice(["null", "true", "false"])
        if kind in (1, 2):
            return self.number()
        if kind in (3, 4):
            return self.string()
        items = [self.value(depth + 1) for _ in range(self._random.randrange(4))]
        if kind == 5:
            return "[" + ",".join(self.space() + item + self.space() for item in items) + self.space() + "]"
        # Keys may repeat below the top: that is the provider's business.
        return self.object([(self._random.choice(['"model"', '"k"', self.string()]), item) for item in items])

    def object(self, fields: list[tuple[str, str]]) -> str:
        written = (f"{self.space()}{name}{self.space()}:{self.space()}{value}{self.space()}" for name, value in fields)
        return "{" + ",".join(written) + self.space() + "}"

    def request(self, endpoint: str) -> tuple[bytes, bytes]:
        """A body as a client sends it, and as the provider must get it."""
        fields = [('"messages"', self.value()), ('"input"', self.value()), ('"temperature"', self.number())]
        fields += [(json.dumps(f"unknown {number}"), self.value()) for number in range(self._random.randrange(4))]
        stream = self._random.choice([None, "true", "false", "null"])
        if stream is not None:
            fields.append(('"stream"', stream))
        upstream = '"claude-opus-4-8"' if endpoint.endswith("messages") else '"quo\\"ted\\\\mödel"'
        asked = self._random.choice(['"smart"', '"sm\\u0061rt"', '"\\u0073\\u006D\\u0061\\u0072\\u0074"'])
        self._random.shuffle(fields)
        fields.insert(
            self._random.randrange(len(fields) + 1), (self._random.choice(['"model"', '"mo\\u0064el"']), "MODEL")
        )
        body = self.space() + self.object(fields) + self.space()
        expected = body
        if stream == "true" and endpoint.endswith("completions"):
            expected = body.replace("{", '{"stream_options":{"include_usage":true},', 1)
        return body.replace("MODEL", asked).encode(), expected.replace("MODEL", upstream).encode()


def test_a_thousand_bodies_arrive_as_they_were_sent(quick: Router) -> None:
    def send(made: tuple[str, bytes]) -> None:
        endpoint, body = made
        # What the mock makes of them is its business: most of these bodies are no sensible request.
        status = quick.ask("POST", endpoint, body, AUTHORIZED).status
        assert status in (200, 400), (status, body)

    made: list[tuple[str, bytes, bytes]] = []
    for seed in range(BODIES):
        endpoint = ENDPOINTS[seed % len(ENDPOINTS)]
        made.append((endpoint, *Writer(seed).request(endpoint)))
    arrived = 0
    with ThreadPoolExecutor(4) as pool:
        for begin in range(0, BODIES, BATCH):
            batch = made[begin : begin + BATCH]
            quick.mock.reset()
            list(pool.map(send, [(endpoint, body) for endpoint, body, _ in batch]))
            got = sorted((each["path"], each["body"]) for each in quick.mock.requests())
            assert got == sorted((endpoint, expected) for endpoint, _, expected in batch)
            arrived += len(got)
    assert arrived == BODIES


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        (b'{"model":"fast"}', b'{"model":"gpt-5-mini"}'),
        (
            b'{"model":"fast","stream":true}',
            b'{"stream_options":{"include_usage":true},"model":"gpt-5-mini","stream":true}',
        ),
        (
            b'{"stream":true,"stream_options":{ },"model":"fast"}',
            b'{"stream":true,"stream_options":{"include_usage":true },"model":"gpt-5-mini"}',
        ),
        (
            b'{"stream":true,"stream_options": null ,"model":"fast"}',
            b'{"stream":true,"stream_options": {"include_usage":true} ,"model":"gpt-5-mini"}',
        ),
        (
            b'{"model":"fast","stream":true,"stream_options":{"x":1,"include_usage":false}}',
            b'{"model":"gpt-5-mini","stream":true,"stream_options":{"x":1,"include_usage":true}}',
        ),
        (
            b'{"model":"fast","stream":true,"stream_options":{"include_usage":true}}',
            b'{"model":"gpt-5-mini","stream":true,"stream_options":{"include_usage":true}}',
        ),
        (
            b'{"model":"fast","stream_options":{"include_usage":false}}',
            b'{"model":"gpt-5-mini","stream_options":{"include_usage":false}}',
        ),
        (b'{"messages":[{"model":"fast"}],"model":"fast"}', b'{"messages":[{"model":"fast"}],"model":"gpt-5-mini"}'),
        (b'{"model":"one/own/name"}', b'{"model":"own/name"}'),
    ],
)
def test_splices(router: Router, sent: bytes, arrives: bytes) -> None:
    router.ask("POST", "/v1/chat/completions", sent, AUTHORIZED)
    assert router.mock.requests()[-1]["body"] == arrives


# Headers

SECRETS = {
    "authorization": f"Bearer {KEY}",
    "cookie": "session=client-cookie",
    "host": "router.example",
    "user-agent": "client-agent",
    "x-tier": "basic",
    "x-edgeroute-tag": "ours",
    "x-forwarded-for": "10.1.2.3",
    "x-request-id": "client-request",
    "x-stainless-lang": "client-sdk",
    "accept-encoding": "gzip, br",
    "connection": "keep-alive, x-hop",
    "x-hop": "client-hop",
    "te": "trailers",
    "proxy-authorization": "Basic client-proxy",
    "content-type": "application/json; charset=utf-8",
    "idempotency-key": "once",
}
OPENAI_ONLY = {"openai-beta": "assistants=v2", "openai-organization": "client-organization"}
ANTHROPIC_ONLY = {"anthropic-beta": "tools-2025", "anthropic-version": "2024-01-01", "x-api-key": KEY}


def test_only_allowed_headers_reach_an_openai_provider(router: Router) -> None:
    answer = router.chat("fast", headers=SECRETS | OPENAI_ONLY | ANTHROPIC_ONLY)
    assert answer.status == 200
    request = router.mock.requests()[-1]
    assert sorted(request["headers"]) == sorted(
        [
            ["host", f"127.0.0.1:{router.mock.port}"],
            ["authorization", "Bearer sk-secret-of-one"],
            ["accept-encoding", "identity"],
            ["content-type", "application/json"],
            ["content-length", str(len(request["body"]))],
            ["openai-beta", "assistants=v2"],
        ]
    )


def test_only_allowed_headers_reach_an_anthropic_provider(router: Router) -> None:
    assert router.messages("fast", headers=SECRETS | OPENAI_ONLY | ANTHROPIC_ONLY).status == 200
    request = router.mock.requests()[-1]
    assert sorted(request["headers"]) == sorted(
        [
            ["host", f"127.0.0.1:{router.mock.port}"],
            ["x-api-key", "sk-secret-of-claude"],
            ["accept-encoding", "identity"],
            ["content-type", "application/json"],
            ["content-length", str(len(request["body"]))],
            ["anthropic-beta", "tools-2025"],
            ["anthropic-version", "2024-01-01"],
        ]
    )
    router.messages("fast")
    assert ["anthropic-version", "2023-06-01"] in router.mock.requests()[-1]["headers"], "what Anthropic requires"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_what_reaches_the_client(router: Router, stream: bool) -> None:
    """The mock says `server: edgeroute-mock` and `x-request-id: mock-…`, which are between it and us."""
    answer = router.chat("fast", stream=stream, headers={"x-request-id": "client-request-1"})
    assert answer.headers["server"] == "granian"
    assert answer.headers["x-request-id"] == "client-request-1"
    assert answer.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    assert int(answer.headers["x-edgeroute-overhead-us"]) > 0
    made = [router.chat("fast", stream=stream).headers["x-request-id"] for _ in range(2)]
    assert all(each.startswith("req_") for each in made)
    assert made[0] != made[1]


def test_what_stays_between_provider_and_router(start: START, face: str) -> None:
    fields = {
        "content-type": "application/json",
        "date": "Thu, 01 Jan 1970 00:00:00 GMT",
        "server": "theirs",
        "set-cookie": "__cf=theirs",
        "strict-transport-security": "max-age=1",
        "alt-svc": "h3",
        "via": "theirs",
        "connection": "keep-alive, x-theirs-hop",
        "keep-alive": "timeout=5",
        "x-theirs-hop": "1",
        "x-request-id": "theirs",
        "x-edgeroute-model": "theirs",
        "x-edgeroute-unknown": "theirs",
        "content-length": str(len(JSON)),
    }
    passes = {"openai-processing-ms": "12", "x-ratelimit-remaining-tokens": "7", "cf-ray": "89-FRA"}
    head = "".join(f"{name}: {value}\r\n" for name, value in (fields | passes).items())
    provider = Provider(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + JSON).listen()
    with closing(provider):
        config = basic_config(interface=face)
        config["providers"]["theirs"] = {"dialect": "openai-chat", "url": provider.url}
        config["models"]["theirs"] = "theirs/llama"
        answer = start(config).chat("theirs")
    assert (answer.status, answer.body) == (200, JSON)
    assert answer.headers.pop("date") != fields["date"]
    assert answer.headers.pop("server") == "granian"
    assert answer.headers.pop("x-request-id").startswith("req_")
    assert int(answer.headers.pop("x-edgeroute-overhead-us")) > 0
    assert answer.headers == passes | {
        "content-type": "application/json",
        "content-length": str(len(JSON)),
        "x-edgeroute-model": "theirs",
        "x-edgeroute-target": "theirs/llama",
        "x-edgeroute-attempts": "1",
    }


@pytest.mark.parametrize("unfit", ["", "two words", "x" * 129, "käse"])
def test_an_unfit_request_id_is_replaced(router: Router, unfit: str) -> None:
    assert router.chat("fast", headers={"x-request-id": unfit}).headers["x-request-id"].startswith("req_")
