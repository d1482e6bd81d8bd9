"""An exception raised by a job is told whatever its own methods do."""

from __future__ import annotations

import pickle
from typing import Any

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
