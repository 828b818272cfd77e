"""What edgeroute itself says in each wire protocol: errors, error events and lists of models.

Bodies between clients and providers pass as they are; their spans are found and spliced in Rust.
"""

from typing import Protocol

from edgeroute.dialects import anthropic_messages, openai_chat, openai_responses


class Dialect(Protocol):
    """One wire protocol; each module of this package is one. All bodies are JSON bytes."""

    def error(self, status: int, code: str, message: str, field: str | None, request_id: str | None) -> bytes:
        """The body of an error response."""
        ...

    def error_event(self, code: str, message: str, request_id: str, sequence_number: int) -> bytes:
        """A whole server-sent event that ends a broken stream; `sequence_number` is its place among the events."""
        ...

    def model(self, name: str) -> bytes:
        """The description of one model."""
        ...

    def models(self, names: list[str]) -> bytes:
        """The list of models that a key may ask for."""
        ...


DIALECTS: dict[str, Dialect] = {
    "openai-chat": openai_chat,
    "openai-responses": openai_responses,
    "anthropic-messages": anthropic_messages,
}
"""By the name that Rust uses."""
