"""The times of a reply: distributions as people write them, and what is drawn from them."""

import re
import statistics
from collections.abc import Iterator
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeroute.mock import Distribution, MockSettings
from edgeroute.mock.pace import waits

DRAWS = 20_000
SETTINGS = MockSettings(
    first_token=Distribution.parse("lognormal(200ms, 0.6)"), token_interval=Distribution.parse("uniform(5ms, 20ms)")
)


def drawn(text: str, seed: int = 1) -> list[float]:
    source = Random(seed)
    draw = Distribution.parse(text).draw
    return [draw(source) for _ in range(DRAWS)]


def first(count: int, times: Iterator[float]) -> list[float]:
    return list(islice(times, count))


@pytest.mark.parametrize(("text", "seconds"), [("0ms", 0.0), ("20ms", 0.02), ("2 s", 2.0), ("10m", 600.0)])
def test_a_time_is_always_that_time(text: str, seconds: float) -> None:
    assert set(drawn(text)) == {seconds}


def test_uniform() -> None:
    times = drawn("uniform(50ms, 300ms)")
    assert 0.05 <= min(times) < 0.051
    assert 0.299 < max(times) <= 0.3
    assert statistics.mean(times) == pytest.approx(0.175, rel=0.02)
    assert set(drawn("uniform(7ms, 7ms)")) == {0.007}


def test_lognormal() -> None:
    times = drawn("lognormal(200ms, 0.6)")
    hundredths = statistics.quantiles(times, n=100)
    assert statistics.median(times) == pytest.approx(0.2, rel=0.03)
    assert hundredths[89] == pytest.approx(0.431, rel=0.03)
    assert hundredths[98] == pytest.approx(0.808, rel=0.08)
    assert drawn("lognormal(200ms,0)") == pytest.approx([0.2] * DRAWS)
    assert max(drawn("lognormal(10m, 3)")) == 600.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "this is neither a time nor a distribution of times: write 20ms, uniform(50ms, 300ms) or lognormal("),
        ("20", "neither a time nor a distribution"),
        ("-1ms", "neither a time nor a distribution"),
        ("11m", "this time is too long: the longest here is 10m"),
        ("uniform(1ms, 11m)", "this time is too long: the longest here is 10m"),
        ("uniform(50ms", "inside { } it needs quotes"),
        ("uniform(50ms)", "neither a time nor a distribution"),
        ("uniform(50, 300)", "uniform takes the least and the most time, such as uniform(50ms, 300ms)"),
        ("uniform(300ms, 50ms)", "the least time is more than the most"),
        ("uniform(1ms, 2ms, 3ms)", "neither a time nor a distribution"),
        ("lognormal(200ms, 60ms)", "lognormal takes the median"),
        ("lognormal(200ms, 4)", "a number from 0 to 3"),
        ("lognormal(200ms, nan)", "a number from 0 to 3"),
        ("lognormal(200ms, -1)", "a number from 0 to 3"),
        ("lognormal(0ms, 1)", "the median must be more than 0ms"),
        ("normal(1ms, 2ms)", "there is no such distribution: write uniform"),
    ],
)
def test_what_is_no_distribution_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Distribution.parse(text)


@given(st.text(alphabet="uniformlgas(),. 019ms", max_size=30) | st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        seconds = Distribution.parse(text).draw(Random(1))
    except ValueError:
        return
    assert 0 <= seconds <= 600


def test_the_same_seed_and_request_take_the_same_times() -> None:
    times = first(50, waits(SETTINGS, b'{"model":"m"}'))
    assert times == first(50, waits(SETTINGS, b'{"model":"m"}'))
    assert len(set(times)) == 50
    other = MockSettings(first_token=SETTINGS.first_token, token_interval=SETTINGS.token_interval, seed=2)
    assert times[0] != first(1, waits(other, b'{"model":"m"}'))[0]
    assert times[0] != first(1, waits(SETTINGS, b'{"model":"n"}'))[0]


def test_only_the_first_token_is_drawn_from_first_token() -> None:
    times = first(1000, waits(SETTINGS, b"{}"))
    assert all(0.005 <= time <= 0.02 for time in times[1:])
    firsts = [first(1, waits(SETTINGS, b"%d" % number))[0] for number in range(1000)]
    assert statistics.median(firsts) == pytest.approx(0.2, rel=0.1)
