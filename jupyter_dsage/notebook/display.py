"""Shows batches: a live view in a notebook, a frozen picture in saved ones, a line of text in a terminal."""

from __future__ import annotations

import html
import weakref
from typing import TYPE_CHECKING, Any

from IPython import get_ipython
from IPython.display import display

from jupyter_dsage.client import place
from jupyter_dsage.client.batch import Batch

if TYPE_CHECKING:
    from jupyter_dsage.notebook.widget import BatchView

COLOURS = {
    "finished": "#2a78c5",
    "failed": "#d6451f",
    "lost": "#b05fa5",
    "cancelled": "#8b95a1",
    "waiting": "#e6e9ee",
}
"""Those of the live view."""
MIME = "application/vnd.jupyter-dsage.batch+json"
"""Our own output: where the labextension is, it shows the batch through the server; else nobody looks at it."""

_views: weakref.WeakKeyDictionary[Batch, BatchView] = weakref.WeakKeyDictionary()


def register(ip: Any) -> None:
    """Have IPython show a batch that is a cell's last expression as its view."""
    ip.display_formatter.mimebundle_formatter.for_type(Batch, lambda batch, **_: bundle(batch))


def show(batch: Batch) -> None:
    """Show a batch now; its frozen picture is settled when somebody has waited for its end."""
    if not _in_kernel():
        print(text(batch))  # noqa: T201  (a terminal shows text)
        return
    handle = display(bundle(batch), raw=True, display_id=True)  # type: ignore[no-untyped-call]
    if handle is not None:
        batch.when_settled(lambda: handle.update(bundle(batch), raw=True))


def bundle(batch: Batch) -> dict[str, Any]:
    """Return the MIME bundle of a batch: the widget if somebody may look at it now, the others in any case."""
    session = batch.session
    ours = {"v": 1, "session": session.id, "name": batch.name, "batch": batch.number, "snapshot": batch.snapshot()}
    out: dict[str, Any] = {"text/plain": text(batch), "text/html": frozen(batch), MIME: ours}
    if place.looked_at():
        view = view_of(batch)
        out["application/vnd.jupyter.widget-view+json"] = {
            "version_major": 2,
            "version_minor": 1,
            "model_id": view.model_id,
        }
    return out


def view_of(batch: Batch) -> BatchView:
    """Return the one widget of a batch; shown twice, both show the same."""
    from jupyter_dsage.notebook.widget import BatchView

    view = _views.get(batch)
    if view is None:
        view = _views[batch] = BatchView(batch)
    return view


def text(batch: Batch) -> str:
    """Return a batch as a line of text with a bar: ``hist: 40 of 100 [████░░░░░░] 3 failed``."""
    counts, total, width = batch.counts, len(batch), 20
    ended = total - counts["waiting"]
    full = width * ended // total if total else width
    bar = "█" * full + "░" * (width - full)
    rest = ", ".join(f"{counts[state]} {state}" for state in ("failed", "lost", "cancelled") if counts[state])
    return f"{batch.name}: {ended} of {total} [{bar}]{' ' if rest else ''}{rest}"


def frozen(batch: Batch) -> str:
    """Return a batch as HTML without scripts: for saved notebooks, exports and GitHub. Names are escaped."""
    counts, total = batch.counts, len(batch)
    bits = "".join(
        f'<span style="display:inline-block;height:10px;width:{100 * counts[state] / total:.2f}%;background:{colour}">'
        "</span>"
        for state, colour in COLOURS.items()
        if total and counts[state]
    )
    words = " · ".join(f"{counts[state]:,} {state}" for state in COLOURS if counts[state]) or "no jobs"
    return (
        '<div style="font:13px/1.5 system-ui,sans-serif;max-width:720px">'
        f"<div><b>{html.escape(batch.name)}</b> · {total:,} jobs</div>"
        f'<div style="background:#e6e9ee;border-radius:5px;overflow:hidden;height:10px;line-height:0">{bits}</div>'
        f"<div>{words}</div></div>"
    )


def _in_kernel() -> bool:
    return getattr(get_ipython(), "kernel", None) is not None
