"""An exception raised by a job is told whatever its own methods do."""

from __future__ import annotations

import pickle
import threading
from typing import Any, Self

import pytest

from jupyter_dsage.errors import UnpicklableError
from jupyter_dsage.wire import payload
from jupyter_dsage.worker.failure import _LONGEST, _LONGEST_TEXT, describe


class Nasty(Exception):  # noqa: N818 - it is what it is
    """Does what it is told to wherever it is asked anything."""

    def __init__(self, act: str) -> None:
        super().__init__(act)
        self.act = act

    def _do(self, where: str) -> None:
        if self.act == where:
            raise SystemExit(3)
        if self.act == f"{where} error":
            raise RuntimeError(where)

    def __repr__(self) -> str:
        self._do("repr")
        return "Nasty()" if self.act != "long" else "x" * 10_000_000

    def __str__(self) -> str:
        self._do("str")
        return "nasty"

    def __reduce__(self) -> Any:
        self._do("reduce")
        if self.act == "read":
            return int, ("not a number",)
        return Nasty, (self.act,)


@pytest.mark.parametrize(
    ("act", "travels", "text"),
    [
        ("nothing", True, "Nasty()"),
        ("repr", True, "<tests.unit.test_failure.Nasty whose repr fails>"),
        ("repr error", True, "<tests.unit.test_failure.Nasty whose repr fails>"),
        ("str", True, "Nasty()"),
        ("str error", True, "Nasty()"),
        ("reduce", False, "Nasty()"),
        ("reduce error", False, "Nasty()"),
        ("read", False, "Nasty()"),
        ("long", True, "x" * _LONGEST_TEXT + "..."),
    ],
)
def test_nothing_that_an_exception_does_keeps_it_from_being_told(*, act: str, travels: bool, text: str) -> None:
    raised = describe(Nasty(act))
    assert (raised.data is not None) == travels
    assert raised.text == text
    assert raised.type_name.endswith("test_failure.Nasty")
    assert raised.traceback
    assert pickle.loads(pickle.dumps(raised)).text == text


class ToldError(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(f"told: {text}")
        self.text = text


class NamedError(OSError):
    def __init__(self, number: int, *, path: str) -> None:
        super().__init__(number, "no such thing", path)


class MadeError(Exception):
    __slots__ = ("x",)

    def __new__(cls, *, x: int) -> Self:
        return super().__new__(cls, x)

    def __init__(self, *, x: int) -> None:
        self.x = x


class LockedError(Exception):
    def __init__(self, a: int, inner: BaseException) -> None:
        super().__init__(a, threading.Lock())
        self.lock, self.inner = threading.Lock(), inner


def back(error: BaseException) -> Any:
    return payload.loads(describe(error).data or b"")


def test_an_exception_that_pickle_cannot_make_again_arrives_as_itself() -> None:
    for error in (ToldError("x"), NamedError(2, path="/x"), MadeError(x=3)):
        again = back(error)
        assert (type(again), str(again), again.args) == (type(error), str(error), error.args)
    assert (back(NamedError(2, path="/x")).filename, back(MadeError(x=3)).x) == ("/x", 3)
    group = back(ExceptionGroup("g", [NamedError(2, path="/x"), ToldError("y")]))
    assert [str(each) for each in group.exceptions] == ["[Errno 2] no such thing: '/x'", "told: y"]


def test_what_cannot_travel_of_an_exception_is_left_out_and_a_note_says_so() -> None:
    again = back(LockedError(5, ToldError("inner")))
    assert (type(again), again.args[0], type(again.args[1]), hasattr(again, "lock")) == (LockedError, 5, str, False)
    assert (type(again.inner), again.inner.text) == (ToldError, "inner")
    assert again.__notes__ == ["Left at the worker, since it cannot be pickled: argument 1, attribute 'lock'."]


def test_the_traceback_shows_the_lines_of_the_job() -> None:
    def job() -> None:
        raise ValueError("here")

    try:
        job()
    except ValueError as error:
        shown = describe(error).traceback
    assert 'raise ValueError("here")' in shown
    assert shown.endswith("ValueError: here\n")


def test_a_traceback_without_end_is_cut_at_its_beginning() -> None:
    shown = describe(ValueError("x" * 1_000_000)).traceback
    assert len(shown) <= _LONGEST + 10
    assert shown.startswith("...\n")
    assert shown.endswith("x\n")


def test_what_would_end_the_kernel_travels_in_its_texts_only() -> None:
    for error in (SystemExit(3), KeyboardInterrupt()):
        raised = describe(error)
        assert (raised.data, raised.kind, raised.text) == (None, "exit", repr(error))


def test_an_error_of_ours_travels_as_its_sentence() -> None:
    raised = describe(UnpicklableError("the value of job 3 cannot be pickled."))
    assert raised.traceback == "the value of job 3 cannot be pickled."
    assert isinstance(payload.loads(raised.data or b""), UnpicklableError)
