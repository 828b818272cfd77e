"""Looking again and again: what is kept, what is told, when. Time is a number here, and nobody is asked."""

import logging
import threading
from collections.abc import Sequence

import pytest
from waiting import wait_for

from edgeroute.config.members import Member
from edgeroute.config.values import Url
from edgeroute.replicas.discovery import Discovery
from edgeroute.replicas.errands import Errands
from edgeroute.replicas.lookup import LookupFailedError, Source

DNS = Source(provider="vllm", kind="dns", place="http://vllm:8000/v1", every=10)
FILE = Source(provider="vllm", kind="file", place="replicas.yaml", every=10)


def members(*hosts: str) -> list[Member]:
    return [Member(url=Url(f"http://{each}/v1")) for each in hosts]


class Answers:
    """Stands in for name servers and files: says `now`, or fails with it."""

    def __init__(self) -> None:
        self.now: Sequence[Member] | Exception = members("a")
        self.asked = 0
        self._ended = threading.Semaphore(0)
        self.discovery = Discovery(self._ended.release, self._look_up)

    def at(self, now: float, looks: bool = True) -> list[str]:
        """The hosts that are known after a look at this time, which looks up if it should."""
        asked = self.asked
        self.discovery.look(now)
        if looks:
            assert self._ended.acquire(timeout=60)
            self.discovery.look(now)
        assert self.asked - asked == looks
        return [each.url[7:-3] for source in (DNS, FILE) for each in self.discovery.found(source)]

    def _look_up(self, _: Source) -> Sequence[Member]:
        self.asked += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


@pytest.fixture
def answers(caplog: pytest.LogCaptureFixture) -> Answers:
    caplog.set_level(logging.INFO, "edgeroute")
    made = Answers()
    made.discovery.follow([DNS])
    return made


def test_it_is_looked_up_when_it_is_time(answers: Answers):
    assert not answers.discovery.is_settled()
    assert answers.at(100) == ["a"]
    assert answers.discovery.is_settled()
    answers.now = members("a", "b")
    assert answers.at(109.9, looks=False) == ["a"]
    assert answers.at(110) == ["a", "b"]
    assert answers.discovery.changes == 2
    assert answers.at(120) == ["a", "b"]
    assert answers.discovery.changes == 2


def test_what_fails_or_names_nobody_keeps_the_last_and_is_told_once(answers: Answers, caplog: pytest.LogCaptureFixture):
    answers.at(0)
    for at, now, expected in [
        (10, LookupFailedError("no answer"), "no answer"),
        (20, LookupFailedError("no answer"), "no answer"),
        (30, members(), "it names no replica"),
        (40, members(), "it names no replica"),
        (50, RuntimeError("surprise"), "RuntimeError('surprise')"),
    ]:
        answers.now = now
        assert answers.at(at) == ["a"]
        assert answers.discovery.described() == [
            {"provider": "vllm", "source": "dns http://vllm:8000/v1", "found": 1, "trouble": expected}
        ]
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        f"vllm: no replicas are found by dns http://vllm:8000/v1, and the last 1 stay in use: {trouble}"
        for trouble in ("no answer", "it names no replica", "RuntimeError('surprise')")
    ]
    answers.now = members("b")
    assert answers.at(60) == ["b"]
    assert answers.discovery.described()[0]["trouble"] is None
    told = [each.message for each in caplog.records if each.levelname == "INFO"]
    assert told[1:] == [
        "vllm: replicas are found again by dns http://vllm:8000/v1",
        "vllm: dns http://vllm:8000/v1 names 1 replicas: + http://b/v1, - http://a/v1",
    ]


def test_before_the_first_answer_there_is_nobody(answers: Answers, caplog: pytest.LogCaptureFixture):
    answers.now = LookupFailedError("no answer")
    assert answers.at(0) == []
    assert answers.discovery.is_settled(), "a failure is an answer too: nobody waits for another"
    assert "and there are none: no answer" in caplog.text


def test_a_file_counts_once_two_looks_have_seen_the_same(answers: Answers):
    answers.discovery.follow([FILE])
    assert answers.at(0) == ["a"], "the first is not waited for"
    answers.now = members("b")
    assert answers.at(0.5) == ["a"]
    answers.now = members("b", "c")
    assert answers.at(1) == ["a"]
    assert answers.at(1.5) == ["b", "c"]
    answers.now = LookupFailedError("half written")
    assert answers.at(2) == ["b", "c"]
    assert answers.discovery.described()[0]["trouble"] is None
    answers.now = members("b", "c")
    assert answers.at(2.5) == ["b", "c"]


def test_what_is_known_stays_while_it_is_followed(answers: Answers):
    answers.at(0)
    answers.discovery.follow([FILE, DNS])
    assert [each.url for each in answers.discovery.found(DNS)] == ["http://a/v1"]
    assert not answers.discovery.is_settled()
    answers.discovery.follow([FILE])
    assert answers.discovery.found(DNS) == ()


def test_an_errand_that_hangs_is_not_begun_again_and_holds_up_nobody():
    release = threading.Event()
    errands: Errands[str, str] = Errands(2)

    def hang() -> str:
        release.wait(60)
        return "late"

    assert errands.start("slow", hang)
    assert not errands.start("slow", hang)
    assert errands.start("quick", lambda: "done")
    assert not errands.start("another", lambda: "too many")
    collected: list[tuple[str, object]] = []
    wait_for(lambda: collected.extend(errands.collect()) or collected)
    assert collected == [("quick", "done")]
    assert errands.start("another", lambda: "now")
    release.set()
    wait_for(lambda: collected.extend(errands.collect()) or len(collected) == 3)
    assert sorted(collected[1:]) == [("another", "now"), ("slow", "late")]
