"""The library as a person calls it: sessions, batches, jobs, on real processes."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest

import jupyter_dsage as dsage
from tests.process import jobs


def test_map_gathers_in_order(session):
    assert session.map(jobs.square, range(1000)).results() == [x * x for x in range(1000)]


def test_map_over_several_iterables_ends_with_the_shortest(session):
    batch = session.map(pow, [2, 3, 4], itertools.count(1))
    assert batch.results() == [2, 9, 64]
    assert len(batch) == 3


def test_scatter_takes_args_and_kwargs(session):
    batch = session.scatter(lambda a, b=0, *, c=0: (a, b, c), [((1,), {}), ([1, 2], {"c": 3}), ((), {"a": 9})])
    assert batch.results() == [(1, 0, 0), (1, 2, 3), (9, 0, 0)]


def test_captured_names_travel_by_value(session):
    offset = np.arange(3)

    def shifted(x):
        return offset + x

    assert [list(value) for value in session.map(shifted, [0, 10]).results()] == [[0, 1, 2], [10, 11, 12]]


def test_arrays_arrive_writable(session):
    (value,) = session.map(lambda a: a * 2, [np.ones(200_000)]).results()
    value[0] = 7
    assert value.sum() == pytest.approx(2 * 199_999 + 7)


def test_jobs_that_share_a_chunk_share_nothing_else(session):
    shared = [0]
    batch = session.scatter(jobs.change, [((shared, n), {}) for n in range(200)])
    assert batch.results() == [[0, n] for n in range(200)]
    assert shared == [0]


def test_a_value_changed_by_a_later_job_is_not_changed_in_the_earlier_outcome(session):
    kept = []

    def remember(x):
        kept.append(x)
        return kept[-1:], len(kept) > 0

    assert session.map(remember, range(300)).results() == [([x], True) for x in range(300)]


def test_scatter_of_100_000_returns_before_the_first_job_ends(session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.scatter(jobs.wait_for, (((str(gate), n), {}) for n in range(10)))
    many = session.map(jobs.square, range(100_000))
    assert len(many) == 100_000
    assert not batch.ready()
    gate.touch()
    assert many.results()[-1] == 99_999**2
    assert batch.results() == list(range(10))


def test_endless_generator_is_drawn_as_needed(session):
    drawn = []

    def numbers():
        for n in itertools.count():
            drawn.append(n)
            yield n

    batch = session.map(jobs.square, numbers())
    first = list(itertools.islice(batch.as_completed(timeout=20), 500))
    assert all(job.result() == job.index**2 for job in first)
    batch.cancel()
    assert batch.ready()
    counts = batch.counts
    assert counts["waiting"] == 0
    assert counts["finished"] + counts["cancelled"] == len(batch)
    assert len(drawn) < 1_000_000


def test_generator_that_raises_ends_the_batch_at_the_jobs_drawn(session):
    def numbers():
        yield from range(20)
        raise OSError("the disk is gone")

    batch = session.map(jobs.square, numbers())
    assert batch.results(errors="return") == [x * x for x in range(20)]
    with pytest.raises(OSError, match="the disk is gone") as caught:
        batch.results()
    assert "20 had been drawn" in caught.value.__notes__[0]


def test_add_grows_a_batch_while_it_runs(session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.scatter(jobs.wait_for, [((str(gate), n), {}) for n in range(4)], name="grows")
    assert batch.add([((str(gate), n), {}) for n in range(4, 8)]) is batch
    assert len(batch) == 8
    gate.touch()
    assert batch.results() == list(range(8))
    assert session.batches["grows"] is batch


def test_results_cover_jobs_present_at_the_call_and_as_completed_those_added_later(session):
    batch = session.map(jobs.square, range(3))
    assert batch.results() == [0, 1, 4]
    seen = []
    for job in batch.as_completed(timeout=20):
        seen.append(job.index)
        if len(batch) == 3:
            batch.add([10])
    assert sorted(seen) == [0, 1, 2, 3]


def test_unnamed_batches_are_numbered_and_a_taken_name_goes_to_the_latest(session):
    first = session.map(jobs.square, [1])
    old, new = session.map(jobs.square, [2], name="hist"), session.map(jobs.square, [3], name="hist")
    assert session.batches["batch-1"] is first
    assert session.batches["hist"] is new
    assert old.results() == [4]


def test_a_batch_is_a_sequence_of_one_job_each(session):
    batch = session.map(jobs.square, range(5))
    assert batch[3] is batch[3] is batch[-2]
    assert [job.index for job in batch[1:4]] == [1, 2, 3]
    assert [job.result(20) for job in batch] == [0, 1, 4, 9, 16]
    with pytest.raises(IndexError, match="jobs 0 to 4, not 5"):
        batch[5]


def test_empty_batch_is_ready(session):
    batch = session.map(jobs.square, [])
    assert batch.ready()
    assert batch.wait(0)
    assert batch.results() == []


@pytest.mark.parametrize(("errors", "expected"), [("return", [4, "error", 1]), ("skip", [4, 1])])
def test_results_of_failed_jobs_as_asked(session, errors, expected):
    values = session.map(lambda x: 4 // x, [1, 0, 4]).results(errors=errors)
    assert ["error" if isinstance(value, ZeroDivisionError) else value for value in values] == expected


def test_retry_puts_a_new_job_and_the_old_one_keeps_its_outcome(session, tmp_path):
    flag = tmp_path / "mended"

    def fragile(x):
        if x == 2 and not flag.exists():
            raise ValueError("not mended")
        return x

    batch = session.map(fragile, range(4))
    batch.wait(20)
    old = batch[2]
    assert batch.failed == [old]
    flag.touch()
    assert batch.retry() == 1
    assert batch.results() == [0, 1, 2, 3]
    assert batch[2] is not old
    assert isinstance(old.exception(), ValueError)
    assert batch.retry() == 0


def test_retries_option_tries_again_by_itself(session, tmp_path):
    def third_time_lucky(folder):
        jobs.note(folder, "tries")
        if jobs.starts(folder, "tries") < 3:
            raise OSError("again")
        return "done"

    assert session.scatter(third_time_lucky, [((str(tmp_path),), {})], retries=2).results() == ["done"]
    assert jobs.starts(tmp_path, "tries") == 3


def test_limit_bounds_the_jobs_that_run_at_once(session, tmp_path):
    def count_running(folder, n):
        path = folder / f"running-{n}"
        path.touch()
        time.sleep(0.02)
        running = len(list(folder.glob("running-*")))
        path.unlink()
        return running

    batch = session.scatter(count_running, [((tmp_path, n), {}) for n in range(20)], limit=1)
    assert batch.limit == 1
    assert max(batch.results()) == 1
    with pytest.raises(dsage.UsageError, match="limit=0"):
        batch.limit = 0


class Whole:
    """As Sage's Integer: no `int`, but as good as one."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Real(Whole):
    """As Sage's RealNumber."""

    __index__ = None

    def __float__(self):
        return float(self.value)


@pytest.mark.parametrize(("whole", "real"), [(np.int64, np.float32), (Whole, Real)])
def test_numbers_of_other_libraries_are_numbers(session, whole, real):
    options = {"retries": whole(1), "limit": whole(2), "memory": whole(10**9), "priority": whole(1)}
    batch = session.map(time.sleep, [0.1] * 4, timeout=real(20), **options)
    batch.limit = whole(1)
    assert (batch.limit, type(batch.limit)) == (1, int)
    assert batch[whole(3)].result(timeout=real(20)) is None
    assert batch.results(timeout=whole(20)) == [None] * 4
    assert "1 job at once" in session.scale("local", whole(1), timeout=whole(20))
    calls = [((whole(100),), {"distribution": "normal", "loc": real(1), "bins": whole(3)})]
    [(counts, _)] = session.scatter("/all_series", calls).results(timeout=real(20))
    assert sum(counts) == 100
    with pytest.raises(dsage.UsageError, match="timeout='3' is no time: give seconds, or None"):
        session.submit(time.sleep, 0.2).result(timeout="3")


def test_pause_and_resume(session, tmp_path):
    gate = tmp_path / "gate"
    batch = session.scatter(jobs.wait_for, [((str(gate), n), {}) for n in range(50)])
    batch.pause()
    gate.touch()
    assert session.map(jobs.square, [3]).results() == [9]  # the workers are free for others
    assert not batch.ready()
    batch.resume()
    assert batch.results() == list(range(50))


def test_two_batches_share(session):
    long = session.scatter(time.sleep, [((0.05,), {}) for _ in range(200)])
    short = session.map(jobs.square, [5])
    assert short.results(timeout=10) == [25]
    assert not long.ready()
    long.cancel()


def test_submit_gathers_single_calls(session):
    made = [session.submit(jobs.square, n) for n in range(200)]
    assert [job.result(20) for job in made] == [n * n for n in range(200)]
    assert session.submit(divmod, 7, 2).result(20) == (3, 1)
    assert len(session.batches["submit"]) == 201


def test_submit_sees_captured_names_as_they_are_at_the_call(session):
    made = []
    factor = 0

    def scaled(x):
        return factor * x

    for factor in (1, 2, 3):  # noqa: B007  (the jobs capture it)
        made.append(session.submit(scaled, 10))  # noqa: PERF401
    assert [job.result(20) for job in made] == [10, 20, 30]


def test_services_are_called_by_name():
    with dsage.spawn("local:?slots=1", services={"/square": lambda x: x * x}) as session:
        assert session.map("/square", [3]).results() == [9]
        counts, edges = session.scatter("/all_series", [([1000], {"bins": 10})]).results()[0]
        assert sum(counts) == 1000
        assert len(edges) == 10
        with pytest.raises(dsage.UnknownServiceError, match=r"no service '/nope'; there is /all_series, /square"):
            session.map("/nope", [1])


def test_output_of_a_job_is_its_own(session):
    def talk(n):
        print("this is job", n)
        return n

    batch = session.map(talk, range(10))
    batch.wait(20)
    assert [job.output for job in batch] == [f"this is job {n}\n" for n in range(10)]


def test_refresh_reads_edited_modules_anew(tmp_path, monkeypatch):
    module = tmp_path / "edited_module.py"
    module.write_text("def answer(_):\n    return 'old'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import edited_module

    with dsage.spawn("local:?slots=2") as session:
        assert set(session.map(edited_module.answer, range(4)).results()) == {"old"}
        module.write_text("def answer(_):\n    return 'the new one'\n")
        before = {worker.pid for worker in session.workers}
        assert "2 workers" in session.refresh()
        assert session.wait_for_workers(30)
        assert set(session.map(edited_module.answer, range(40)).results()) == {"the new one"}
        assert not before & {worker.pid for worker in session.workers}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda s: s.scatter(3, []), "must be a function or a service's name, not 3"),
        (lambda s: s.scatter(jobs.square, [5]), r"Job 0 is 5, not an \(args, kwargs\) pair"),
        (lambda s: s.scatter(jobs.square, [("ab", {})]), "not an .args, kwargs. pair"),
        (lambda s: s.map(jobs.square), "at least one iterable"),
        (lambda s: s.map(jobs.square, [1], retries=-1), "retries=-1"),
        (lambda s: s.map(jobs.square, [1], name=""), "name=''"),
        (lambda s: s.map(jobs.square, [1], limit=True), "limit=True"),
        (lambda s: s.map(jobs.square, [1]).results(errors="ignore"), "'raise', 'return' or 'skip'"),
    ],
)
def test_bad_input_is_answered_in_one_sentence(session, call, sentence):
    with pytest.raises(dsage.UsageError, match=sentence):
        call(session)
    assert session.map(jobs.square, [2]).results() == [4]


def test_a_later_bad_job_ends_alone(session):
    batch = session.scatter(jobs.square, [((2,), {}), 7, ((threading.Lock(),), {}), ((3,), {})])
    good, malformed, unpicklable, also_good = batch.results(errors="return")
    assert (good, also_good) == (4, 9)
    assert isinstance(malformed, dsage.UsageError)
    assert "Job 1 is 7" in str(malformed)
    assert isinstance(unpicklable, dsage.UnpicklableError)
    assert "job 2" in str(unpicklable)
