"""P17: the jobs of a batch see captured names as they were captured, wherever and after whatever they run."""

# ruff: noqa: ARG001, ARG005  (each job is given a number)

from __future__ import annotations

import functools
import importlib.util
import logging
import random
import sys
import time
from types import ModuleType

import numpy as np
import pytest

import jupyter_dsage as dsage

COUNT = 200


def lines_of(session, function):
    """Return the different values of so many jobs."""
    return set(session.map(function, range(COUNT)).results(timeout=30))


def test_what_a_job_changes_of_captured_names_no_other_job_sees(session):
    """Each worker carried its own copy from job to job: values depended on where a job ran, and after which others."""
    seen, counter, nested = [], {"n": 0}, ([1], {"a": [2]})

    class Model:
        steps = 0

    model = Model()

    def helper():
        seen.append(0)
        return len(seen)

    def job(k, default=[]):  # noqa: B006
        seen.append(k)
        counter["n"] += 1
        nested[1]["a"].append(k)
        model.steps += 1
        Model.steps += 1
        default.append(k)
        return len(seen), helper(), counter["n"], len(nested[1]["a"]), model.steps, Model.steps, len(default)

    assert lines_of(session, job) == {(1, 2, 1, 2, 1, 1, 1)}


def test_short_jobs_that_change_what_they_captured_are_as_right(session):
    total = {"sum": 0}

    def job(k):
        total["sum"] += 1
        return total["sum"]

    for _ in range(3):  # by then they would be run in strides
        assert lines_of(session, job) == {1}


def test_bound_methods_and_partials_see_their_objects_as_they_were(session):
    seen = []

    class Counter:
        def __init__(self):
            self.n = 0

        def count(self, _):
            self.n += 1
            return self.n

    def note(held, k):
        held.append(k)
        return len(held)

    assert lines_of(session, Counter().count) == {1}
    assert lines_of(session, functools.partial(note, seen)) == {1}
    assert lines_of(session, lambda k, push=seen.append: push(k) or len(push.__self__)) == {1}


def test_a_cached_function_travels_with_an_empty_cache_which_the_jobs_of_a_worker_share(session):
    scale, seen = 2, []

    @functools.cache
    def fib(n):
        return scale * n if n < 2 else fib(n - 1) + fib(n - 2)

    @functools.lru_cache
    def note(k):
        seen.append(k)
        return len(seen)

    fib(100)
    found = session.map(lambda k: (fib(k % 10), fib.cache_info().misses, fib.cache_info().hits), range(COUNT))
    values, misses, hits = zip(*found.results(timeout=30), strict=True)
    assert values == tuple(fib(k % 10) for k in range(COUNT))
    assert max(misses) == 10
    assert max(hits) > COUNT // 4
    assert lines_of(session, note) == {1}, "a cache behind which something changes is each job's own"


ASIDE = """
import functools, math

FACTOR = 3

class Own(ValueError):
    pass

class Thing:
    def __init__(self, x):
        self.x = x
    def times(self):
        return self.x * FACTOR

@functools.cache
def cached(x):
    return math.floor(x) * FACTOR

def work(x):
    if x < 0:
        raise Own(x)
    return Thing(x), cached(x)
"""


@pytest.fixture(params=["a file", "a name of Python's", "made here", "a folder added later"])
def aside(request, session, tmp_path, monkeypatch):
    """A module that this process has, and no worker can import; the session has begun before."""
    (tmp_path / "aside_file.py").write_text(ASIDE)
    name = {"a name of Python's": "wave", "a folder added later": "aside_file"}.get(request.param, "aside_elsewhere")
    if request.param == "a folder added later":
        monkeypatch.syspath_prepend(str(tmp_path))
        module = importlib.import_module("aside_file")
    elif request.param == "made here":
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(ASIDE, vars(module))  # noqa: S102
    else:
        spec = importlib.util.spec_from_file_location(name, tmp_path / "aside_file.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    yield module
    sys.modules.pop("aside_file", None)


def test_what_stands_in_a_module_that_workers_cannot_import_travels_by_value(aside, session):
    """Each job failed: No module named 'aside_elsewhere'."""
    (thing, cached), error = session.map(aside.work, [2, -1]).results(errors="return", timeout=20)
    assert (type(thing), thing.times(), cached) == (aside.Thing, 6, 6)
    assert type(error) is aside.Own
    assert session.map(lambda x: aside.work(x)[1], [2]).results(timeout=20) == [6]
    assert session.map(aside.Thing.times, [aside.Thing(3)]).results(timeout=20) == [9]
    assert session.submit(aside.cached, 2).result(20) == 6


def test_recursion_limit_and_root_logger_are_as_in_the_notebook_when_a_batch_began(session, monkeypatch):
    def deep(n):
        return n if n == 0 else deep(n - 1)

    def job(k):
        time.sleep(0.002)
        logging.getLogger("of.a.library").info("seen %d", k)
        return deep(3000 if sys.getrecursionlimit() > 3000 else 0), logging.getLogger().level, sys.getrecursionlimit()

    before = sys.getrecursionlimit()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("{levelname}: {message}", style="{"))
    logging.getLogger().addHandler(handler)
    monkeypatch.setattr(logging.getLogger(), "level", logging.INFO)
    try:
        sys.setrecursionlimit(5000)
        batch = session.map(job, range(COUNT))
        assert set(batch.results(timeout=30)) == {(0, logging.INFO, 5000)}
        assert batch[COUNT - 1].output == f"INFO: seen {COUNT - 1}\n"
    finally:
        sys.setrecursionlimit(before)
        logging.getLogger().removeHandler(handler)
        monkeypatch.undo()
    batch = session.map(job, range(20))
    assert set(batch.results(timeout=30)) == {(0, logging.WARNING, before)}
    assert batch[0].output == ""


def test_captured_arrays_are_copied_or_cannot_be_written_to(session):
    small, large = np.zeros(10), np.zeros(1_000_000)

    def change(k):
        small[0] += 1
        return float(small[0])

    def change_large(k):
        large[0] += 1

    assert lines_of(session, change) == {1.0}
    errors = session.map(change_large, range(20)).results(errors="return", timeout=30)
    assert {type(error).__name__ for error in errors} == {"ValueError"}
    assert lines_of(session, lambda k: float(large[0])) == {0.0}
    assert lines_of(session, lambda k: large.shape) == {(1_000_000,)}


def test_a_traceback_shows_nothing_of_how_a_function_is_copied(session):
    seen = []

    def job(k):
        seen.append(k)
        raise ValueError(k)

    error = session.submit(job, 1).exception(20)
    text = str(error.__cause__)
    assert "raise ValueError(k)" in text
    assert "jupyter_dsage" not in text


RNG, PYTHON_RNG, LEGACY = np.random.default_rng(0), random.Random(0), np.random.RandomState(0)


def generators():
    rng, python, legacy, draw = RNG, PYTHON_RNG, LEGACY, RNG.random
    cached = functools.cache(lambda k: rng.random())

    def inner(k):
        return rng.random()

    return {
        "closure 'rng'": lambda k: rng.random(),
        "closure 'python'": lambda k: python.random(),
        "closure 'legacy'": lambda k: legacy.random_sample(),
        "closure 'inner' → closure 'rng'": lambda k: inner(k) + 1,
        "a default": lambda k, rng=rng: rng.random(),
        "argument": functools.partial(lambda rng, k: rng.random(), rng),
        "global 'RNG'": lambda k: RNG.random(),
        "closure 'cached' → closure 'rng'": lambda k: cached(k) + 1,
        "closure 'draw'": lambda k: draw(),
        "random": rng.random,
    }


@pytest.mark.parametrize("where", generators())
def test_a_captured_random_generator_is_refused_with_the_way_out(session, where):
    """Each worker began with the same state: .637, .270, .637, .041."""
    told = r"random generator.*np\.random\.default_rng\(\[0, k\]\)"
    with pytest.raises(dsage.UnpicklableError, match=told) as refused:
        session.map(generators()[where], range(4))
    assert where in str(refused.value)
    assert not session.batches


@pytest.mark.parametrize("name", ["random.random", "numpy.random.rand", "numpy.random.normal"])
def test_functions_of_a_modules_own_generator_give_each_job_its_own_numbers(session, name):
    draw = {"random.random": random.random, "numpy.random.rand": np.random.rand}.get(name, np.random.normal)
    assert len(lines_of(session, lambda k: float(draw()))) == COUNT
    assert len({session.submit(draw).result(20) for _ in range(20)}) == 20


def test_generators_as_arguments_and_in_containers_are_each_jobs_own(session):
    given = [np.random.default_rng([0, k]) for k in range(8)]
    expected = [np.random.default_rng([0, k]).random() for k in range(8)]
    assert session.map(lambda rng: rng.random(), given).results(timeout=20) == expected
    assert session.map(lambda k: given[k].random(), [*range(8), *range(8)]).results(timeout=20) == expected * 2
