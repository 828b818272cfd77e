"""A comparison as tables and as raw data."""

from collections.abc import Iterable, Sequence
from statistics import mean, median

import msgspec

from simulation.comparison import Goodput, Run
from simulation.parameters import SLO_P95_TTFT
from simulation.policies import AFFINITY, RING


class Results(msgspec.Struct):
    """A whole comparison, as the raw file has it."""

    facts: dict[str, str]
    """Date, machine, command."""
    runs: list[Run]
    goodputs: list[Goodput]


class Row(msgspec.Struct, frozen=True):
    """One policy on one load: means over the seeds."""

    policy: str
    mean: float
    spread: float
    """Of the mean wait: the largest less the smallest, over the seeds."""
    p50: float
    p95: float
    p99: float
    hit_rate: float
    throughput: float
    imbalance: float


def loads(results: Results) -> list[str]:
    """The loads in order."""
    return list(dict.fromkeys(run.load for run in results.runs))


def best_key(results: Results, load: str) -> str | None:
    """The policy of the ring whose key has the shortest mean wait on this load, with one router."""
    keyed = [row for row in rows(results, load, 1, shared=False) if row.policy.startswith(RING)]
    return min(keyed, key=lambda row: row.mean).policy if keyed else None


def rows(results: Results, load: str, routers: int, *, shared: bool) -> list[Row]:
    """The policies on a load, in the order in which they ran."""
    found: dict[str, list[Run]] = {}
    for run in results.runs:
        if (run.load, run.routers, run.shared) == (load, routers, shared):
            found.setdefault(run.policy, []).append(run)
    return [_row(policy, runs) for policy, runs in found.items()]


def render(results: Results) -> str:
    """The report in Markdown."""
    parts = ["# Placement, simulated", "\n".join(f"- {name}: {value}" for name, value in results.facts.items())]
    routers = sorted({run.routers for run in results.runs})
    for load in loads(results):
        parts.append(f"## {load}")
        for count in routers:
            table = _table(rows(results, load, count, shared=False), best_key(results, load))
            parts.append(f"{_routers(count)}:\n\n{table}")
            shared = rows(results, load, count, shared=True)
            if shared:
                parts.append(f"{_routers(count)}, sharing what they know:\n\n{_table(shared, None)}")
    if results.goodputs:
        parts.append(_goodputs(results.goodputs))
    parts.append("## What was asked\n\n" + "\n".join(f"- {line}" for line in verdicts(results)))
    return "\n\n".join(parts) + "\n"


def verdicts(results: Results) -> list[str]:
    """How affinity stands to the best other policy, to the ring and to itself with several routers."""
    lines: list[str] = []
    for load in loads(results):
        alone = {row.policy: row for row in rows(results, load, 1, shared=False)}
        own = alone.pop(AFFINITY, None)
        ring = best_key(results, load)
        if own is None or not alone:
            continue
        best = min(alone.values(), key=lambda row: row.mean)
        line = f"{load}: mean wait {own.mean:.3f} s, {_percent(own.mean, best.mean)} to the best other ({best.policy})"
        if ring is not None:
            line += f", {_percent(own.mean, alone[ring].mean)} to {ring}"
        for count in sorted({run.routers for run in results.runs} - {1}):
            for shared in rows(results, load, count, shared=True):
                line += f"; {count} routers that share: {_percent(shared.mean, own.mean)}"
        lines.append(line)
    for load in dict.fromkeys(each.load for each in results.goodputs):
        speeds = goodput_speeds(results.goodputs, load)
        ring = next((policy for policy in speeds if policy.startswith(RING)), None)
        if AFFINITY in speeds and ring is not None:
            ratio = speeds[AFFINITY] / speeds[ring]
            lines.append(f"{load}: goodput {speeds[AFFINITY]:.1f}, {ratio:.2f} times that of {ring}")
    return lines


def goodput_speeds(goodputs: Iterable[Goodput], load: str) -> dict[str, float]:
    """Median over the seeds, by policy."""
    found: dict[str, list[float]] = {}
    for each in goodputs:
        if each.load == load:
            found.setdefault(each.policy, []).append(each.speed)
    return {policy: median(speeds) for policy, speeds in found.items()}


def _row(policy: str, runs: Sequence[Run]) -> Row:
    figures = [run.figures for run in runs]
    means = [each.mean for each in figures]
    return Row(
        policy=policy,
        mean=mean(means),
        spread=max(means) - min(means),
        p50=mean(each.p50 for each in figures),
        p95=mean(each.p95 for each in figures),
        p99=mean(each.p99 for each in figures),
        hit_rate=mean(each.hit_rate for each in figures),
        throughput=mean(each.throughput for each in figures),
        imbalance=mean(each.imbalance for each in figures),
    )


def _table(table: Sequence[Row], best: str | None) -> str:
    lines = [
        "| policy | mean TTFT s | spread | p50 | p95 | p99 | hit rate | tokens/s | imbalance |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in sorted(table, key=lambda row: row.mean):
        name = f"{row.policy} (its best key)" if row.policy == best else row.policy
        name = f"**{name}**" if row.policy == AFFINITY else name
        lines.append(
            f"| {name} | {row.mean:.3f} | {row.spread:.3f} | {row.p50:.3f} | {row.p95:.2f} | {row.p99:.2f} "
            f"| {row.hit_rate:.3f} | {row.throughput:,.0f} | {row.imbalance:.2f} |"
        )
    return "\n".join(lines)


def _goodputs(goodputs: Sequence[Goodput]) -> str:
    lines = [f"## Goodput\n\nThe highest speed-up with p95 TTFT within {SLO_P95_TTFT:g} s, replicas with a DRAM tier."]
    for load in dict.fromkeys(each.load for each in goodputs):
        table = sorted(goodput_speeds(goodputs, load).items(), key=lambda item: -item[1])
        cells = "\n".join(f"| {policy} | {speed:.1f} |" for policy, speed in table)
        lines.append(f"| {load} | speed-up |\n|---|--:|\n{cells}")
    return "\n\n".join(lines)


def _routers(count: int) -> str:
    return "One router" if count == 1 else f"{count} routers"


def _percent(value: float, other: float) -> str:
    return f"{100 * (value / other - 1):+.1f} %"
