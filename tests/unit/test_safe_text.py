"""Text becomes safe text in one place, and describing an error never raises."""

from __future__ import annotations

import logging
import os
import pickle
import threading
from typing import Any

import msgspec
import pytest

from jupyter_dsage.errors import UsageError
from jupyter_dsage.wire import brief, safe_text
from jupyter_dsage.worker.failure import describe


class Hostile(str):
    """A text whose methods all fail."""

    __slots__ = ()

    def _fail(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("hostile")

    encode = split = translate = __len__ = __add__ = __str__ = __getitem__ = __format__ = replace = _fail  # type: ignore[assignment]


class Speaks(Exception):  # noqa: N818
    """An exception with this text."""

    def __str__(self) -> Any:
        if isinstance(self.args[0], BaseException):
            raise self.args[0]
        return self.args[0]

    __repr__ = __str__


class OddType(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise SystemExit(3)


class OfOddType(Exception, metaclass=OddType):  # noqa: N818
    pass


def locked() -> UsageError:
    error = UsageError("with a lock")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError(os.fsdecode(b"caf\xe9.txt")),
        SystemExit("\udc80"),
        Speaks(Hostile("odd")),
        Speaks("\ud800" * 100_000),
        Speaks(7),
        Speaks(SystemExit(3)),
        OfOddType(),
        locked(),
    ],
)
def test_every_text_of_an_error_can_travel(error: BaseException) -> None:
    raised = describe(error)
    texts = (raised.type_name, raised.text, raised.traceback, raised.said, brief.error(raised.type_name, raised.said))
    assert all(type(text) is str for text in texts)
    msgspec.msgpack.encode(texts)
    pickle.loads(pickle.dumps(raised))


def test_an_error_of_ours_travels_without_what_cannot_be_pickled() -> None:
    raised = describe(locked())
    assert raised.data is not None
    error = pickle.loads(raised.data)
    assert (type(error), str(error), vars(error).keys()) == (UsageError, str(locked()), {"__notes__"})
    assert "attribute 'lock'" in error.__notes__[0]


def test_arguments_are_shown_on_one_line_without_control_characters() -> None:
    assert brief.call([Hostile("odd")], {"\udc80\x1b": 1}).endswith(r"\udc80\x1b=1")
    assert brief.error("E", "a\x1b[2Jb\x9bc\x7f\nd") == r"E: a\x1b[2Jb\x9bc\x7f d"


def test_a_log_has_no_control_characters() -> None:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s", ("\x1b[2Jcaf\udce9\r\ttab\nline",), None)
    assert safe_text.Formatter("%(message)s").format(record) == "\\x1b[2Jcaf\\udce9\\x0d\ttab\nline"
