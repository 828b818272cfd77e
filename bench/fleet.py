"""A router and replicas that read prompts as inference engines do, running."""

import contextlib
import hashlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from legs import KEY, MODEL, Leg, Way, free_address, launch, launch_mock, wait_for

REPLICAS = 8
WORKERS = 4
PREFILL = 10_000
"""Tokens per second that a replica reads."""
CACHE = 100_000
"""Tokens that a replica keeps."""

Models = Mapping[str, Mapping[str, object]]
"""As the configuration has them; the provider is called `vllm`."""


class Fleet:
    """A router and its replicas, running."""

    def __init__(self, stack: contextlib.ExitStack, directory: Path, models: Models) -> None:
        self._stack = stack
        self._file = directory / "edgeroute.yaml"
        self._models = {**models, MODEL: next(iter(models))}
        self._replicas = dict(self._launch_replica() for _ in range(REPLICAS))
        """Processes by address."""
        self._listen, self._admin = free_address(), free_address()
        self._configure()
        said = stack.enter_context((directory / "said.txt").open("wb"))
        command = [sys.executable, "-m", "edgeroute", "run", "--config", str(self._file)]
        process = launch(stack, command, said=said, environment={"EDGEROUTE_RUN_DIR": str(directory / "run")})
        self.router = Leg(Way("edgeroute"), self._listen, process, (), Path(said.name), self._admin)
        wait_for(self.router)

    def kill_one(self) -> None:
        """Kill a replica, at once and unannounced."""
        address = next(iter(self._replicas))
        self._replicas.pop(address).kill()

    def add_one(self) -> None:
        """Start a replica, and put it where the configuration has the dead one."""
        self._replicas.update([self._launch_replica()])
        self._configure()

    def read_tokens(self) -> list[float]:
        """Tokens that each replica has read, for it did not have them in its cache."""
        return [_read_tokens(address) for address in self._replicas]

    def _launch_replica(self) -> "tuple[str, subprocess.Popen[bytes]]":
        process, address = launch_mock(self._stack, "--prefill", str(PREFILL), "--cache", str(CACHE))
        return address, process

    def _configure(self) -> None:
        urls = [f"http://{address}/v1" for address in self._replicas]
        config = {
            "listen": self._listen,
            "admin": self._admin,
            "workers": WORKERS,
            "log": "json",
            "providers": {"vllm": {"dialect": "openai-chat", "urls": urls}},
            "models": self._models,
            "virtual_keys": {"bench": {"hash": "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()}},
        }
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps(config))  # JSON is YAML
        draft.rename(self._file)


def _read_tokens(address: str) -> float:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = [line.split(" ") for line in answer.read().decode().splitlines()]
    counted = {name.partition("{")[0]: float(value) for name, value in lines}
    return counted["vllm:prefix_cache_queries_total"] - counted["vllm:prefix_cache_hits_total"]
