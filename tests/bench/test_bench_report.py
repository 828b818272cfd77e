"""What the benchmark makes of its measurements."""

import msgspec
import pytest
from agree import compare
from measure import (
    MOST_REPEATS,
    NOMINAL_US,
    PLAIN,
    SATURATED,
    STREAM,
    Generated,
    Quantiles,
    Round,
    Yardstick,
    busy_ns,
    slowness,
    undisturbed,
)
from report import LegResults, Results, cpu, notes, over, raw, render, spread


def quantiles(p50: float) -> Quantiles:
    return Quantiles(count=100, mean=p50, p50=p50, p90=2 * p50, p99=4 * p50, p999=5 * p50, max=6 * p50)


def yardstick(slow: float) -> Yardstick:
    half = slow * NOMINAL_US / 2
    return Yardstick(half, half, wake_us=40_000)


def one_round(
    cpu_us: float,
    p50: float = 100,
    *,
    slow: float = 1,
    behind: bool = False,
    generator: float = 0.1,
    other: float = 0,
) -> Round:
    generated = Generated(
        due=3000,
        sent=3000,
        unsent=0,
        completed=3000,
        meant={},
        errors={},
        events=150_000,
        latency_us=quantiles(p50),
        overhead_us=quantiles(30),
        refused_us=quantiles(0),
        first_event_us=quantiles(20_000),
        gap_us=quantiles(10_000),
        event_delay_us=quantiles(500),
        send_delay_us=quantiles(50),
        connections=32,
        behind=behind,
        sending_seconds=1.5,
        completed_meanwhile=3000,
        seconds=1.5,
        cpu_seconds=0.3,
    )
    beside = (yardstick(slow), yardstick(slow))
    return Round(cpu_us, cpu_us / slow, beside, generator, other, generated)


def leg(name: str, cpu_us: list[float], p50: float = 100) -> LegResults:
    rounds = [one_round(each, p50) for each in cpu_us]
    return LegResults(
        name, {load.name: rounds for load in (PLAIN, SATURATED, STREAM)}, [("master", 7.2), ("worker", 5)]
    )


def row(text: str, section: str, name: str) -> list[str]:
    """The cells of a leg in the table of a section."""
    table = text.split(f"## {section}")[1].split("##", maxsplit=1)[0]
    line = next(line for line in table.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_report_compares_with_nginx_and_with_nothing() -> None:
    legs = [
        leg("direct", [5, 5, 5], 100),
        leg("nginx", [90, 10, 10, 11, 12], 150),
        leg("edgeroute asgi", [360, 40, 40, 44, 48], 300),
    ]
    text = render(Results({"date": "today"}, legs))
    assert "- date: today" in text
    plain = "Plain requests, 2,000 a second"
    assert row(text, plain, "direct") == ["5.0", "5.0", "0 %", "", "100", "", "400", "0.10"]
    assert row(text, plain, "nginx") == ["11.0", "11.0", "18 %", "1.00", "150", "+50", "600", "0.10"]
    assert row(text, plain, "edgeroute asgi") == ["44.0", "44.0", "18 %", "4.00", "300", "+200", "1200", "0.10"]
    saturated = row(text, "Plain requests, as many", "edgeroute asgi")
    assert saturated == ["44.0", "44.0", "18 %", "4.00", "2,000", "0.10"]
    streams = row(text, "Streams", "edgeroute asgi")
    assert streams == ["44.0", "44.0", "18 %", "4.00", "0.9", "20000", "80000", "10000", "40000", "60000", "0.10"]
    assert row(text, "Resident", "nginx") == ["12", "master 7, worker 5"]
    assert "locust" not in text, "it did not run"


def test_without_nginx_there_is_no_ratio_and_the_report_says_so() -> None:
    text = render(Results({}, [leg("direct", [5]), leg("edgeroute asgi", [40])]))
    assert row(text, "Plain", "edgeroute asgi")[3] == ""
    assert "nginx is not installed" in text


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        ([one_round(1)], []),
        ([one_round(1, behind=True), one_round(1)], ["did not keep to its schedule (nginx 1)"]),
        ([one_round(1, generator=0.95)], ["used 0.95 cores; it was the bottleneck"]),
        ([one_round(1, other=0.5), one_round(1)], ["In 1 of 2 rounds others used"]),
    ],
)
def test_notes_say_what_spoils_the_figures(rounds: list[Round], expected: list[str]) -> None:
    found = notes(Results({}, [LegResults("nginx", {PLAIN.name: rounds})]))
    assert len(found) == len(expected), found
    assert all(part in note for part, note in zip(expected, found, strict=True)), found


def test_a_disturbed_round_is_repeated_but_not_for_ever() -> None:
    disturbed: list[Round] = []
    coming = iter([one_round(9, other=0.5), one_round(8, other=0.3), one_round(1, other=0.2), one_round(7)])
    assert undisturbed(lambda: next(coming), disturbed).cpu_us == 1
    assert [each.cpu_us for each in disturbed] == [9, 8]
    assert notes(Results({}, [leg("nginx", [1])], disturbed)) == [
        "2 rounds with more than 0.25 cores in others' use were repeated."
    ]
    busy: list[Round] = []
    for _ in range(3):
        undisturbed(lambda: one_round(1, other=1), busy)
    assert len(busy) == MOST_REPEATS


@pytest.mark.parametrize(
    ("figures", "middle", "range_in_percent"),
    [([10], 10, 0), ([10, 10], 10, 0), ([9, 10, 11], 10, 10), ([9, 9, 10, 11, 1000], 10, 20)],
)
def test_one_bad_round_moves_neither_figure_nor_spread(
    figures: list[float], middle: float, range_in_percent: float
) -> None:
    rounds = [one_round(each) for each in figures]
    assert cpu(rounds) == middle
    assert spread(rounds) == pytest.approx(range_in_percent)


def test_busy_time_leaves_out_idle_and_guests() -> None:
    stat = "cpu  100 10 20 9999 8888 3 4 5 777 666\ncpu0 1 1 1 1\n"
    assert busy_ns(stat, ticks=100) == (100 + 10 + 20 + 3 + 4 + 5) * 10_000_000


def test_raw_results_can_be_read_again() -> None:
    results = Results({"date": "today"}, [leg("direct", [5, 6])])
    again = msgspec.json.decode(msgspec.json.encode(results), type=Results)
    assert render(again) == render(results)


def test_the_yardstick_takes_the_machines_speed_out() -> None:
    assert slowness([yardstick(1), yardstick(1.5)]) == 1.25
    rounds = [one_round(15, slow=1.5), one_round(10), one_round(12, slow=1.2)]
    assert (raw(rounds), cpu(rounds)) == (12, pytest.approx(10))
    assert spread(rounds) == pytest.approx(0)


def test_ratios_are_taken_round_by_round() -> None:
    assert over([one_round(40), one_round(60)], [one_round(10), one_round(15)]) == 4


def test_what_two_runs_agree_on() -> None:
    def run(slow: float, nginx: float, router: float) -> Results:
        figures = {"nginx": nginx, "edgeroute rsgi": router}
        rounds = {name: {"saturated": [one_round(each * slow, slow=slow)]} for name, each in figures.items()}
        return Results({}, [LegResults(name, each) for name, each in rounds.items()])

    def check(second: Results, rows: dict[str, list[str]], worst: float) -> None:
        text, found = compare(run(1, 10, 40), second)
        assert {name: row(text, "saturated", name) for name in rows} == rows
        assert found == pytest.approx(worst)

    nginx = ["10.00", "12.00", "+20.0 %", "10.00", "10.00", "+0.0 %", "1.00", "1.00", "+0.0 %"]
    router = ["40.00", "48.00", "+20.0 %", "40.00", "40.00", "+0.0 %", "4.00", "4.00", "+0.0 %"]
    check(run(1.2, 10, 40), {"nginx": nginx, "edgeroute rsgi": router}, 0)
    router = ["40.00", "30.00", "-25.0 %", "40.00", "30.00", "-25.0 %", "4.00", "3.00", "-25.0 %"]
    check(run(1, 10, 30), {"edgeroute rsgi": router}, 25)
