"""Why an aim was missed: what bounds each workload, with the figures of the same run, and whose profile shows it.

Used by `report`. ``{workload peer figure}`` stands for the median of the run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_dsage import settings
from tests.benchmarks.figures import short

if TYPE_CHECKING:
    from tests.benchmarks.aims import Medians

_TELLING = f"""
Both cores are the workers', so all that child and client do (for each report three system calls, a wake and the
scheduler; every {1000 * settings.GROUP_SECONDS:g} ms a commit and a wake of the client) is taken from the jobs. A
report comes every {1000 * settings.CHUNK_SECONDS:g} ms or once a job, whichever is longer. Leases of twice the length
would send half as many; but then more than 10 ms of finished work go with a killed worker, which the design rules out.
"""

REASONS = {
    "noop_100k": (
        "noop",
        """
        `Pool.map` calls the function in a bare loop ({limits machine call_m_s} million calls a second and core here)
        and gives one list, no futures: nobody can tell which job ran when a worker died, and a job cannot be recalled.
        Ours writes each job's number on the worker's page and looks for a recall before it runs; then each value is
        pickled once, told, recorded as ended and unpickled.
        """,
    ),
    "noop_1M": (
        "noop",
        """
        The same as with 100,000; a million values are gathered from {noop_1M dsage-nojournal jobs_per_s} a second,
        against {noop_1M pool jobs_per_s}.
        """,
    ),
    "submit_100k": (
        "submit",
        """
        Each call of `submit` is Python of the caller's thread: take the lock, number, append, make the `Job`, and later
        settle it. {submit_100k dsage jobs_per_s} a second is the client's thread filled; workers and child idle
        meanwhile.
        """,
    ),
    "held": (
        "",
        """
        What grows are the outcomes of all that ran in that second, 5 bytes a job, so the faster the more: without a
        journal the client keeps them, up to 200 MB (what is beyond goes to a file); with one it keeps next to none.
        """,
    ),
    "roundtrip": (
        "roundtrip",
        """
        Four messages between three processes, each of which is woken, and a thread: client, child, worker, child,
        client. That way alone, with nothing done on it, takes {limits machine relay_us} us, where ProcessPoolExecutor,
        which has two messages and neither journal, lease nor page, takes {roundtrip ppe p50_us} us in all. The rest is
        Python between the sockets, each time in a process that has just been woken.
        """,
    ),
    "echo100": (
        "echo",
        """
        With the journal, arguments and value go to the disk before the value is told, 200 MB an echo, and the disk
        takes {limits machine disk_mb_s} MB/s past the cache: that is the ceiling of anything that is recorded first.
        Ray ({echo100 ray mb_per_s} MB/s) records nothing, and is the faster the more its store takes pages that were
        used before. Without the journal, both ways are one copy each into shared memory ({limits machine memcpy_gb_s}
        GB/s) and the pass over the result.
        """,
    ),
    "echo200": (
        "arrays",
        """
        All 200 arrays are under way at once, so nearly every page is a new one, and the machine makes shared pages at
        {limits machine fresh_mb_s} MB/s with nothing else running; it does so once for the arguments and once for the
        values, on the two cores that the workers use too. With the journal each array is a file as well, at
        {limits machine disk_mb_s} MB/s.
        """,
    ),
    "start": (
        "",
        """
        Two interpreters start before the first job runs (child and supervisor side by side, each
        {limits machine python_ms} ms bare, before they load anything); the worker is forked. ProcessPoolExecutor starts
        one, which imports less, and has no child that outlives the kernel.
        """,
    ),
    "hist_10k": (
        "histogram",
        f"""
        A job here is a few calls of numpy. Ours pickles each value by itself (a value that cannot be read back ends its
        own job, and no two jobs share an object), writes the page, looks for output, and tells every
        {1000 * settings.CHUNK_SECONDS:g} ms; `Pool.map` pickles an eighth of all values in one go and tells nothing in
        between.
        """,
    ),
    "widget": (
        "",
        """
        {widget dsage plain_per_s} jobs a second unwatched, {widget dsage watched_per_s} watched: what a snapshot a
        second costs is less than what two runs differ by.
        """,
    ),
    "busy_1ms": ("busy", _TELLING),
    "busy_10ms": ("busy", _TELLING),
    "busy_tail": ("busy", _TELLING),
}


def why(workload: str, medians: Medians) -> str:
    """Return the reason in words; empty where none is known."""
    if workload not in REASONS:
        return ""

    def figure(found: re.Match[str]) -> str:
        value = medians.get((found[1], found[2], found[3]))
        return "?" if value is None else short(value)

    profile, text = REASONS[workload]
    said = re.sub(r"\{(\S+) (\S+) (\S+)\}", figure, " ".join(text.split()))
    return said + (f" See the profile of *{profile}*." if profile else "")
