"""The exception that ends a running job from outside: raised in it by the worker's handler of SIGINT."""

from __future__ import annotations

from jupyter_dsage.worker.page import WHY_CANCEL


class JobCancelled(BaseException):
    """Raised inside a job that is to be ended; `except Exception` lets it pass.

    `why`: a word of the page: it is cancelled, or has overstepped a limit.
    """

    def __init__(self, why: int = WHY_CANCEL) -> None:
        super().__init__("The job was cancelled.")
        self.why = why
