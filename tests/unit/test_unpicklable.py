"""What cannot be pickled is named by its path, wherever it hides and whatever lies around it."""

from __future__ import annotations

import abc
import collections
import functools
import itertools
import subprocess
import sys
import threading
from typing import Any

import pytest

from jupyter_dsage.errors import UnpicklableError
from jupyter_dsage.wire import payload

LOCK = threading.Lock()
x = LOCK


def path_in(value: Any, label: str = "value") -> str:
    """Return the path that the error names."""
    with pytest.raises(UnpicklableError) as caught:
        payload.dumps(value, label)
    return str(caught.value).split(" cannot be pickled")[0]


def function_path(function: Any) -> str:
    with pytest.raises(UnpicklableError) as caught:
        payload.dump_function(function)
    return str(caught.value).split(" cannot be pickled")[0]


def local(function: Any) -> Any:
    """Return a function as one that has no importable name, so that it travels with all that it refers to."""
    function.__module__ = "__main__"
    return function


class Holder:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("empty", "sock")

    def __init__(self) -> None:
        self.sock = LOCK


class OneSlot:
    __slots__ = "sock"  # noqa: PLC0205 - one string is one slot, not a slot for each letter

    def __init__(self) -> None:
        self.sock = LOCK


# --- functions -----------------------------------------------------------------------------------------------


def test_a_closure_is_named() -> None:
    lock = LOCK

    def fn() -> Any:
        return lock

    assert function_path(fn) == "fn → closure 'lock'"


def test_a_closure_inside_a_closure_is_named() -> None:
    lock = LOCK

    def inner() -> Any:
        return lock

    def fn() -> Any:
        return inner()

    assert function_path(fn) == "fn → closure 'inner' → closure 'lock'"


def test_a_cell_that_is_still_empty_is_no_culprit() -> None:
    lock = LOCK

    def fn() -> Any:
        return later, lock

    assert function_path(fn) == "fn → closure 'lock'"
    later = 1


def test_a_global_is_named() -> None:
    def fn() -> Any:
        return x

    assert function_path(local(fn)) == "fn → global 'x'"


def test_a_global_of_a_function_inside_is_named() -> None:
    def fn() -> Any:
        return [lambda: x for _ in range(3)]

    assert function_path(local(fn)) == "fn → global 'x'"


def test_defaults_are_named_by_their_argument() -> None:
    def fn(a: int, b: Any = 1, c: Any = LOCK) -> Any:
        return a, b, c

    def keyword(a: int = 1, *, c: Any = LOCK) -> Any:
        return a, c

    assert function_path(fn) == "fn → default 'c'"
    assert function_path(keyword) == "keyword → default 'c'"


def test_attributes_of_a_function_are_named() -> None:
    def fn() -> None:
        pass

    fn.lock = LOCK  # type: ignore[attr-defined]
    assert function_path(fn) == "fn → attribute 'lock'"


def test_a_method_is_named_by_its_object() -> None:
    class Model:
        def fit(self) -> None:
            pass

    model = Model()
    model.lock = LOCK  # type: ignore[attr-defined]
    assert function_path(model.fit) == "fit → its object → attribute 'lock'"


def test_a_partial_is_named_by_its_part() -> None:
    assert function_path(functools.partial(print, 1, LOCK)) == "partial → argument 1"
    assert function_path(functools.partial(print, end=LOCK)) == "partial → argument 'end'"
    lock = LOCK
    assert function_path(functools.partial(lambda: lock)) == "partial → its function → closure 'lock'"


def test_a_class_is_named_by_its_attribute() -> None:
    class Model:
        kept = LOCK

    class Other:
        @staticmethod
        def f() -> Any:
            return lock

        @property
        def g(self) -> Any:
            return 1

    lock = LOCK
    assert function_path(Model) == "Model → class attribute 'kept'"
    assert function_path(Other) == "Other → class attribute 'f' → its function → closure 'lock'"


def test_an_abstract_class_is_not_blamed_for_being_one() -> None:
    class Model(abc.ABC):  # noqa: B024 - abstract by its base is enough here
        kept = LOCK

    assert function_path(Model) == "Model → class attribute 'kept'"


def test_an_object_of_main_is_named_by_its_class() -> None:
    script = (
        "import threading\n"
        "from jupyter_dsage.wire import payload\n"
        "class Model:\n"
        "    kept = threading.Lock()\n"
        "def fn(): return model\n"
        "model = Model()\n"
        "try: payload.dump_function(fn)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(
        "UnpicklableError fn → global 'model' → its class → class attribute 'kept' cannot be pickled"
    )


# --- data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (LOCK, "value"),
        ([0, 1, 2, Holder(sock=LOCK)], "value → [3] → attribute 'sock'"),
        ((1, (2, LOCK)), "value → [1] → [1]"),
        ({"a": 1, "b": {"c": LOCK}}, "value → ['b'] → ['c']"),
        ({1: 2, LOCK: 3}, f"value → key {LOCK!r}"),
        ({LOCK}, f"value → item {LOCK!r}"),
        (frozenset([LOCK]), f"value → item {LOCK!r}"),
        (collections.deque([1, LOCK]), "value → [1]"),
        (collections.OrderedDict(a=LOCK), "value → ['a']"),
        (collections.defaultdict(list, a=[LOCK]), "value → ['a'] → [0]"),
        (Holder(a=1, b=Holder(c=[LOCK])), "value → attribute 'b' → attribute 'c' → [0]"),
        (Slotted(), "value → attribute 'sock'"),
        (OneSlot(), "value → attribute 'sock'"),
    ],
    ids=itertools.count(),
)
def test_the_path_into_data_is_named(value: Any, path: str) -> None:
    assert path_in(value) == path


def test_attributes_of_a_list_are_looked_at_too() -> None:
    class Row(list[Any]):
        pass

    row = Row([1, 2])
    row.lock = LOCK  # type: ignore[attr-defined]
    assert path_in(row) == "value → attribute 'lock'"


def test_the_sentence_says_what_it_is_and_why() -> None:
    with pytest.raises(UnpicklableError) as caught:
        payload.dumps([LOCK], "job 3")
    assert str(caught.value).startswith("job 3 → [0] cannot be pickled")
    assert "(a _thread.lock: cannot pickle '_thread.lock' object)" in str(caught.value)
    assert isinstance(caught.value.__cause__, TypeError)


# --- what must not go wrong ----------------------------------------------------------------------------------


def test_cycles_come_to_an_end() -> None:
    loop: list[Any] = [1]
    loop += [loop, {"back": loop}, LOCK]
    assert path_in(loop) == "value → [3]"


def test_what_only_leads_back_is_not_blamed() -> None:
    child, parent = Holder(name="child"), Holder()
    child.parent = parent  # type: ignore[attr-defined]
    parent.children = [child, Holder(parent=parent)]  # type: ignore[attr-defined]
    parent.lock = LOCK  # type: ignore[attr-defined]
    assert path_in(parent) == "value → attribute 'lock'"
    assert path_in([child]) == "value → [0] → attribute 'parent' → attribute 'lock'"


def test_many_that_lead_to_each_other_come_to_an_end() -> None:
    parent = Holder()
    parent.children = [Holder(parent=parent) for _ in range(2000)]  # type: ignore[attr-defined]
    parent.lock = LOCK  # type: ignore[attr-defined]
    assert path_in(parent).startswith("value")


def test_nesting_without_end_does_not_crash() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert path_in(deep) == "value → [0] → [0] → [0] → [0] → …"
    deep_lock: list[Any] = [LOCK]
    for _ in range(200):
        deep_lock = [deep_lock]
    assert path_in(deep_lock) == "value → [0] → [0] → [0] → [0] → …"


def test_a_long_list_of_numbers_is_passed_over() -> None:
    assert path_in([*range(1_000_000), LOCK]) == "value → [1000000]"


class Hostile:
    """Raises wherever it is looked at."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __reduce__(self) -> Any:
        raise HostileError


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str")


class HostileSlots:
    __slots__ = ("a",)

    def __getattribute__(self, name: str) -> Any:
        if name in {"a", "__dict__"}:
            raise RuntimeError(name)
        return super().__getattribute__(name)

    def __reduce__(self) -> Any:
        raise TypeError("no")


def test_hostile_objects_are_named_all_the_same() -> None:
    with pytest.raises(UnpicklableError, match=r"^value → \[0\] cannot be pickled.*Hostile: HostileError\)"):
        payload.dumps([Hostile()], "value")
    with pytest.raises(UnpicklableError, match=r"^value → \[0\] cannot be pickled.*HostileSlots: no\)"):
        payload.dumps([HostileSlots()], "value")
    assert path_in({Hostile(): 1}) == "value → key a tests.unit.test_unpicklable.Hostile"
    assert path_in({Hostile()}) == "value → item a tests.unit.test_unpicklable.Hostile"


def test_a_long_key_is_cut() -> None:
    path = path_in({"k" * 1000: LOCK})
    assert len(path) < 100
    assert path.endswith("...]")
