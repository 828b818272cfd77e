"""Mixed users for locust: both dialects, whole and streamed, rules and refusals. Every answer is checked.

Started by bench/run.py; alone: locust -f bench/locustfile.py --host http://127.0.0.1:4000 --policy off
"""

# Half of locust's interface has no types.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import random
from argparse import ArgumentParser

from behaviour import broken_reply, broken_stream
from legs import KEY, MODEL
from locust import FastHttpUser, events, task

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
WORDS = ["ocean", "maple", "harbor", "canyon", "violet", "lantern", "meadow", "copper", "winter", "signal"]


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--policy", choices=["on", "off"], default="off", help="policy.yaml or plain.yaml")


class Caller(FastHttpUser):
    """Somebody with a key, who calls again as soon as there is an answer."""

    abstract = True
    key = KEY

    def ask(
        self,
        name: str,
        path: str,
        model: str,
        *,
        stream: bool = False,
        headers: dict[str, str] | None = None,
        status: int = 200,
        served_as: str | None = None,
    ) -> None:
        """Ask a model; the answer must have this status, come from this model and be whole."""
        text = " ".join(random.choices(WORDS, k=100))
        body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
        if stream:
            body["stream"] = True
        sent = {"authorization": f"Bearer {self.key}", **(headers or {})}
        with self.client.post(path, name=name, json=body, headers=sent, catch_response=True) as response:
            content: bytes = response.content or b""
            answered_by = (response.headers or {}).get("x-edgeroute-model")
            if response.status_code != status:
                response.failure(f"status {response.status_code} instead of {status}: {content[:200]!r}")
            elif status != 200:
                response.success()
            elif answered_by != (served_as or model):
                response.failure(f"answered by {answered_by} instead of {served_as or model}")
            elif wrong := broken_stream(content) if stream else broken_reply(content):
                response.failure(wrong)


class OpenAiUser(Caller):
    """Chats in OpenAI's dialect."""

    weight = 8

    @task(20)
    def chat(self) -> None:
        self.ask("chat", CHAT, MODEL)

    @task(1)
    def stream(self) -> None:
        self.ask("chat stream", CHAT, MODEL, stream=True)


class AnthropicUser(Caller):
    """Chats in Anthropic's dialect."""

    weight = 4

    @task(20)
    def message(self) -> None:
        self.ask("message", MESSAGES, "claude")

    @task(1)
    def stream(self) -> None:
        self.ask("message stream", MESSAGES, "claude", stream=True)


class PolicyUser(Caller):
    """Meets the rules where there are any."""

    weight = 2

    @task
    def premium(self) -> None:
        served_as = "large" if self.policy_is_on() else MODEL
        self.ask("rule chooses", CHAT, MODEL, headers={"x-tier": "premium"}, served_as=served_as)

    @task
    def blocked(self) -> None:
        status = 403 if self.policy_is_on() else 200
        self.ask("rule rejects", CHAT, MODEL, headers={"user-agent": "forbidden/1"}, status=status)

    def policy_is_on(self) -> bool:
        return bool(self.environment.parsed_options and self.environment.parsed_options.policy == "on")


class LostUser(Caller):
    """Asks for what there is not, and as nobody."""

    weight = 1

    @task
    def unknown_model(self) -> None:
        self.ask("unknown model", CHAT, "gpt-4o-maxi", status=404)

    @task
    def wrong_key(self) -> None:
        self.ask("wrong key", CHAT, MODEL, headers={"authorization": "Bearer sk-nobody"}, status=401)
