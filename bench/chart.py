"""Line charts as SVG, with nothing but strings: what a result needs, and no more."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

COLOURS = ("#0b6e99", "#d1495b", "#66824a", "#8f5fa8", "#b0791f", "#555555")
WIDTH, PANEL = 720, 230
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 30, 40


class Curve(NamedTuple):
    """One line."""

    name: str
    points: Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """One diagram; several share a file, one below the other."""

    title: str
    x: str
    """What the horizontal axis counts."""
    curves: Sequence[Curve]
    marks: Sequence[tuple[float, str]] = ()
    """What happened where on the horizontal axis."""
    logarithmic: bool = False
    """Whether the horizontal axis is."""
    top: float | None = None
    """The highest value of the vertical axis, which begins at 0; else what the points need."""


def svg(panels: Sequence[Panel]) -> str:
    """The file."""
    height = PANEL * len(panels)
    inside = "\n".join(
        f'<g transform="translate(0 {PANEL * number})">\n{_panel(each)}\n</g>' for number, each in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="{WIDTH}" height="{height}" fill="white"/>\n{inside}\n</svg>\n'
    )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers that divide a range."""
    rough = (high - low) / most or 1
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough * (1 - 1e-9))
    return [step * number for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _panel(panel: Panel) -> str:
    points = [point for curve in panel.curves for point in curve.points]
    xs = [x for x, _ in points] + [x for x, _ in panel.marks] or [0, 1]
    low, high = min(xs), max(xs)
    top = panel.top or max([y for _, y in points], default=1) or 1

    def across(x: float) -> float:
        share = math.log(x / low) / math.log(high / low) if panel.logarithmic else (x - low) / ((high - low) or 1)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return PANEL - BOTTOM - min(y / top, 1) * (PANEL - TOP - BOTTOM)

    floor = up(0)
    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{escape(panel.title)}</text>']
    for y in ticks(0, top, 4):
        parts.append(f'<path d="M{LEFT} {up(y):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    parts += [
        f'<text x="{across(x):.1f}" y="{floor + 16:.1f}" text-anchor="middle">{x:g}</text>'
        for x in (_decades(low, high) if panel.logarithmic else ticks(low, high))
    ]
    parts.append(f'<path d="M{LEFT} {floor:.1f}H{WIDTH - RIGHT}" stroke="#333"/>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{floor + 32:.1f}" text-anchor="end">{escape(panel.x)}</text>')
    for x, what in panel.marks:
        parts.append(f'<path d="M{across(x):.1f} {TOP}V{floor:.1f}" stroke="#333" stroke-dasharray="4 3"/>')
        parts.append(f'<text x="{across(x) + 4:.1f}" y="{TOP + 10}">{escape(what)}</text>')
    for number, curve in enumerate(panel.curves):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in curve.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        at = LEFT + 130 * number
        parts.append(f'<path d="M{at} {floor + 28:.1f}h18" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{at + 23}" y="{floor + 32:.1f}">{escape(curve.name)}</text>')
    return "\n".join(parts)


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten in a range."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [digit * 10**power for power in powers for digit in (1, 2, 5) if low <= digit * 10**power <= high]
