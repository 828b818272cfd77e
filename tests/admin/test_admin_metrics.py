"""The metrics page: families, order, units."""

from edgeroute.telemetry import FAMILIES, Sample, exposition, samples


def check(collected: list[Sample], expected: str) -> None:
    assert exposition(collected) == expected


def test_a_counter_is_described_once():
    check(
        [('edgeroute_rule_matches_total{rule="b"}', 2), ('edgeroute_rule_matches_total{rule="a"}', 1)],
        "# HELP edgeroute_rule_matches_total Requests that a rule matched.\n"
        "# TYPE edgeroute_rule_matches_total counter\n"
        'edgeroute_rule_matches_total{rule="a"} 1\n'
        'edgeroute_rule_matches_total{rule="b"} 2\n',
    )


def test_buckets_of_a_histogram_ascend_by_number():
    check(
        [
            ('edgeroute_overhead_seconds_bucket{le="+Inf"}', 3),
            ('edgeroute_overhead_seconds_bucket{le="0.1"}', 2),
            ('edgeroute_overhead_seconds_bucket{le="0.00005"}', 1),
            ("edgeroute_overhead_seconds_count", 3),
            ("edgeroute_overhead_seconds_sum", 0.25),
        ],
        "# HELP edgeroute_overhead_seconds Time spent in edgeroute, waiting for providers apart.\n"
        "# TYPE edgeroute_overhead_seconds histogram\n"
        'edgeroute_overhead_seconds_bucket{le="0.00005"} 1\n'
        'edgeroute_overhead_seconds_bucket{le="0.1"} 2\n'
        'edgeroute_overhead_seconds_bucket{le="+Inf"} 3\n'
        "edgeroute_overhead_seconds_count 3\n"
        "edgeroute_overhead_seconds_sum 0.25\n",
    )


def test_an_unknown_family_is_shown_not_hidden():
    check(
        [("edgeroute_news_total", 1)],
        "# HELP edgeroute_news_total Not documented.\n# TYPE edgeroute_news_total untyped\nedgeroute_news_total 1\n",
    )


def test_a_label_that_looks_like_a_bound_does_not_disturb():
    collected: list[Sample] = [('edgeroute_requests_total{model="le=",target="x"}', 1)]
    assert 'edgeroute_requests_total{model="le=",target="x"} 1\n' in exposition(collected)


def test_families_come_in_the_order_of_the_table_and_whole_numbers_stay_whole():
    page = exposition([(name, 1e15) for name in reversed(FAMILIES)])
    assert [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")] == list(FAMILIES)
    assert " 1000000000000000\n" in page


def test_cells_hold_seconds_as_microseconds():
    cells = [
        ('edgeroute_request_duration_seconds_sum{model="fast"}', 1_500_000),
        ('edgeroute_request_duration_seconds_count{model="fast"}', 2),
        ('edgeroute_tokens_total{model="x_seconds_sum"}', 7),
        ("limits/team/search/concurrency", 3),  # a cell, but no metric
    ]
    assert [value for _, value in samples(cells)] == [1.5, 2, 7]


def test_every_family_has_a_sentence():
    assert all(name.startswith("edgeroute_") and each.help.endswith(".") for name, each in FAMILIES.items())
