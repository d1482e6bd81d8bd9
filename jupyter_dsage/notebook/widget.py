"""The live view of a batch as a widget: one trait downwards, messages upwards, the view module in between.

The trait `state` is the snapshot that the child sends (`child.view`); what people press comes back as ``{"op": …}``
messages. With ipykernel 7 these arrive on a thread beside the user's cell, so their handlers only post to the session
and touch neither the user's names nor asyncio nor `display`.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from jupyter_dsage.errors import DsageError

if TYPE_CHECKING:
    from jupyter_dsage.client.batch import Batch

_STATIC = Path(__file__).resolve().parents[1] / "static"
_LOG_LINES = 200


class BatchView(anywidget.AnyWidget):
    """The view of one batch."""

    _esm = _STATIC / "view.js"
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self._batch = batch
        _answer_beside_the_cell(self.comm)
        self.on_msg(self._obey)
        self._off = batch.watch(self._show)

    def _show(self, view: dict[str, Any]) -> None:
        """Take a snapshot, on the session's I/O thread."""
        self.state = view
        if not view["session"]["alive"]:
            self._off()

    def _obey(self, _widget: Any, message: Any, _buffers: Any) -> None:
        """Do what a message from the view asks for; whatever is wrong is answered in the view."""
        try:
            self._do(message)
        except DsageError as error:
            self.send({"re": "note", "text": str(error)})
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self.send({"re": "note", "text": f"The view sent a message that makes no sense: {error!r}"})

    def _do(self, message: dict[str, Any]) -> None:
        batch, session = self._batch, self._batch.session
        match message["op"]:
            case "pause":
                batch.pause()
            case "resume":
                batch.resume()
            case "cancel":
                batch[_number(message)].cancel() if "job" in message else batch.cancel()
            case "retry":
                batch.retry(_number(message) if "job" in message else None)
            case "refresh":
                self._aside(lambda: self.send({"re": "note", "text": session.refresh()}))
            case "die":
                self._aside(session.die)
            case "add":
                self._add(str(message["text"]))
            case "job":
                self._describe(_number(message))
            case "log":
                self.send({"re": "log", "text": session.log_tail(_LOG_LINES)})
            case other:
                raise ValueError(other)

    def _describe(self, number: int) -> None:
        """Send what is known of a job; what one that runs has printed so far is asked for, and takes a moment."""

        def work() -> None:
            self.send({"re": "job"} | self._batch.describe(number))

        if self._batch[number].done():
            work()
        else:
            self._aside(work)

    def _add(self, text: str) -> None:
        self.send({"re": "add", "status": "adding", "text": text})

        def work() -> None:
            self.send({"re": "add", "status": "added", "text": self._batch.add_expression(text)})

        self._aside(work, "add")

    def _aside(self, work: Any, re: str = "note") -> None:
        """Do on a thread of its own what waits for something."""

        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001  (what the user's expression raised is shown, whatever it is)
                text = str(error) if isinstance(error, DsageError) else f"{type(error).__name__}: {error}"
                self.send({"re": re, "status": "error", "text": text})

        threading.Thread(target=run, name="dsage-view", daemon=True).start()


def _number(message: dict[str, Any]) -> int:
    number = message["job"]
    if type(number) is not int:
        raise TypeError(number)
    return number


def _answer_beside_the_cell(comm: Any) -> None:
    """Keep messages of the view on the thread beside the cell.

    ipykernel 7.4 sends a comm's messages to the subshell that published last, which is the cell's: 0 of 10 clicks were
    handled while a cell slept, and 10 of 10 with this (measured; guarded, since the name is private).
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001
