"""`edgeroute.cache`: answers by what a question means, as a library."""

import doctest
import gc
import math
import random
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from edgeroute import SemanticCache, cache
from edgeroute.cache import compare, embed

RESET = "How do I reset my password?"


def check(cached: SemanticCache, asked: str, answer: object, **how: Any) -> None:
    found = cached.find(asked, **how)
    assert (found.answer if found else None) == answer, cached.explain(asked)


@pytest.mark.parametrize("documented", [cache, cache.Bank, cache.SemanticCache])
def test_the_examples_of_docstrings_are_true(documented: object) -> None:
    text = documented.__doc__ or ""
    test = doctest.DocTestParser().get_doctest(text, dict(vars(cache)), "cache", None, 0)
    assert test.examples
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0


def test_one_answer_for_what_means_the_same() -> None:
    cached = SemanticCache()
    assert cached.add(RESET, {"any": "object"})
    check(cached, RESET, {"any": "object"})
    check(cached, "how do i reset my password", {"any": "object"})
    check(cached, "How do I reset my router?", None)
    check(cached, "How do I not reset my password?", None)
    check(cached, "Who wrote the Iliad?", None)


def test_the_very_same_question_has_one_answer() -> None:
    cached = SemanticCache()
    cached.add(RESET, "old")
    cached.add(RESET, "new")
    assert len(cached) == 1
    check(cached, RESET, "new")
    assert cached.remove(RESET)
    assert not cached.remove(RESET)
    check(cached, RESET, None)


def test_partitions_share_nothing() -> None:
    cached = SemanticCache()
    cached.add(RESET, "of a", partition="a")
    cached.add(RESET, "of b", partition="b")
    check(cached, RESET, "of a", partition="a")
    check(cached, RESET, "of b", partition="b")
    check(cached, RESET, None)
    assert cached.remove(RESET, partition="a")
    check(cached, RESET, None, partition="a")
    check(cached, RESET, "of b", partition="b")
    cached.clear()
    assert len(cached) == 0
    check(cached, RESET, None, partition="b")


def test_answers_expire() -> None:
    cached = SemanticCache()
    cached.add(RESET, "soon gone", ttl=60, now=1000)
    check(cached, RESET, "soon gone", now=1059.9)
    check(cached, RESET, None, now=1060)
    assert cached.explain(RESET, now=1060).nearest == []
    cached.add("Who wrote the Iliad?", "Homer", now=1060)
    assert len(cached) == 1
    check(cached, "who wrote the iliad", "Homer", now=4_000_000_000)


def test_the_oldest_goes_first() -> None:
    cached = SemanticCache(capacity=3)
    texts = [f"What is the capital of {name}?" for name in ("France", "Spain", "Italy", "Poland", "Norway")]
    for number, text in enumerate(texts):
        cached.add(text, number, partition=str(number % 2))
    assert len(cached) == 3
    for number, text in enumerate(texts):
        check(cached, text, number if number >= 2 else None, partition=str(number % 2))


@pytest.mark.parametrize(
    ("asked", "stored", "refused"),
    [
        (RESET, "how can i reset my password", None),
        ("Convert 5 miles to kilometers", "Convert 6 miles to kilometers", "numbers"),
        ("fly from Paris to Rome", "fly from Rome to Paris", "direction"),
        ("Who wrote the Iliad?", "Where is the nearest bank?", "question-word"),
        ("What is the weather today?", "What is the weather today?", "time-bound"),
        ("🙂", "🙂", "empty"),
    ],
)
def test_two_questions_compared(asked: str, stored: str, refused: str | None) -> None:
    assert compare(asked, stored).refused == refused
    cached = SemanticCache()
    cached.add(stored, "answer")
    check(cached, asked, None if refused else "answer")


def test_an_explanation_says_why() -> None:
    cached = SemanticCache()
    for number in range(20):
        cached.add(f"How do I reset my password for account {number}?", number)
    explanation = cached.explain("How do I reset my password for account 7?", most=3)
    assert explanation.bypass is None
    assert [near.refused for near in explanation.nearest] == [None, "numbers", "numbers"]
    best = explanation.nearest[0]
    assert (best.question, best.answer) == ("How do I reset my password for account 7?", 7)
    assert best.similarity == pytest.approx(1)
    assert best.similarity >= explanation.nearest[1].similarity >= explanation.nearest[2].similarity
    assert cached.explain("What is the weather today?").bypass == "time-bound"
    assert cached.explain("").bypass == "empty"


def test_a_threshold_for_once() -> None:
    cached = SemanticCache(threshold=1)
    cached.add(RESET, "answer")
    check(cached, "how can i reset my password", None)
    near = cached.explain("how can i reset my password").nearest[0]
    assert near.refused == "threshold"
    check(cached, "how can i reset my password", "answer", threshold=near.confidence - 0.01)


def test_embeddings_are_unit_vectors_and_their_cosine_is_the_similarity() -> None:
    one, other = embed(RESET), embed("how can i reset my password")
    assert one is not None
    assert other is not None
    assert len(one) == 256
    assert math.hypot(*one) == pytest.approx(1, abs=1e-4)
    cosine = sum(a * b for a, b in zip(one, other, strict=True))
    assert compare(RESET, "how can i reset my password").similarity == pytest.approx(cosine, abs=1e-4)
    assert embed("…") is None


class Vectors:
    """An embedder that knows its texts."""

    def __init__(self, dimensions: int) -> None:
        draw = random.Random(1)
        self.base = [draw.gauss() for _ in range(dimensions)]
        self.other = [draw.gauss() for _ in range(dimensions)]
        self.asked: list[str] = []

    def __call__(self, text: str) -> list[float]:
        self.asked.append(text)
        share = 0.2 if "recover" in text else 10 if "router" in text else 0
        return [1000 * (a + share * b) for a, b in zip(self.base, self.other, strict=True)]


@pytest.mark.parametrize("dimensions", [3, 384, 1536])
def test_vectors_from_elsewhere(dimensions: int) -> None:
    vectors = Vectors(dimensions)
    cached = SemanticCache(threshold=0.9, embedder=vectors)
    assert cached.add("how do i reset my password", "answer")
    check(cached, "how do i recover my password", "answer")
    check(cached, "how do i reset my router", None)
    assert cached.explain("how do i reset my router").nearest[0].refused is not None
    assert len(vectors.asked) == 4
    assert not cached.add("what is the weather today", "rain")
    assert len(vectors.asked) == 4, "what is never answered from memory needs no vector"


def test_an_embedder_that_fails() -> None:
    given: Any = [1.0, 2.0]
    cached = SemanticCache(embedder=lambda _: given)
    cached.add("one", 1)
    for given, sentence in [  # noqa: B007
        ([1.0], "a vector of 1 numbers, and 2 before"),
        ([0.0, 0.0], "a vector without direction"),
        ([math.nan, 1.0], "a vector without direction"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            cached.find("two")
    given = "no vector"
    with pytest.raises(TypeError):
        cached.add("two", 2)
    assert len(cached) == 1

    given = []
    cached = SemanticCache(embedder=lambda _: given)
    with pytest.raises(ValueError, match="a vector without direction"):
        cached.find("one")
    given = [1.0, 2.0]
    assert cached.add("one", 1), "what was no vector does not say how long they are"

    def down(_: str) -> list[float]:
        raise ConnectionError("nobody there")

    with pytest.raises(ConnectionError, match="nobody there"):
        SemanticCache(embedder=down).find("one")


def test_a_bank_finds_what_is_near() -> None:
    draw = random.Random(2)
    bank = cache.Bank(100)
    vectors = [[draw.gauss() for _ in range(100)] for _ in range(500)]
    for number, vector in enumerate(vectors):
        bank.insert(number, vector)
    assert len(bank) == 500
    for number, vector in enumerate(vectors):
        ((found, cosine),) = bank.within([7 * value for value in vector], 0.9)
        assert found == number
        assert cosine == pytest.approx(1, abs=1e-4)
    assert len(bank.within(vectors[0], -1, 20)) == 20


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SemanticCache(threshold=1.1), "a threshold is a number from 0 to 1"),
        (lambda: SemanticCache(threshold=math.nan), "a threshold is a number from 0 to 1"),
        (lambda: SemanticCache(capacity=0), "room for 1 to"),
        (lambda: SemanticCache(capacity=2**40), "room for 1 to"),
        (lambda: SemanticCache().find(RESET, threshold=-1), "a threshold is a number from 0 to 1"),
        (lambda: SemanticCache().add(RESET, 1, ttl=0), "ttl is in seconds, more than 0; it is 0"),
        (lambda: SemanticCache().add(RESET, 1, ttl=-5), "ttl is in seconds, more than 0; it is -5"),
        (lambda: SemanticCache().add(RESET, 1, ttl=math.nan), "ttl is in seconds"),
        (lambda: cache.Bank(0), "vectors have 1 to 65536 dimensions"),
        (lambda: cache.Bank(3).insert(1, [1.0]), "a vector of 1 numbers, and 3 before"),
        (lambda: cache.Bank(1).within([math.inf], 0.9), "a vector without direction"),
        (lambda: SemanticCache(embedder=lambda _: [1.0] * 70_000).find("one"), "the embedder gave 70000"),
        (lambda: SemanticCache().find(RESET, now=-1), "now is in seconds, from 0"),
        (lambda: SemanticCache().find(RESET, now=1e12), "now is in seconds, from 0"),
    ],
)
def test_errors_say_what_is_wrong(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_what_is_no_embedder() -> None:
    with pytest.raises(TypeError, match="an embedder is a callable"):
        SemanticCache(embedder=5)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("text", ["", " ", "🙂🙂", "\0", "\u200b", "a" * 10_000_000, "é" * 100_000, "?!" * 1000])
def test_strange_texts(text: str) -> None:
    cached = SemanticCache()
    assert not cached.add(text, "answer")
    assert cached.find(text) is None
    assert cached.explain(text).bypass is not None


@pytest.mark.parametrize(
    "text", ["Привет, как дела", "今日の天気は", "wie geht es dir denn so", "कैसे हो", "मैं Paris 東京"]
)
def test_other_scripts(text: str) -> None:
    cached = SemanticCache()
    if cached.add(text, "answer"):
        check(cached, text, "answer")
    check(cached, RESET, None)


def test_what_has_no_utf_8_form_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        SemanticCache().add("\ud800", "answer")


def test_answers_go_with_their_questions() -> None:
    class Answer:
        pass

    cached = SemanticCache(capacity=1)
    answers = [Answer() for _ in range(4)]
    seen = [weakref.ref(answer) for answer in answers]
    cached.add("first question", answers[0])
    cached.add("second question", answers[1])
    cached.add("second question", answers[2])
    del answers
    assert [ref() is not None for ref in seen] == [False, False, True, False]
    cached.remove("second question")
    assert seen[2]() is None


def test_an_answer_may_use_the_cache_when_it_goes() -> None:
    cached = SemanticCache(capacity=1)

    class Answer:
        def __del__(self) -> None:
            cached.find("something else")

    for number in range(5):
        cached.add(f"question number {number}", Answer())
    cached.remove("question number 4")
    cached.add("one more question", Answer())
    cached.clear()
    assert len(cached) == 0


def test_a_circle_of_cache_and_answer_is_collected() -> None:
    class Owner:
        def __init__(self) -> None:
            self.cached = SemanticCache(embedder=self.embed)
            self.cached.add("one question", self)

        def embed(self, _: str) -> list[float]:
            return [1.0, 2.0]

    owner = weakref.ref(Owner())
    gc.collect()
    assert owner() is None


def test_threads() -> None:
    cached = SemanticCache(capacity=50)
    failures: list[str] = []

    def work(number: int) -> None:
        for turn in range(200):
            text = f"how do i repair bicycle {number} with tool {turn % 40}"
            cached.add(text, text, partition=str(number % 2))
            found = cached.find(text, partition=str(number % 2))
            if found is not None and found.answer != text:
                failures.append(f"{text}: {found}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(cached) == 50
