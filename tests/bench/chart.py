"""Charts as SVG, readable on light and dark pages."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, LABELS, BAR, GAP, HEAD = 760, 230, 20, 6, 34
PANEL_W, PANEL_H, PANELS = 360, 190, 2
_OURS, _OTHERS, _INK, _FAINT = "#2f7ed8", "#9aa5b1", "#57606a", "#8c959f44"


class Bar(NamedTuple):
    """One bar; `ours` is shown in the strong colour."""

    label: str
    value: float
    ours: bool


class Line(NamedTuple):
    """One panel: title and points of the line, x ascending."""

    title: str
    points: Sequence[tuple[float, float]]


def bars(groups: Sequence[tuple[str, Sequence[Bar]]], unit: str) -> str:
    """Horizontal bars in titled groups, all on one scale that starts at 0."""
    most = max(bar.value for _, group in groups for bar in group)
    scale = (WIDTH - LABELS - 110) / most
    shapes: list[str] = []
    y = 0
    for title, group in groups:
        shapes.append(_text(0, y + 22, f"{title}, {unit}", weight="600"))
        y += HEAD
        for bar in group:
            shapes += _bar(bar, y, scale)
            y += BAR + GAP
        y += GAP
    return _svg(WIDTH, y, shapes)


def lines(panels: Sequence[Line], unit: str) -> str:
    """Panels side by side, each with a y axis from 0 and points evenly spaced."""
    shapes: list[str] = []
    for number, panel in enumerate(panels):
        row, column = divmod(number, PANELS)
        shapes += _panel(panel, unit, column * (PANEL_W + 40), row * (PANEL_H + 30))
    rows = -(-len(panels) // PANELS)
    return _svg(PANELS * PANEL_W + 40, rows * (PANEL_H + 30), shapes)


def _bar(bar: Bar, y: int, scale: float) -> list[str]:
    length = bar.value * scale
    colour = _OURS if bar.ours else _OTHERS
    return [
        _text(LABELS - 8, y + 15, bar.label, anchor="end"),
        f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
        _text(LABELS + length + 6, y + 15, f"{bar.value:,.0f}"),
    ]


def _panel(panel: Line, unit: str, left: float, top: float) -> list[str]:
    most = max(y for _, y in panel.points) * 1.15
    floor, height, step = top + PANEL_H - 20, PANEL_H - 50, PANEL_W / len(panel.points)
    places = [
        (left + (number + 0.5) * step, floor - y / most * height, x, y) for number, (x, y) in enumerate(panel.points)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in places)
    shapes = [
        _text(left, top + 16, f"{unit} by {panel.title}", weight="600"),
        f'<line x1="{left}" y1="{floor}" x2="{left + PANEL_W}" y2="{floor}" stroke="{_FAINT}"/>',
        f'<polyline points="{path}" fill="none" stroke="{_OURS}" stroke-width="2"/>',
    ]
    for x, y, label, value in places:
        shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{_OURS}"/>')
        shapes += [
            _text(x, y - 8, f"{value:,.0f}", anchor="middle"),
            _text(x, floor + 16, f"{label:g}", anchor="middle"),
        ]
    return shapes


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "400") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text {place} fill="{_INK}">{escape(text)}</text>'


def _svg(width: float, height: float, shapes: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
    font = 'font-family="system-ui, sans-serif" font-size="13">'
    return "\n".join([head + font, *shapes, "</svg>"]) + "\n"
