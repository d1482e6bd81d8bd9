"""What watching costs: the same batch with nobody looking, with a bare watcher, and with the widget, headless."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.benchmarks import jobs
from tests.benchmarks.run import timed

if TYPE_CHECKING:
    from tests.benchmarks.run import Run


def widget(run: Run) -> None:
    from jupyter_dsage.notebook.widget import BatchView

    session = run.open().session
    count = run.count(1_000_000, least=1000)

    def rate(look: Any) -> float:
        def once() -> None:
            batch = session.map(jobs.noop, range(count))
            off = look(batch)
            batch.wait()
            if off:
                off()

        return count / timed(once)[0]

    def plain() -> None:
        run.add("plain_per_s", rate(lambda _: None))

    def watched() -> None:
        views: list[tuple[float, dict[str, Any]]] = []
        run.add("watched_per_s", rate(partial(_watch, views)))
        run.add("largest_kb", max((len(json.dumps(view)) / 1000 for _, view in views), default=0))
        run.add("updates_per_s", _per_second([moment for moment, _ in views]))

    def shown() -> None:
        run.add("widget_per_s", rate(lambda batch: BatchView(batch)._off))

    plain()  # the first is slower, whatever it is
    ways = [plain, watched, shown]
    for turn in range(1 if run.quick else 21):  # two of a quarter of a second differ by more than what is looked for
        for way in ways[turn % 3 :] + ways[: turn % 3]:  # each comes after each of the others
            way()


def _watch(views: list[tuple[float, dict[str, Any]]], batch: Any) -> Any:
    return batch.watch(lambda view: views.append((time.perf_counter(), view)))


def _per_second(moments: list[float]) -> float:
    """Return the most moments that lie within one second."""
    return max((sum(a <= b < a + 1.0 for b in moments) for a in moments), default=0)
