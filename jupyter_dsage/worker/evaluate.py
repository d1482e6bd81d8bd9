"""``python -m jupyter_dsage.worker.evaluate``: evaluates one expression for *Add jobs* and leaves.

stdin: a pickle of (expression, function payload or None); stdout: a pickle of (list of jobs, error sentence or None).
"""

from __future__ import annotations

import os
import sys
from typing import Any

from jupyter_dsage.wire import brief, payload


def main() -> None:
    """Answer one question."""
    text, function = payload.loads(sys.stdin.buffer.read())
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the expression prints is no answer
    jobs: list[Any] = []
    error = None
    try:
        jobs = list(eval(text, _names(function)))  # noqa: S307  (the user typed it, with the power of a kernel)
        answer = payload.dumps((jobs, None), "the expression")
    except BaseException as raised:  # noqa: BLE001  (whatever the user's expression raises is shown to them)
        error = brief.error(type(raised).__name__, str(raised))
        answer = payload.dumps(([], error), "the error")
    with out:
        out.write(answer)


def _names(function: bytes | None) -> dict[str, Any]:
    """Return the names the batch's function captured."""
    if function is None:
        return {}
    loaded = payload.load_function(function)
    names = dict(getattr(loaded, "__globals__", {}))
    cells = getattr(loaded, "__closure__", None) or ()
    free = getattr(getattr(loaded, "__code__", None), "co_freevars", ())
    names.update({name: cell.cell_contents for name, cell in zip(free, cells, strict=True)})
    return names


if __name__ == "__main__":
    main()
