"""Who may see what: a canary for everything that is private, and the places where it may appear.

`POLICY` is what docs/reference/privacy.md says in words. A canary is a text that occurs nowhere else; the tests send
each through a router and compare the places where it was found with those of the table, in both directions: a canary
that is found too seldom took no part, and one that is found elsewhere is a leak.
"""

import base64
import hashlib
from collections import defaultdict
from enum import Enum


class Place(Enum):
    """Somewhere that bytes of a router end up."""

    GIVEN = "what the test gave it: configuration, requests, providers' answers"
    PROVIDER = "requests that providers received"
    CLIENT = "answers to clients"
    PROXY = "requests that proxies received"
    GENERATION = "the configuration in the private run directory"
    CERTIFICATE = "certificate and key in the private run directory"
    CACHE = "the folder of the cache"
    REDIS = "what Redis received"
    LOG = "standard output and standard error of the router"
    ADMIN = "answers of the admin listener"
    COMMAND = "output of other commands"
    PROCESSES = "command lines of the processes"
    DISK = "any other file, its name included"
    OBJECTS = "what Python shows of objects"


NOWHERE: frozenset[Place] = frozenset()
CREDENTIAL = frozenset({Place.PROVIDER, Place.GENERATION})
TUNNEL = frozenset({Place.PROXY, Place.GENERATION})
CONTENT = frozenset({Place.PROVIDER})
ANSWER = frozenset({Place.CLIENT})
OWN_WORDS = frozenset({Place.CLIENT, Place.LOG})
"""What a client names, shown to itself and to the operator, at most 80 characters of it and escaped."""

POLICY: dict[str, frozenset[Place]] = {
    # Credentials
    "provider key from the environment": CREDENTIAL,
    "provider key from a file": CREDENTIAL,
    "provider key in the configuration": CREDENTIAL,
    "first of several provider keys": CREDENTIAL,
    "second of several provider keys": CREDENTIAL,
    "extra header of a provider": CREDENTIAL,
    "header that a rule sets": CREDENTIAL,
    "password of a proxy": TUNNEL,
    "password of a proxy from the environment": TUNNEL,
    "password of Redis": frozenset({Place.REDIS, Place.GENERATION}),
    "certificate of an authority": frozenset({Place.GENERATION}),
    "private key of the listener": frozenset({Place.CERTIFICATE}),
    "admin key": NOWHERE,
    "admin key that is wrong": NOWHERE,
    "virtual key": NOWHERE,
    "virtual key with a limit": NOWHERE,
    "virtual key of a team": NOWHERE,
    "virtual key that is not known": NOWHERE,
    "virtual key of the environment": NOWHERE,
    "virtual key that is hashed": NOWHERE,
    "hash of a virtual key": frozenset({Place.GENERATION}),
    "credential on a faulty line": NOWHERE,
    "credential in a strange place": NOWHERE,
    "credential in a variable of the wrong place": NOWHERE,
    "credential in a corrupt generation": NOWHERE,
    "provider key of another gateway": NOWHERE,
    "virtual key of another gateway": NOWHERE,
    "password of another gateway": NOWHERE,
    # Requests
    "prompt": CONTENT,
    "prompt of a completion": CONTENT,
    "input of a response": CONTENT,
    "instructions of a response": CONTENT,
    "question that is kept": frozenset({Place.PROVIDER, Place.CACHE}),
    "question that an embedder gets": frozenset({Place.PROVIDER, Place.CACHE}),
    "system prompt": CONTENT,
    "tool arguments": CONTENT,
    "embeddings input": CONTENT,
    "cookie": NOWHERE,
    "second credential": NOWHERE,
    "header": NOWHERE,
    "header that a rule reads": NOWHERE,
    "query parameter": NOWHERE,
    "request that is explained": NOWHERE,
    "request id": OWN_WORDS,
    "unknown model, its first characters": OWN_WORDS,
    "unknown model, beyond 80 characters": NOWHERE,
    "path, its first characters": OWN_WORDS,
    "path, beyond 80 characters": NOWHERE,
    "media type": ANSWER,
    "name of a field": ANSWER,
    # Answers
    "answer": ANSWER,
    "answer in events": ANSWER,
    "answer that is kept": frozenset({Place.CLIENT, Place.CACHE}),
    "header of a provider": ANSWER,
    "cookie of a provider": NOWHERE,
    "error of a provider": ANSWER,
    "error of a provider about a credential": NOWHERE,
    "answer that nobody can read": NOWHERE,
}
"""What, and where it may and must appear."""


def core(what: str) -> str:
    """What a canary is told by: 16 characters that survive JSON, URLs and headers."""
    return hashlib.sha256(f"canary: {what}".encode()).hexdigest()[:16]


def canary(what: str, form: str = "sk-{}-canary") -> str:
    """The text of a canary, in the form of a key unless told otherwise."""
    assert what in POLICY, what
    return form.format(core(what))


def hash_of(text: str) -> str:
    """The SHA-256 of a text in hexadecimal, as the configuration has it."""
    return hashlib.sha256(text.encode()).hexdigest()


def found(data: bytes) -> set[str]:
    """The canaries in some bytes: as they are, in base64, or as the bytes of a list of numbers."""
    return {what for what, signs in _SIGNS.items() if any(sign in data for sign in signs)}


def _signs(text: bytes) -> set[bytes]:
    listed = ", ".join(map(str, text)).encode()
    encoded: set[bytes] = set()
    for ahead in range(3):  # base64 depends on where in the text the core begins
        whole = base64.b64encode(b"\0" * ahead + text)
        encoded.add(whole[(0, 2, 3)[ahead] :].rstrip(b"=")[:-1])
    return {text, text.hex().encode(), listed, listed.replace(b" ", b""), *encoded}


_SIGNS = {what: _signs(core(what).encode()) for what in POLICY} | {
    "hash of a virtual key": {hash_of(canary("virtual key")).encode(), bytes.fromhex(hash_of(canary("virtual key")))}
}


def mark(what: str, line: str) -> None:
    """Have something in PEM found, too: by one of its lines, as it is and decoded."""
    _SIGNS[what] |= {line.encode(), base64.b64decode(line)}


class Evidence:
    """All bytes that were seen, by place."""

    def __init__(self) -> None:
        self.seen: defaultdict[Place, list[tuple[str, bytes]]] = defaultdict(list)

    def add(self, place: Place, label: str, data: bytes | str) -> None:
        """Keep what was seen at a place; `label` tells people where exactly."""
        self.seen[place].append((label, data.encode() if isinstance(data, str) else data))

    def problems(self) -> list[str]:
        """Every difference between the table and what was seen."""
        where: defaultdict[str, dict[Place, str]] = defaultdict(dict)
        for place, all_of_it in self.seen.items():
            for label, data in all_of_it:
                for what in found(data):
                    where[what].setdefault(place, label)
        problems = [f"nothing was seen at {place}" for place in Place if place not in self.seen]
        for what, may in POLICY.items():
            places = where[what]
            if Place.GIVEN not in places:
                problems.append(f"{what}: was never given")
            leaks = places.keys() - may - {Place.GIVEN}
            problems += [f"{what}: leaked into {place.value} ({places[place]})" for place in leaks]
            problems += [f"{what}: is missing from {place.value}" for place in may - places.keys()]
        return problems
