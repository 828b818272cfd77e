"""The least that an application under granian can do: read the request, answer with what the mock would say.

What a leg of this costs is the server's share of what edgeroute costs.
"""

from collections.abc import Awaitable, Callable
from typing import Any

ANSWER = b'{"object":"chat.completion","choices":[{"message":{"content":"' + b"a reply of the mock. " * 20 + b'"}}]}'
FIELDS = [("content-type", "application/json"), ("content-length", str(len(ANSWER)))]
RAW_FIELDS = [(name.encode(), value.encode()) for name, value in FIELDS]


class App:
    """Both faces."""

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """ASGI; granian starts it without lifespan when it raises."""
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": RAW_FIELDS})
        await send({"type": "http.response.body", "body": ANSWER, "more_body": False})

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """RSGI."""
        await protocol()
        protocol.response_bytes(200, FIELDS, ANSWER)


app = App()
