"""Draw cost against waiting as an SVG; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 420
FONT = 'font-family="sans-serif" font-size="13"'
ACROSS, UP = "replica-seconds, Knative's defaults = 1", "wait of a request, 99th percentile, s"
LEFT, RIGHT, TOP, BOTTOM = 70, 30, 40, 60


@dataclass(frozen=True, slots=True)
class Point:
    """One policy."""

    name: str
    cost: float
    """In parts of what Knative's defaults cost."""
    wait_s: float
    joined: bool = False
    """One of several with another number only: a line leads through them."""


def draw(points: Sequence[Point], title: str) -> str:
    """Return the picture: replica-seconds to the right, seconds of waiting upwards; best is where both are small."""
    most_x, most_y = (1.1 * max(values) or 1.0 for values in zip(*((p.cost, p.wait_s) for p in points), strict=True))

    def x(cost: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * cost / most_x

    def y(wait_s: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * wait_s / most_y

    bottom, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{title}</text>',
        f'<path d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="black"/>',
        f'<text x="{middle:.0f}" y="{HEIGHT - 14}" text-anchor="middle">{ACROSS}</text>',
        f'<text transform="translate(18 {(TOP + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle">{UP}</text>',
    ]
    for step in _steps(most_x):
        parts.append(f'<text x="{x(step):.1f}" y="{bottom + 18}" text-anchor="middle">{step:g}</text>')
        parts.append(f'<path d="M{x(step):.1f} {bottom}v-{bottom - TOP}" stroke="#ddd"/>')
    for step in _steps(most_y):
        parts.append(f'<text x="{LEFT - 8}" y="{y(step) + 4:.1f}" text-anchor="end">{step:g}</text>')
        parts.append(f'<path d="M{LEFT} {y(step):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
    line = sorted((point for point in points if point.joined), key=lambda point: point.cost)
    if line:
        path = "L".join(f"{x(point.cost):.1f} {y(point.wait_s):.1f}" for point in line)
        parts.append(f'<path d="M{path}" fill="none" stroke="#888" stroke-dasharray="4 3"/>')
    for point in points:
        colour = "#888" if point.joined else "#c0392b"
        at_x, at_y = x(point.cost), y(point.wait_s)
        parts.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{at_x + 8:.1f}" y="{at_y - 8:.1f}">{point.name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _steps(most: float) -> list[float]:
    """Return four to ten round numbers from 0 up to `most`."""
    step = 0.1
    while most / step > 8:
        step *= 2.5 if f"{step:g}"[-1] == "2" or f"{step:g}".startswith("2") else 2
    return [round(step * number, 6) for number in range(int(most / step) + 1)]
