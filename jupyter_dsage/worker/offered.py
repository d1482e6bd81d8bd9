"""What a worker may run: functions that come pickled, unless it is for services only, and services by their names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from jupyter_dsage.errors import ProtocolError, UnknownServiceError
from jupyter_dsage.services import SHIPPED
from jupyter_dsage.worker import copies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jupyter_dsage.wire.payload import Frame
    from jupyter_dsage.wire.surroundings import Surroundings


class Services:
    """The services of a host: those that ship, and ``module:function`` for others. `plain`: nothing else is run."""

    def __init__(self, registered: Iterable[tuple[str, str]] = (), *, plain: bool = False) -> None:
        self._registered = dict(registered)
        self.plain = plain

    @property
    def names(self) -> tuple[str, ...]:
        """The names that may be called, sorted."""
        return tuple(sorted({*SHIPPED, *self._registered}))

    def service(self, name: str) -> Callable[..., Any]:
        """Return a service, importing its module; raises UnknownServiceError, and whatever the import raises."""
        if name in self._registered:
            return load(self._registered[name])
        if name in SHIPPED:
            return SHIPPED[name]
        raise UnknownServiceError(f"This worker has no service {name!r}; it has {', '.join(self.names)}.")

    def function(self, data: Frame) -> tuple[Callable[..., Any], Surroundings | None]:
        """Return a function from its pickle, and what it is to find around it.

        Raises ProtocolError, with nothing unpickled, where services are all.
        """
        if self.plain:
            raise ProtocolError("This worker runs services only.")
        return copies.for_jobs(data)


def load(target: str) -> Callable[..., Any]:
    """Return the function that ``module:function`` names.

    Raises UnknownServiceError where it is no function, and whatever importing the module raises.
    """
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise UnknownServiceError(f"{target!r} is no function: give module:function, as in 'statistics:fmean'.")
    function: Callable[..., Any] = found
    return function
