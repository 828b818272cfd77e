"""A comparison as one picture: per load, each policy's mean and 95th percentile of the wait, on a logarithmic axis."""

from collections.abc import Iterator
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from simulation.policies import AFFINITY, RING
from simulation.report import Results, Row, best_key, loads, rows

WIDTH, LEFT, ROW, HEAD = 760, 230, 18, 46
COLOURS = {True: "#c2410c", False: "#475569"}


def plot(results: Results) -> str:
    """The picture as SVG: one router, the ring with its best key."""
    panels = [(load, list(_panel_rows(results, load))) for load in loads(results)]
    height = sum(HEAD + ROW * len(panel) + 30 for _, panel in panels) + 10
    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
    parts = [
        f'<svg {box} font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    top = 10
    for load, panel in panels:
        parts.extend(_panel(load, panel, top))
        top += HEAD + ROW * len(panel) + 30
    return "\n".join([*parts, "</svg>", ""])


def _panel_rows(results: Results, load: str) -> Iterator[Row]:
    best = best_key(results, load)
    for row in sorted(rows(results, load, 1, shared=False), key=lambda row: row.mean):
        if not row.policy.startswith(RING) or row.policy == best:
            yield row


def _panel(load: str, panel: list[Row], top: int) -> Iterator[str]:
    low = floor(log10(min(row.mean for row in panel)))
    high = max(low + 1, ceil(log10(max(row.p95 for row in panel))))

    def across(seconds: float) -> float:
        return LEFT + (log10(seconds) - low) / (high - low) * (WIDTH - LEFT - 30)

    bottom = top + HEAD + ROW * len(panel)
    yield f'<text x="10" y="{top + 16}" font-size="14" font-weight="bold">{escape(load)}</text>'
    yield (
        f'<text x="10" y="{top + 34}" fill="#64748b">time to first token: mean (dot) to 95th percentile (bar), '
        "seconds, logarithmic</text>"
    )
    for power in range(low, high + 1):
        x = across(10.0**power)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + HEAD}" y2="{bottom}" stroke="#e2e8f0"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle" fill="#64748b">{10.0**power:g}</text>'
    for number, row in enumerate(panel):
        y = top + HEAD + ROW * number + ROW / 2
        colour = COLOURS[row.policy == AFFINITY]
        mean, p95 = across(row.mean), across(row.p95)
        yield f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end" fill="{colour}">{escape(row.policy)}</text>'
        yield f'<line x1="{mean:.1f}" x2="{p95:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
        yield f'<line x1="{p95:.1f}" x2="{p95:.1f}" y1="{y - 4}" y2="{y + 4}" stroke="{colour}" stroke-width="2"/>'
        yield f'<circle cx="{mean:.1f}" cy="{y}" r="4" fill="{colour}"/>'
