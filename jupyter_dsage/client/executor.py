"""A complete ``concurrent.futures.Executor`` over a session."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_dsage.client.waiting import deadline_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jupyter_dsage.client.job import Job
    from jupyter_dsage.client.options import Options
    from jupyter_dsage.client.session import Session
    from jupyter_dsage.client.submit import Submitter

T = TypeVar("T")


class DsageExecutor(Executor):
    """Made by `Session.executor`; shutting it down leaves the session alive. `options`: of all of its batches."""

    def __init__(self, session: Session, options: Options) -> None:
        self._session = session
        self._options = options
        self._submitters: dict[bool, Submitter] = {}
        """Whether for services -> its own open batch of single jobs."""
        self._maps: list[Any] = []
        self._closed = False

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job:
        """Submit one call; see `concurrent.futures.Executor.submit`."""
        self._check_open()
        function = self._session.function(fn)
        plain = self._session.is_service(function)
        submitter = self._submitters.get(plain) or self._session.open_submitter(
            self._submitters, None, plain=plain, **self._options
        )
        return submitter.submit(function, args, kwargs)

    def map(
        self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[T]:
        """Yield the results in order; `chunksize` is taken and not needed: chunks are sized by what is observed."""
        self._check_open()
        del chunksize
        batch = self._session.map(fn, *iterables, **self._options)
        self._maps.append(batch)
        deadline = deadline_of(timeout)

        def values() -> Iterator[T]:
            number = 0
            try:
                while batch.wait_for_number(number, deadline):
                    yield batch[number].result()
                    number += 1
            finally:
                if not batch.ready():
                    batch.cancel()

        return values()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Take no more jobs; wait for those there are, or cancel them."""
        self._closed = True
        for batch in (*(submitter.batch for submitter in self._submitters.values()), *self._maps):
            if cancel_futures:
                batch.cancel()
            if wait:
                batch.wait()
