"""A chart of horizontal bars with their spread, as SVG text. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_ROW, _GAP, _LEFT, _WIDE, _RIGHT = 22, 34, 250, 470, 150
_OURS, _THEIRS = "#2563eb", "#94a3b8"
_STYLE = "font:13px system-ui,sans-serif;background:#fff"


@dataclass(frozen=True, slots=True)
class Bar:
    """`low` and `high` are drawn as a whisker. `note` stands behind the number."""

    label: str
    value: float
    low: float
    high: float
    ours: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars on one scale of their own; shorter is better unless the title says otherwise."""

    title: str
    bars: Sequence[Bar]


def draw(title: str, panels: Sequence[Panel], footer: str = "") -> str:
    """Return the chart as a whole SVG document."""
    shown = [panel for panel in panels if panel.bars]
    parts, y = [_text(16, 28, title, "font-weight:700;font-size:16px")], 40
    for panel in shown:
        lines, y = _panel(panel, y)
        parts += lines
    parts.append(_text(16, y + 24, footer, "fill:#64748b;font-size:11px"))
    width, height = _LEFT + _WIDE + _RIGHT, y + 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" style="{_STYLE}">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _panel(panel: Panel, y: int) -> tuple[list[str], int]:
    scale = _WIDE / max(max(bar.high for bar in panel.bars), 1e-9)
    lines = [_text(16, y + 20, panel.title, "font-weight:600")]
    y += _GAP
    for bar in panel.bars:
        lines += _bar(bar, y, scale)
        y += _ROW
    return lines, y + 6


def _bar(bar: Bar, y: int, scale: float) -> list[str]:
    middle, fill = y + _ROW / 2 - 1, _OURS if bar.ours else _THEIRS
    low, high = (_LEFT + value * scale for value in (bar.low, bar.high))
    number = f"{bar.value:.1f}" if bar.value < 1000 else f"{bar.value:.0f}"
    length = bar.value * scale
    return [
        _text(_LEFT - 8, middle + 4, bar.label, "text-anchor:end"),
        _rectangle(y + 2, length, fill),
        f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="#0f172a" stroke-width="1.5"/>',
        _text(max(high, _LEFT + length) + 6, middle + 4, f"{number}  {bar.note}", ""),
    ]


def _rectangle(y: float, length: float, fill: str) -> str:
    size = f'width="{length:.1f}" height="{_ROW - 6}"'
    return f'<rect x="{_LEFT}" y="{y}" {size} rx="2" fill="{fill}"/>'


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" style="{style}">{escape(text)}</text>'
