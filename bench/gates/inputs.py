"""What all counts share: the policy of `make bench`, the provider's answers, and what was built."""

import hashlib
import json
import os
import re
import socket
from pathlib import Path
from typing import Literal

from edgeroute.config import load

Face = Literal["asgi", "rsgi"]
FACES: tuple[Face, ...] = ("asgi", "rsgi")

KEY = "sk-bench-key"
VARIETY = 1_024
"""Different requests that take turns."""

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_WORDS = ("ocean", "maple", "harbor", "canyon", "violet", "lantern", "meadow", "copper", "winter", "signal")


def built(name: str) -> Path:
    """What `cargo build --release -p edgeroute-gates` left."""
    path = Path(os.environ.get("CARGO_TARGET_DIR", _ROOT / "target")) / "release" / name
    if not path.is_file():
        raise SystemExit(f"{path} is missing; `make gates` builds it")
    return path


def configuration(directory: Path, face: Face, *, listen: str, admin: str, provider: str) -> Path:
    """`bench/policy.yaml`, filled in."""
    values = {
        "LISTEN": listen, "ADMIN": admin, "INTERFACE": face, "WORKERS": "1",
        "PROVIDER": f"http://{provider}/v1", "TRUST": "", "CONNECTIONS": "4096", "REQUESTS": "2048",
        "HASH": hashlib.sha256(KEY.encode()).hexdigest(), "CACHED": "",
    }  # fmt: skip
    path = directory / f"{face}.yaml"
    template = (_HERE.parent / "policy.yaml").read_text()
    path.write_text(re.sub("@([A-Z]+)@", lambda name: values[name[1]], template))
    return path


def normalised(directory: Path, face: Face = "asgi", provider: str = "127.0.0.1:9") -> Path:
    """The same as workers get it."""
    written = configuration(directory, face, listen="127.0.0.1:4000", admin="127.0.0.1:9400", provider=provider)
    path = directory / f"{face}.json"
    path.write_bytes(load(written, {"PROVIDER_KEY": "sk-provider"}).normalised)
    return path


def bodies(*, stream: bool) -> list[bytes]:
    """Chat requests of about 0.9 kB."""

    def body(number: int) -> bytes:
        text = " ".join(_WORDS[(number * 31 + at * at + at) % len(_WORDS)] for at in range(110))
        messages = [{"role": "user", "content": f'Question {number}: "{text}"\n'}]
        fields = {"model": "gpt-4o-mini", "temperature": 0.5, "max_tokens": 100 + number % 400, "messages": messages}
        return json.dumps(fields | {"stream": True} if stream else fields).encode()

    return [body(number) for number in range(VARIETY)]


def fields(body: bytes) -> dict[str, str]:
    """Header fields like those of an SDK."""
    names = ("stainless-lang", "stainless-os", "stainless-arch", "stainless-runtime")
    return {
        "host": "127.0.0.1:4000", "accept": "application/json", "accept-encoding": "gzip, deflate",
        "user-agent": "OpenAI/Python 3.52.0", **{f"x-{name}": "value" for name in names},
        "authorization": f"Bearer {KEY}", "content-type": "application/json", "content-length": str(len(body)),
    }  # fmt: skip


_REPLY = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1790000000, "model": "a",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "The ocean."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 180, "completion_tokens": 12, "total_tokens": 192},
}).encode()  # fmt: skip
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_REPLY), _REPLY)
"""The provider's whole response."""


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(fields: dict[str, object]) -> bytes:
    return b"data: " + json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk"} | fields).encode() + b"\n\n"


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = _chunk(_event({"choices": [{"index": 0, "delta": {"content": "ocean "}, "finish_reason": None}]}))
"""One event of a stream, in the chunk that it has for itself."""
END = (
    _chunk(_event({"choices": [], "usage": {"prompt_tokens": 180, "completion_tokens": 12, "total_tokens": 192}}))
    + _chunk(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)


def read_message(connection: socket.socket) -> None:
    """Take one request, or response, of declared length; blocks."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += some(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    declared = re.search(rb"(?i)content-length: (\d+)", head)
    assert declared is not None
    left = int(declared[1]) - len(body)
    while left > 0:
        left -= len(some(connection))


def some(connection: socket.socket) -> bytes:
    """Bytes that arrive next; blocks. Raises ConnectionError at the end."""
    data = connection.recv(1 << 16)
    if not data:
        raise ConnectionError("the other side hung up")
    return data
