"""Draw docs/scale.svg: cost and calls of a run against its inputs, ours beside others' ideas.

usage: python scripts/scale_plot.py [FILE]       (docs/scale.svg by default; .png to look at)

The figures are those of scripts/scale.py. The background is white and the colours those of Okabe
and Ito, so that it reads in light and dark pages and by the colour-blind; the ways differ by their
markers too. What was counted is filled and solid, what is extrapolated hollow and dashed.
"""

from __future__ import annotations

import math
import sys
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from scripts import costs, scale
from scripts.scale import Point, Way

INK, FAINT = "#1a1a1a", "#8a8a8a"
# Of a panel's height.
LABEL_HEIGHT = 0.06
# Of a way: colour and marker.
STYLES = {
    "ours, 1 a job": ("#0072B2", "o"),
    "ours, 100 a job": ("#009E73", "s"),
    scale.MAP: ("#D55E00", "^"),
    scale.POLLED: ("#8F5A9E", "D"),
}
SHADES = {
    "S3 requests of containers": "#4D4D4D",
    "S3 requests of functions": "#A6A6A6",
    "Step Functions": "#E69F00",
    "Lambda": "#56B4E9",
    "SQS": "#F0E442",
    "CloudWatch Logs": "#CC79A7",
}
SETTINGS = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # Text as outlines: it looks the same wherever it is shown; and the file is the same each time.
    "svg.fonttype": "path",
    "svg.hashsalt": "drydock",
}


def draw(ways: list[Way], path: Path, digest: str) -> None:
    """Write the picture; ``digest`` is kept in it."""
    mpl.rcParams.update(SETTINGS)
    figure, ((cost, calls), (transitions, services)) = plt.subplots(
        2, 2, figsize=(10.4, 8.2), layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.14)
    lines(cost, "a  What a run costs beside its machines", "USD")
    cost.yaxis.set_major_formatter(FuncFormatter(dollars))
    lines(calls, "b  Calls of AWS Batch", "calls")
    lines(transitions, "c  State transitions of Step Functions", "transitions")
    # Ours over the others', where they cover each other.
    for way in reversed(ways):
        line(cost, way, [point.total for point in way.points])
        line(calls, way, [point.batch_calls for point in way.points])
        if any(point.transitions for point in way.points):
            line(transitions, way, [point.transitions for point in way.points])
    names(cost, ways, [way.points[-1].total for way in ways])
    names(calls, ways, [way.points[-1].batch_calls for way in ways])
    with_some = [way for way in ways if way.points[-1].transitions]
    names(transitions, with_some, [way.points[-1].transitions for way in with_some])
    limit(calls, scale.BATCH_CALLS_A_DAY, "Batch takes 50\na second: 4.3\nmillion a day")
    how(cost)
    bars(services, ways)
    described = {"Title": "Cost and calls of a run against its inputs", "Description": digest}
    is_svg = path.suffix == ".svg"
    plt.savefig(path, dpi=160, metadata={**described, "Date": None} if is_svg else None)


def lines(axes: Axes, title: str, unit: str) -> None:
    """Axes of inputs against something, both by powers of ten."""
    axes.set_title(title)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("inputs of the run")
    axes.set_ylabel(unit)
    axes.set_xlim(6e2, 2e9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(10, numticks=20))
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(FuncFormatter(power))
    axes.minorticks_off()
    axes.grid(visible=True, color="#E3E3E3", linewidth=0.6)
    axes.set_axisbelow(True)


def power(value: float, _: object = None) -> str:
    """A tick of counts."""
    return f"$10^{{{round(math.log10(value))}}}$"


def dollars(value: float, _: object = None) -> str:
    """A tick of money."""
    return f"{value:,g}" if value < 1 else f"{value:,.0f}"


def line(axes: Axes, way: Way, values: list[float]) -> None:
    """One way: solid as far as it was counted."""
    colour, marker = STYLES[way.name]
    sizes = [point.inputs for point in way.points]
    known = sum(point.counted for point in way.points)
    given = {
        "color": colour,
        "marker": marker,
        "markersize": 4.8 if way.is_ours else 6.6,
        "linewidth": 1.7,
        "clip_on": False,
    }
    axes.plot(
        sizes[known - 1 :],
        values[known - 1 :],
        **{**given, "linestyle": (0, (3, 2)), "markerfacecolor": "white", "linewidth": 1.2},
        zorder=3,
    )
    axes.plot(sizes[:known], values[:known], **given, zorder=4)


def names(axes: Axes, ways: list[Way], ends: list[float]) -> None:
    """Each way's name behind its line's end, moved apart where ends are close."""
    axes.set_xlim(6e2, 2e9)
    bottom, top = axes.get_ylim()
    place = axes.transData + axes.transAxes.inverted()
    found = zip(ways, ends, strict=True)
    places = sorted((float(place.transform((1e9, end))[1]), way.name) for way, end in found)
    heights = apart([height for height, _ in places])
    for (_, name), height in zip(places, heights, strict=True):
        axes.annotate(
            name,
            (1.015, height),
            xycoords="axes fraction",
            va="center",
            color=STYLES[name][0],
            fontsize=8.5,
            fontweight="bold",
            annotation_clip=False,
        )
    axes.set_ylim(bottom, top)


def apart(heights: list[float]) -> list[float]:
    """Rising heights, each moved as little as keeps labels from covering each other."""
    for _ in range(100):
        for low, high in pairwise(range(len(heights))):
            missing = LABEL_HEIGHT - (heights[high] - heights[low])
            if missing > 0:
                heights[low] -= missing / 2
                heights[high] += missing / 2
    return heights


def limit(axes: Axes, value: float, text: str) -> None:
    """A line across that something cannot pass."""
    axes.axhline(value, color=INK, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.annotate(text, (7.5e2, value * 1.5), color=INK, fontsize=7.8)


def how(axes: Axes) -> None:
    """What solid and dashed mean."""
    for x, y, style, face, text in (
        (2e5, 0.15, "-", INK, "counted in a run"),
        (2e5, 0.07, (0, (3, 2)), "white", "extrapolated"),
    ):
        place = axes.get_xaxis_transform()
        axes.plot(
            [x, 3.2 * x],
            [y, y],
            transform=place,
            color=INK,
            linestyle=style,
            marker="o",
            markersize=4.8,
            markerfacecolor=face,
            linewidth=1.3,
        )
        axes.annotate(text, (4.6 * x, y), xycoords=place, va="center", fontsize=8)


def bars(axes: Axes, ways: list[Way]) -> None:
    """USD for a million inputs by service."""
    axes.set_title("d  A million inputs, by service")
    axes.set_xlabel("USD (AWS Batch and its events are free)")
    pairs = [(way, way.last_counted.grown(costs.MILLION)) for way in ways]
    pairs.sort(key=lambda pair: -pair[1].total)
    most = pairs[0][1].total
    for row, (way, point) in enumerate(pairs):
        segments(axes, row, point, most)
        axes.annotate(
            way.name,
            (0, row - 0.42),
            va="bottom",
            color=STYLES[way.name][0],
            fontweight="bold",
            xytext=(1, 0),
            textcoords="offset points",
        )
        axes.annotate(
            f"{point.total:,.2f}",
            (point.total, row),
            va="center",
            fontweight="bold",
            xytext=(4, 0),
            textcoords="offset points",
        )
    axes.set_ylim(len(ways) - 0.4, -0.75)
    axes.set_xlim(0, most * 1.14)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x", color="#E3E3E3", linewidth=0.6)
    axes.set_axisbelow(True)
    handles = [plt.Rectangle((0, 0), 1, 1, color=shade) for shade in SHADES.values()]
    axes.legend(
        handles,
        SHADES,
        loc="lower right",
        frameon=False,
        fontsize=8.2,
        handlelength=1.1,
        handleheight=1.0,
    )


def segments(axes: Axes, row: int, point: Point, most: float) -> None:
    """One bar; large pieces say what they are."""
    left = 0.0
    for service, usd in point.usd.items():
        axes.barh(
            row, usd, 0.36, left=left, color=SHADES[service], edgecolor="white", linewidth=0.6
        )
        if usd > 0.06 * most:
            ink = "white" if service == "S3 requests of containers" else INK
            axes.annotate(
                f"{usd:.1f}", (left + usd / 2, row), ha="center", va="center", color=ink, fontsize=8
            )
        left += usd


def main() -> None:
    """Draw what lies in docs/."""
    sources, counted = costs.read(), scale.counts()
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else costs.ROOT / "docs/scale.svg"
    draw(scale.ways(sources, counted), path, scale.digest(sources, counted))


if __name__ == "__main__":
    main()
