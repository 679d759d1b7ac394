"""The curves of a training as inline SVG. The only module that imports matplotlib.

The same figures give the same bytes. The colours are CSS variables of the page, so the curves are readable in light and
in dark mode. Words stay text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Any

from archcheck.render.html.evidence import Evidence, known
from archcheck.rules.queries.outcome_text import percents

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK = {"#010101": "ink", "#020202": "muted", "#030303": "line", "#040404": "accent", "#050505": "limit"}
"""Placeholder colours that no palette has, and the CSS variable that replaces each."""
INK, MUTED, LINE, ACCENT, LIMIT = _INK
_SIZE = (8.2, 3.7)
"""Inches, at 72 pixels each."""
_SETTINGS: Mapping[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": LINE,
    "text.color": INK,
    "text.parse_math": False,
    "axes.unicode_minus": False,
}
_BARE = {"Creator": None, "Date": None, "Format": None, "Type": None}
"""Metadata that would change with the time and with the version of matplotlib."""


def draw_curves(evidence: Evidence, name: str) -> str:
    """Return the curves as an `svg` element. `name` is the prefix of every id in it; it never comes from a report."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = Figure(figsize=_SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
        _epochs(left, evidence)
        _test(right, evidence)
        _frame(left, right, evidence)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata=_BARE)
    return _inline(out.getvalue(), name)


def _epochs(axes: Axes, evidence: Evidence) -> None:
    """Draw a thin line for the validation accuracy of each seed, and a thick one for the mean of the runs."""
    from matplotlib.ticker import MaxNLocator

    for curve in evidence.curves:
        points = [(number, share) for number, share in enumerate(curve.shares, 1) if share is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=ACCENT, alpha=0.45, linewidth=1, marker=".", markersize=3)
    columns = (
        [curve.shares[index] for curve in evidence.curves if index < len(curve.shares)]
        for index in range(evidence.epochs)
    )
    means = [(number, fmean(values)) for number, column in enumerate(columns, 1) if (values := known(column))]
    if means and len(evidence.curves) > 1:
        axes.plot(*zip(*means, strict=True), color=ACCENT, linewidth=2.2)
    axes.set_xlabel("epoch")
    axes.set_title("validation accuracy", fontsize=10, loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _test(axes: Axes, evidence: Evidence) -> None:
    """Draw the test accuracy of each seed with its interval, and the mean over all seeds beside them."""
    tested = [(curve.test, curve.interval) for curve in evidence.curves]
    shown = [(share, interval) for share, interval in tested if share is not None and interval]
    for position, (share, interval) in enumerate(shown):
        axes.vlines(position, *interval, color=ACCENT, alpha=0.45, linewidth=1)
        axes.plot(position, share, color=ACCENT, marker="o", markersize=4)
    if evidence.mean is not None and len(shown) > 1:
        aside = len(shown) + max(0.5, len(shown) / 8)
        if evidence.interval:
            axes.vlines(aside, *evidence.interval, color=INK, linewidth=3)
        axes.plot(aside, evidence.mean, color=INK, marker="D", markersize=6)
        axes.set_xlim(-1, aside + max(1, len(shown) / 6))
    axes.set_xticks([])
    axes.set_xlabel("seeds, mean" if len(shown) > 1 else "seed")
    axes.set_title("test accuracy", fontsize=10, loc="left")
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)


def _frame(left: Axes, right: Axes, evidence: Evidence) -> None:
    """Draw the limit across both plots, and set the visible range."""
    from matplotlib.ticker import FuncFormatter

    for axes in (left, right):
        axes.grid(axis="y", linewidth=0.6)
        axes.set_axisbelow(True)
        if evidence.limit is not None:
            axes.axhline(evidence.limit, color=LIMIT, linewidth=1.4, linestyle=(0, (5, 3)))
    left.set_ylim(*evidence.visible_range)
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.6g}%"))
    if evidence.limit is not None:
        text = f"limit {percents(evidence.limit)[0]}"
        left.annotate(text, (1, evidence.limit), (0, -4), textcoords="offset points", va="top", color=LIMIT)


_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_STYLE = re.compile(r"\s*<defs>\s*<style[^>]*>.*?</style>\s*</defs>", re.DOTALL)
_COLORS = re.compile("|".join(_INK))
_IDS = re.compile(r'(\bid="|url\(#|href="#)')


def _inline(text: str, name: str) -> str:
    """Turn an SVG file into an element of a page that may hold other SVG elements."""
    text = _STYLE.sub("", _METADATA.sub("", text[text.index("<svg") :].strip()))
    text = _COLORS.sub(lambda found: f"var(--{_INK[found.group()]})", text)
    text = _IDS.sub(lambda found: f"{found.group()}{name}-", text)
    return text.replace("<svg ", '<svg class="curves" aria-hidden="true" focusable="false" ', 1)
