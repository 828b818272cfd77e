"""A provider whose answers are full of canaries; the model that it is asked for says how it behaves. And a Redis."""

import json
import socket
import socketserver
import ssl
import threading
from typing import Any

from canaries import canary

_ANSWER = canary("answer", "the answer {}")
_KEPT = canary("answer that is kept", "the kept answer {}")
_EVENT = canary("answer in events", "an event {}")
_ERROR = canary("error of a provider", "the error {}")
_UNREADABLE = canary("answer that nobody can read", "unreadable {}")


class CanaryProvider:
    """Listens on a port of its own; keeps every byte that it received and sent. With `tls` it speaks https."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[bytes] = []
        self.sent: list[bytes] = []
        self._over = threading.Event()
        provider = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while (request := self._read()) is not None:
                    head, body = request
                    provider.received.append(head + body)
                    data, then = _answer(head, json.loads(body))
                    provider.sent.append(data)
                    self.wfile.write(data)
                    if then == "hold":
                        provider._over.wait()
                    if then != "keep":
                        return

            def _read(self) -> tuple[bytes, bytes] | None:
                head, length = b"", 0
                if tls is None and self.request.recv(1, socket.MSG_PEEK) == b"\x16":  # a TLS handshake
                    self.wfile.write(_UNREADABLE.encode())
                    return None
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    head += line
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                return (head, self.rfile.read(length)) if length else None

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class CanaryRedis:
    """Refuses every command, as Redis does with one that it does not know: it repeats the arguments."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        redis = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while (said := self.request.recv(65_536)) != b"":
                    redis.received.append(said)
                    arguments = b" ".join(said.split(b"\r\n")[2::2])
                    self.wfile.write(b"-ERR unknown command, with args: " + arguments + b"\r\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _answer(head: bytes, body: dict[str, Any]) -> tuple[bytes, str]:
    """The bytes of an answer, and what becomes of the connection after them: keep, close or hold."""
    fields = {name: value.decode() for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))}
    credential = fields.get(b"authorization") or fields[b"x-api-key"]
    about_credential, about_header = (
        canary("error of a provider about a credential", f"{value} is not valid {{}}")
        for value in (credential, fields.get(b"x-gateway-key", ""))
    )
    match body["model"]:
        case "answer" if body.get("stream"):
            return _response(200, _events(head), "text/event-stream"), "keep"
        case "answer":
            return _response(200, _completion(head)), "keep"
        case "kept":
            return _response(200, kept_answer()), "keep"
        case "vectors":
            vectors = {"object": "list", "data": [{"index": 0, "embedding": [1.0, 2.0]}]}
            return _response(200, json.dumps(vectors).encode()), "keep"
        case "error-401":
            return _response(401, _error(about_credential)), "keep"
        case "error-403":
            return _response(403, _error(about_credential)), "keep"
        case "error-400-credential":
            return _response(400, _error(about_credential)), "keep"
        case "error-500-credential":
            return _response(500, _error(about_credential)), "keep"
        case "error-400-header":
            return _response(400, _error(about_header)), "keep"
        case "error-429-header":
            return _response(429, _error(about_header)), "keep"
        case "error-500-header":
            return _response(500, _error(about_header)), "keep"
        case "error-400-events":
            return _response(400, b"data: " + _error(about_credential) + b"\n\n", "text/event-stream"), "keep"
        case "error-400":
            return _response(400, _error(_ERROR)), "keep"
        case "error-429":
            return _response(429, _error(_ERROR)), "keep"
        case "error-500":
            return _response(500, _error(_ERROR)), "keep"
        case "error-in-html":
            return _response(502, f"<html>{_UNREADABLE}</html>".encode(), "text/html"), "keep"
        case "text":
            return _response(200, _UNREADABLE.encode(), "text/plain"), "keep"
        case "garbage":
            return f"{_UNREADABLE}\r\n\r\n".encode(), "close"
        case "garbage-in-the-head":
            return f"HTTP/1.1 200 {_UNREADABLE}\r\n{_UNREADABLE}\r\n\r\n".encode(), "close"
        case "cut" if body.get("stream"):
            return _response(200, _events(head, whole=False), "text/event-stream", 10_000), "close"
        case "cut":
            return _response(200, _UNREADABLE.encode(), length=10_000), "close"
        case "silence":
            return b"", "hold"
        case "hold":
            return _response(200, _events(head, whole=False), "text/event-stream", 10_000), "hold"
        case other:
            raise AssertionError(other)


def _response(status: int, body: bytes, media: str = "application/json", length: int | None = None) -> bytes:
    fields = {
        "content-type": media,
        "content-length": str(len(body) if length is None else length),
        "x-provider": canary("header of a provider"),
        "set-cookie": canary("cookie of a provider", "session={}"),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body


def _error(message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": "some_error", "message": message, "code": None}}).encode()


def _completion(head: bytes) -> bytes:
    if b"/embeddings" in head:
        return json.dumps({"object": "list", "data": [], "note": _ANSWER}).encode()
    if b"/count_tokens" in head:
        return json.dumps({"input_tokens": 3, "note": _ANSWER}).encode()
    if b"/messages" in head:
        content = [{"type": "text", "text": _ANSWER}]
        return json.dumps({"type": "message", "content": content, "usage": {"input_tokens": 3}}).encode()
    if b"/responses" in head:
        return json.dumps(_of_responses("completed", _ANSWER)).encode()
    if b"/chat/" not in head:
        return json.dumps({"object": "text_completion", "choices": [{"index": 0, "text": _ANSWER}]}).encode()
    choice = {"index": 0, "message": {"role": "assistant", "content": _ANSWER}}
    return json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


def kept_answer() -> bytes:
    """A whole answer, of which a cache has reason to keep it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": _KEPT}, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "choices": [choice]}).encode()


def _events(head: bytes, whole: bool = True) -> bytes:
    """A stream of one content event, and its end if it is whole."""
    if b"/messages" in head:
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": _EVENT}}
        events = f"event: content_block_delta\ndata: {json.dumps(delta)}\n\n"
        end = 'event: message_stop\ndata: {"type": "message_stop"}\n\n'
    elif b"/responses" in head:
        delta = {"type": "response.output_text.delta", "sequence_number": 0, "delta": _EVENT}
        last = {"type": "response.completed", "sequence_number": 1, "response": _of_responses("completed", _EVENT)}
        events, end = (f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in (delta, last))
    else:
        choice = {"index": 0, "delta": {"content": _EVENT}} if b"/chat/" in head else {"index": 0, "text": _EVENT}
        chunk = {"object": "chat.completion.chunk", "choices": [choice]}
        events = f"data: {json.dumps(chunk)}\n\n"
        end = "data: [DONE]\n\n"
    return (events + (end if whole else "data: {")).encode()


def _of_responses(status: str, text: str) -> dict[str, Any]:
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]
    return {"id": "resp_1", "object": "response", "status": status, "output": output}
