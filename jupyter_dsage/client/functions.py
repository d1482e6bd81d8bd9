"""The functions of a session: pickled and sent once, known by the hash of their bytes; services by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dsage import ids
from jupyter_dsage.client.location import Location
from jupyter_dsage.errors import UnknownServiceError
from jupyter_dsage.services import SHIPPED
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire import payload, surroundings
from jupyter_dsage.wire.captures import Captures, check_captured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_dsage.client.location import Place
    from jupyter_dsage.wire.payload import Frame
    from jupyter_dsage.wire.surroundings import Surroundings

    Function = Callable[..., Any] | str
    Context = tuple[Place, Surroundings | None]

_KEPT = 1000
"""Function objects whose pickle is remembered; a notebook that makes lambdas in a loop must not grow for ever."""


class Functions:
    """Used by `Session`.

    `registered`: services that travel by value; `offered`: the services of its engines now.
    """

    def __init__(
        self,
        post: Callable[..., None],
        registered: Mapping[str, Callable[..., Any]],
        offered: Callable[[str], set[str]],
    ) -> None:
        self._post = post
        self._registered = {key: payload.dump_function(function) for key, function in registered.items()}
        self._offered = offered
        self._sent: dict[str, bool] = {}
        """Functions that were sent, by id, and whether each is a service; no payload, of which there may be many."""
        self._pickled: dict[int, tuple[Captures, Context, str]] = {}
        """id of a function object -> what it had captured when it was pickled, the context, and its function id."""
        self._location = Location()
        self._context: Context = ("", ()), None
        self._fixed: tuple[Context | None, dict[Callable[..., Any], str]] = None, {}
        """A context, and the functions that travel by name, and so never change -> function id there."""

    def id_of(self, fn: Function) -> str:
        """Return the id of a function, sending it if the child does not have it; see `Session.scatter` for errors."""
        if isinstance(fn, str):
            return self._service(fn)
        known, context = self._pickled.get(id(fn)), self._now()
        if known is not None and known[1] is context and known[0].same(fn):
            return known[2]
        check_captured(fn)
        name = self._send(payload.dump_function(fn), context[0])
        captures = Captures(fn)
        if len(self._pickled) >= _KEPT:
            self._pickled.clear()
            self._fixed = None, {}
        self._pickled[id(fn)] = captures, context, name
        if captures.fixed:
            if self._fixed[0] is not context:
                self._fixed = context, {}
            self._fixed[1][fn] = name
        return name

    def fixed_id(self, fn: Callable[..., Any]) -> str | None:
        """Return the id of a function that travels by name and was sent as things are now; else None."""
        context, fixed = self._fixed
        return fixed.get(fn) if context is self._now() else None

    def _now(self) -> Context:
        """Return where functions are called and what they find around them: the same object while that is unchanged."""
        context, place, around = self._context, self._location.now(), surroundings.here()
        if place is not context[0] or around != context[1]:
            self._context = context = place, around
        return context

    def is_service(self, function: str) -> bool:
        """Tell whether an id is that of a service: its jobs and outcomes are plain data."""
        return self._sent.get(function, False)

    def let_go(self) -> None:
        """Keep no payload: the session is over. Large ones are memory that others have mapped."""
        self._registered.clear()

    def _service(self, name: str) -> str:
        if name in self._registered:
            return self._send(self._registered[name], self._location.now())
        function = f"service:{name}"
        if function in self._sent:
            return function
        offered = {*SHIPPED} if name in SHIPPED else self._offered(name)
        if name not in offered:
            known = ", ".join(sorted({*self._registered, *SHIPPED, *offered}))
            raise UnknownServiceError(
                f"There is no service {name!r}; there is {known}. Register it with "
                f"spawn(services={{{name!r}: function}}), or at a worker server with --service {name}=module:function."
            )
        self._post(m.Service(function, name))
        self._sent[function] = True  # after it: an interrupt between the two has it sent again
        return function

    def _send(self, data: Frame, here: Place) -> str:
        function = ids.function_id(data, here)
        if function not in self._sent:
            self._post(m.Function(function, *here), data)
            self._sent[function] = False  # after it: an interrupt between the two has it sent again
        return function
