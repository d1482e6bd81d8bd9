"""The report's pictures, as SVG that comes out the same from the same figures. matplotlib is imported only here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.figures import LABELS, short
from tests.benchmarks.peers import OURS
from tests.benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.figures import Figures

PICTURES = (
    ("noop_100k", ("jobs_per_s",), True),
    ("submit_100k", ("jobs_per_s",), True),
    ("roundtrip", ("p50_us", "p99_us"), True),
    ("echo100", ("mb_per_s",), False),
    ("memory", ("waiting_mb", "finished_mb"), True),
    ("busy_1ms", ("efficiency",), False),
    ("start", ("first_s",), True),
)
"""Workload, figures, and whether the scale is logarithmic."""
SHADES = {True: ("#1f6f54", "#7fbfa5"), False: ("#7a7a7a", "#bdbdbd")}
"""Ours and the others', for the first and the second figure."""


def draw(figures: Figures, folder: Path) -> list[tuple[str, str]]:
    """Draw what was measured into a folder; return title and path of each picture, relative to the folder above."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    folder.mkdir(exist_ok=True)
    drawn = []
    with plt.rc_context({"svg.hashsalt": "dsage", "svg.fonttype": "none", "font.size": 9}):
        for workload, names, log in PICTURES:
            peers = [peer for peer in WORKLOADS[workload].peers if (workload, peer, names[0]) in figures.medians()]
            if not peers:
                continue
            figure = _bars(figures, workload, names, peers, log=log)
            figure.savefig(folder / f"{workload}.svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
            plt.close(figure)
            drawn.append((WORKLOADS[workload].title, f"{folder.name}/{workload}.svg"))
    return drawn


def _bars(figures: Figures, workload: str, names: tuple[str, ...], peers: list[str], *, log: bool):
    """Return one picture: a bar for each peer and figure, with its spread."""
    from matplotlib import pyplot as plt

    values, medians = figures.values(), figures.medians()
    figure, axes = plt.subplots(figsize=(7, 0.5 + 0.32 * len(peers) * len(names)))
    thick = 0.8 / len(names)
    for part, name in enumerate(names):
        for row, peer in enumerate(peers):
            middle = medians.get((workload, peer, name))
            if middle is None:
                continue
            spread = values[workload, peer, name]
            at = row + (part - (len(names) - 1) / 2) * thick
            axes.barh(at, middle, thick, color=SHADES[peer in OURS][part])
            axes.hlines(at, min(spread), max(spread), color="black", linewidth=0.8)
            axes.annotate(
                short(middle), (max(middle, *spread, 0), at), xytext=(4, 0), textcoords="offset points", va="center"
            )
    axes.set_yticks(range(len(peers)), peers)
    axes.invert_yaxis()
    if log:
        axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(" and ".join(LABELS[name] for name in names))
    axes.set_title(WORKLOADS[workload].title, loc="left")
    return figure
