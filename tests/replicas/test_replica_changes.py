"""What operators change of the replicas: the overlay, alone and over what is configured and discovered."""

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as some

from edgeroute.config import Config
from edgeroute.config.members import Member, Members, configured
from edgeroute.config.schema import Provider
from edgeroute.config.values import Url
from edgeroute.replicas.changes import Command, Overlay, RefusedError, described, follow, misfits, overlaid

A, B, C = (f"http://gpu-{each}:8000/v1" for each in "abc")
FOUND = "http://vllm.svc:8000/v1@10.0.0.7"
CONFIG = Config(
    providers={
        "vllm": Provider(dialect="openai-chat", url=Url(A)),
        "claude": Provider(dialect="anthropic-messages", url=Url("http://claude:1")),
    }
)
GIVEN: Members = {
    "vllm": [Member(url=Url(A)), Member(url=Url(B), weight=2), Member(url=Url(FOUND[:-9]), address="10.0.0.7")],
    "claude": [Member(url=Url("http://claude:1/v1"))],
}


def command(text: str, provider: str = "vllm") -> Command:
    """`drain URL`, `weight URL 3`."""
    action, replica, *weight = text.split()
    return Command(action, replica=replica, provider=provider, weight=int(weight[0]) if weight else None)  # type: ignore[arg-type]


def followed(*texts: str, given: Members = GIVEN) -> Overlay:
    overlay: Overlay = {}
    for text in texts:
        overlay = follow(command(text), CONFIG, given, overlay)
    return overlay


def weights(given: Members, overlay: Overlay) -> dict[str, int]:
    return {each.name: each.weight for each in overlaid(given, overlay)["vllm"]}


BEFORE = {A: 1, B: 2, FOUND: 1}


@pytest.mark.parametrize(
    ("commands", "expected", "words"),
    [
        ([f"drain {A}"], BEFORE | {A: 0}, "drained"),
        ([f"drain {A}/"], BEFORE | {A: 0}, "drained"),
        ([f"drain {A}", f"drain {A}"], BEFORE | {A: 0}, "drained"),
        ([f"drain {B}", f"undrain {B}"], BEFORE, None),
        ([f"undrain {B}"], BEFORE, None),
        ([f"drain {FOUND}"], BEFORE | {FOUND: 0}, "drained"),
        ([f"weight {B} 7"], BEFORE | {B: 7}, "weighted 7"),
        ([f"weight {B} 7", f"drain {B}"], BEFORE | {B: 0}, "drained, weighted 7"),
        ([f"drain {B}", f"weight {B} 7", f"undrain {B}"], BEFORE | {B: 7}, "weighted 7"),
        ([f"add {C}"], BEFORE | {C: 1}, "added"),
        ([f"add {C}/ 5"], BEFORE | {C: 5}, "added, weighted 5"),
        ([f"add {C}", f"drain {C}"], BEFORE | {C: 0}, "added, drained"),
        ([f"add {C}", f"remove {C}"], BEFORE, None),
        ([f"remove {A}"], {B: 2, FOUND: 1}, "removed"),
        ([f"remove {A}", f"add {A}"], BEFORE, None),
        ([f"drain {A}", f"remove {A}", f"add {A}"], BEFORE, None),
    ],
)
def test_what_commands_do(commands: list[str], expected: dict[str, int], words: str | None):
    overlay = followed(*commands)
    assert weights(GIVEN, overlay) == expected
    assert [each["change"] for each in described(GIVEN, overlay)] == ([words] if words else [])
    assert misfits(GIVEN, overlay) == []


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([f"drain {C}"], f"vllm has no such replica; there is {A}, {B}, {FOUND}"),
        ([f"remove {A}", f"drain {A}"], "vllm has no such replica"),
        ([f"remove {A}", f"remove {A}"], "vllm has no such replica"),
        ([f"add {A}"], f"vllm has {A} already; `weight` changes its share"),
        ([f"add {C}", f"add {C}"], f"vllm has {C} already"),
        (
            ["add gpu-9:8000"],
            "cannot be a replica: a provider's URL is http:// or https://, a host, and a path",
        ),
        (["add http://user:pw@gpu-9:8000"], "a URL must not carry credentials"),
        ([f"weight {A}"], "a weight is missing: give a number from 1"),
        ([f"drain {A} 3"], "`drain` takes no weight"),
        ([f"drain {A}", f"remove {B}", f"drain {FOUND}"], f"{FOUND} is the last replica of vllm that takes requests"),
    ],
)
def test_what_is_refused(commands: list[str], expected: str):
    before = followed(*commands[:-1])
    with pytest.raises(RefusedError) as refused:
        follow(command(commands[-1]), CONFIG, GIVEN, before)
    assert expected in str(refused.value)


def test_a_provider_that_is_not_there():
    with pytest.raises(RefusedError, match=r'there is no provider .vlm.; did you mean "vllm"'):
        follow(command(f"drain {A}", "vlm"), CONFIG, GIVEN, {})


def test_a_url_becomes_what_requests_need():
    overlay = follow(command("add http://claude:2", "claude"), CONFIG, GIVEN, {})
    assert [each.name for each in overlaid(GIVEN, overlay)["claude"]] == ["http://claude:1/v1", "http://claude:2/v1"]


def test_what_the_configuration_drains_gets_a_weight():
    given: Members = {"vllm": [Member(url=Url(A)), Member(url=Url(B), weight=0)]}
    with pytest.raises(RefusedError, match="the configuration drains"):
        followed(f"undrain {B}", given=given)
    assert weights(given, followed(f"weight {B} 2", given=given)) == {A: 1, B: 2}


def test_a_change_that_fits_no_more_stays_and_says_so():
    overlay = followed(f"drain {FOUND}", f"remove {A}", f"add {C}")
    later: Members = {"vllm": [Member(url=Url(B)), Member(url=Url(C), weight=4)]}
    assert weights(later, overlay) == {B: 1, C: 4}
    assert misfits(later, overlay) == [
        f"vllm: {FOUND} is not there, so that it is drained has no effect",
        f"vllm: {A} is not there, so that it is removed has no effect",
    ]
    assert weights(GIVEN, overlay) == {B: 2, FOUND: 0, C: 1}
    assert len(misfits({}, overlay)) == 3


def test_the_configured_replicas():
    assert configured(CONFIG) == {"vllm": [Member(url=Url(A))], "claude": GIVEN["claude"]}


STEPS = some.tuples(
    some.sampled_from(["add", "drain", "undrain", "remove", "weight"]),
    some.sampled_from([A, B, C]),
    some.integers(1, 9),
)


@for_all(some.lists(STEPS, max_size=12))
def test_any_order_of_commands(steps: list[tuple[str, str, int]]):
    """The naive twin keeps weight and draining of each replica in a table."""
    given: Members = {"vllm": [Member(url=Url(A)), Member(url=Url(B), weight=2)]}
    table = {A: (1, False), B: (2, False)}
    overlay: Overlay = {}
    for action, replica, weight in steps:
        wanted = dict(table)
        if action == "add":
            wanted[replica] = (weight, False)
        elif replica in table:
            old, drained = table[replica]
            match action:
                case "remove":
                    del wanted[replica]
                case "weight":
                    wanted[replica] = (weight, drained)
                case _:
                    wanted[replica] = (old, action == "drain")
        there = (replica in table) == (action != "add")
        taken = action not in ("drain", "remove") or any(not drained for _, drained in wanted.values())
        text = f"{action} {replica}" + (f" {weight}" if action in ("add", "weight") else "")
        if there and taken:
            overlay = follow(command(text), CONFIG, given, overlay)
            table = wanted
        else:
            with pytest.raises(RefusedError):
                follow(command(text), CONFIG, given, overlay)
        assert weights(given, overlay) == {name: 0 if drained else old for name, (old, drained) in table.items()}
