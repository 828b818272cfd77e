"""The least that an application under granian can do: read the request, answer with what the mock would say; or answer
unread that it is overloaded, at `/refuse`.

What a leg of this costs is the server's share of what edgeroute costs.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

ANSWER = b'{"object":"chat.completion","choices":[{"message":{"content":"' + b"a reply of the mock. " * 20 + b'"}}]}'
FIELDS = [("content-type", "application/json"), ("content-length", str(len(ANSWER)))]
RAW_FIELDS = [(name.encode(), value.encode()) for name, value in FIELDS]
REFUSE = "/refuse"
REFUSED = b'{"error":{"message":"too many requests are open","type":"overloaded"}}'
REFUSED_FIELDS = [("content-type", "application/json"), ("retry-after", "1")]
REFUSED_START = {
    "type": "http.response.start", "status": 503,
    "headers": [(name.encode(), value.encode()) for name, value in REFUSED_FIELDS],
}  # fmt: skip
REFUSED_BODY = {"type": "http.response.body", "body": REFUSED, "more_body": False}

if hasattr(os, "SCHED_BATCH"):
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # as workers of edgeroute


class App:
    """Both faces."""

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """ASGI; granian starts it without lifespan when it raises."""
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        if scope["path"] == REFUSE:
            await send(REFUSED_START)
            await send(REFUSED_BODY)
            return
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": RAW_FIELDS})
        await send({"type": "http.response.body", "body": ANSWER, "more_body": False})

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """RSGI."""
        if scope.path == REFUSE:
            protocol.response_bytes(503, REFUSED_FIELDS, REFUSED)
            return
        await protocol()
        protocol.response_bytes(200, FIELDS, ANSWER)


app = App()
