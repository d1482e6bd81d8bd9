"""What jobs print: the end of it is told, the file stays small, and no job can break it for the next one.

Each test runs its jobs in a process of its own, since an `Output` takes over standard output and error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from jupyter_dsage import settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BEFORE = """
import io, json, os, sys
from jupyter_dsage import settings
from jupyter_dsage.worker.output import Output
from jupyter_dsage.worker.output_file import trim
from jupyter_dsage.worker.page import Page
page = Page()
output = Output(sys.argv[1], page, sys.argv[1] + "-kept")
output.install()
told = []
def size(): return os.stat(sys.argv[1]).st_blocks * 512  # the room that it takes
def job_ends():
    told.append(output.take().tail if output.grown() else None)
    if not output.intact():
        output.restore()
"""
AFTER = """
with open(sys.argv[2], "w") as file:
    json.dump(told, file)
os._exit(0)
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str], list[object]]:
    """Give a function that runs code with an output installed and returns what was put in `told`."""

    def do(code: str) -> list[object]:
        script = BEFORE + textwrap.dedent(code) + AFTER
        command = [sys.executable, "-c", script, str(tmp_path / "worker.out"), str(tmp_path / "told")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        printed = (tmp_path / "worker.out").read_text("utf-8", "replace")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), printed
        told: list[object] = json.loads((tmp_path / "told").read_text("utf-8"))
        return told

    return do


def test_each_job_has_what_it_printed_and_no_more(run: Callable[[str], list[object]]) -> None:
    assert run(
        """
        print("one"); print("error", file=sys.stderr); job_ends()
        job_ends()
        print("two", end=""); job_ends()
        """
    ) == ["error\none\n", None, "two"]


def test_only_the_end_of_it_is_told(run: Callable[[str], list[object]]) -> None:
    [told] = run("for number in range(50_000): print(number)\njob_ends()")
    assert isinstance(told, str)
    assert len(told) == settings.OUTPUT_TAIL_BYTES
    assert told.endswith("49998\n49999\n")


def test_a_letter_cut_in_two_is_left_out(run: Callable[[str], list[object]]) -> None:
    [told] = run("print('x' + 10_000 * '€', end=''); job_ends()")
    assert told == "€" * (settings.OUTPUT_TAIL_BYTES // 3)


def test_a_job_that_prints_without_end_keeps_the_file_small(run: Callable[[str], list[object]]) -> None:
    told = run(
        """
        most = 0
        for number in range(500_000):
            print(number)
            if number % 1000 == 0:
                most = max(most, size())
                trim(sys.argv[1], page)  # what the supervisor does, from another process
        job_ends()
        print("the next"); job_ends()
        told.append(most)
        """
    )
    assert str(told[0]).endswith("499998\n499999\n")
    assert told[1] == "the next\n"
    assert isinstance(told[2], int)
    assert told[2] <= settings.OUTPUT_FILE_BYTES + 20_000


def test_one_huge_write_keeps_the_file_small(run: Callable[[str], list[object]]) -> None:
    told = run("print('x' * 5_000_000); job_ends(); told.append(size()); print('next'); job_ends()")
    assert told[0] == "x" * (settings.OUTPUT_TAIL_BYTES - 1) + "\n"
    assert isinstance(told[1], int)
    assert told[1] <= settings.OUTPUT_FILE_BYTES
    assert told[2] == "next\n"


def test_many_jobs_that_print_a_little_keep_the_file_small(run: Callable[[str], list[object]]) -> None:
    told = run(
        """
        most = 0
        for number in range(3000):
            print("x" * 999)
            assert output.take().tail == "x" * 999 + "\\n"
            most = max(most, size())
        told.append(most)
        """
    )
    assert isinstance(told[0], int)
    assert told[0] <= settings.OUTPUT_FILE_BYTES + 20_000


def test_the_whole_is_kept_up_to_a_cap(run: Callable[[str], list[object]]) -> None:
    told = run(
        """
        settings.OUTPUT_CAP_BYTES, settings.OUTPUT_FILE_BYTES = 100_000, 20_000
        def job(count, name):
            for number in range(count):
                print(f"{number:09}")
                if number % 100 == 0:
                    output.flush()
                    trim(sys.argv[1], page)
            printed = output.take(name)
            told.append(open(printed.file).read() if printed.file else printed.tail)
        job(10, "small"); job(3000, "middle"); job(30_000, "large"); job(1500, "again")
        """
    )
    lines = [f"{number:09}\n" for number in range(30_000)]
    assert told[0] == "".join(lines[:10])
    assert told[1] == "".join(lines[:3000])
    assert told[3] == "".join(lines[:1500])
    large = str(told[2])
    head, _, rest = large.partition("\n[... ")
    count, _, tail = rest.partition(" bytes were left out ...]\n")
    assert "".join(lines).startswith(head)
    assert "".join(lines).endswith(tail)
    assert len(tail) == settings.OUTPUT_TAIL_BYTES
    assert len(head) + int(count.replace(",", "")) + len(tail) == 300_000
    assert len(large) <= 110_000


def test_what_c_code_and_processes_print_is_told_apart(run: Callable[[str], list[object]]) -> None:
    assert run(
        """
        import ctypes
        ctypes.CDLL(None).printf(b"printf\\n"); job_ends()
        os.write(1, b"raw"); job_ends()
        job_ends()
        os.system("echo shell"); job_ends()
        """
    ) == ["printf\n", "raw", None, "shell\n"]


def test_bytes_may_be_written(run: Callable[[str], list[object]]) -> None:
    assert run(
        r"""
        sys.stdout.buffer.write(b"bytes\n"); job_ends()
        sys.stdout.buffer.write(bytearray(b"\xff\xfe")); sys.stdout.flush(); job_ends()
        sys.stdout.buffer.write(memoryview(b"view")); print(" text"); job_ends()
        print("\ud800"); job_ends()
        """
    ) == ["bytes\n", "\ufffd\ufffd", "view text\n", "\\ud800\n"]


def test_what_others_write_to_the_descriptors_lands_in_the_file(run: Callable[[str], list[object]]) -> None:
    assert run(
        """
        os.system("echo from a shell; echo its error >&2")
        os.write(1, b"raw\\n")
        print("python")
        job_ends()
        """
    ) == ["from a shell\nits error\nraw\npython\n"]


def test_errors_are_in_the_file_line_by_line(run: Callable[[str], list[object]]) -> None:
    assert run(
        """
        print("last words", file=sys.stderr)
        told.append(open(sys.argv[1]).read())
        """
    ) == ["last words\n"]


@pytest.mark.parametrize(
    "deed",
    [
        "sys.stdout.close(); sys.stderr.close()",
        "sys.stdout.buffer.close(); sys.stderr.buffer.close()",
        "sys.__stdout__.close(); sys.__stderr__.close()",
        "with sys.stdout: pass",
        "sys.stdout.detach(); sys.stderr.detach()",
        "os.close(1); os.close(2)",
        "open('/dev/stdout', 'w').close()",
        "os.ftruncate(1, 0)",
        "sys.stdout.reconfigure(encoding='latin-1', line_buffering=True)",
        "os.remove(sys.argv[1])",
    ],
)
def test_a_job_that_closes_or_cuts_the_output_harms_nobody(run: Callable[[str], list[object]], deed: str) -> None:
    told = run(
        f"""
        path = sys.argv[1]
        print("before"); job_ends()
        print("during")
        {deed}
        job_ends()
        del told[-1]
        print("after"); job_ends()
        print("after error", file=sys.stderr); job_ends()
        open(path, "a").close()
        """
    )
    assert told == ["before\n", "after\n", "after error\n"]


@pytest.mark.parametrize(
    "instead",
    [
        "None",
        "object()",
        "io.StringIO()",
        "type('Odd', (), {'flush': lambda self: 1 / 0, 'write': lambda self, text: 1})()",
    ],
)
def test_a_job_that_replaces_the_output_harms_nobody(run: Callable[[str], list[object]], instead: str) -> None:
    told = run(
        f"""
        mine = sys.stdout
        print("before")
        sys.stdout = sys.stderr = {instead}
        mine.write("x" * 2_000_000)
        job_ends()
        print("after"); print("error", file=sys.stderr); job_ends()
        mine.write("with the old one"); mine.flush(); job_ends()
        """
    )
    assert told == ["x" * settings.OUTPUT_TAIL_BYTES, "error\nafter\n", "with the old one"]


def test_a_job_may_wrap_the_output_anew(run: Callable[[str], list[object]]) -> None:
    assert run(
        """
        sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding="utf-8")
        print("wrapped"); sys.stdout.flush(); job_ends()
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", write_through=True)
        print("and again"); job_ends()
        print("as ever"); job_ends()
        """
    ) == ["wrapped\n", "and again\n", "as ever\n"]


def test_threads_may_print_together(run: Callable[[str], list[object]]) -> None:
    told = run(
        """
        import threading
        def job(name):
            for number in range(20_000):
                print(name * 20)
        threads = [threading.Thread(target=job, args=(name,)) for name in "abcd"]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        job_ends()
        told.append(size())
        """
    )
    assert isinstance(told[1], int)
    assert told[1] <= settings.OUTPUT_FILE_BYTES + 20_000


def test_a_job_that_ends_while_the_file_is_trimmed_keeps_its_end_and_the_next_one_its_own(
    run: Callable[[str], list[object]],
) -> None:
    assert run(
        """
        import time
        pid = os.fork()
        if pid == 0:  # the supervisor, which trims all the time
            while not os.path.exists(sys.argv[1] + ".stop"):
                trim(sys.argv[1], page)
            os._exit(0)
        deadline = time.monotonic() + 2
        number = wrong = 0
        while time.monotonic() < deadline:
            line = f"{number:08} {'y' * 90}\\n".encode()
            for _ in range(25 + number % 17):
                os.write(1, line * 500)
            os.write(1, b"the end of %d\\n" % number)
            long = output.take().tail
            print("short", number)
            wrong += long != (line * 500 + b"the end of %d\\n" % number)[-8192:].decode().lstrip("\\n")
            wrong += output.take().tail != f"short {number}\\n"
            number += 1
        open(sys.argv[1] + ".stop", "w").close()
        os.waitpid(pid, 0)
        os.truncate(sys.argv[1], 0)  # it is gigabytes long, holes that are read at the end of the test
        told.extend([wrong, number > 50])
        """
    ) == [0, True]


def test_a_full_folder_costs_the_file_and_is_told(run: Callable[[str], list[object]]) -> None:
    first, second, file, kept = run(
        """
        settings.OUTPUT_KEPT_BYTES = 50_000
        for name in ("one", "two"):
            print("x" * 60_000)
            told.append(output.take(name))
        told[:] = [told[0][0], *told[1], len(os.listdir(sys.argv[1] + "-kept"))]
        """
    )
    assert str(first) == "x" * (settings.OUTPUT_TAIL_BYTES - 1) + "\n"
    assert str(second).startswith("[... 60,001 bytes in all, which were not kept: the folder ")
    assert str(second).endswith("is full: it has 50,000 bytes ...]\n" + str(first))
    assert file == ""
    assert kept == 1


def test_a_folder_that_cannot_be_made_costs_the_file_only(run: Callable[[str], list[object]]) -> None:
    text, file, after = run(
        """
        open(sys.argv[1] + "-kept", "w").close()
        print("x" * 60_000)
        told.extend(output.take("name"))
        print("after"); told.append(output.take("after").tail)
        """
    )
    assert "which were not kept: File exists" in str(text)
    assert (file, after) == ("", "after\n")


def test_where_parts_cannot_be_freed_the_file_is_emptied_between_jobs(run: Callable[[str], list[object]]) -> None:
    told = run(
        """
        import ctypes, errno
        from jupyter_dsage.worker import output_file
        class OldSystem:
            @staticmethod
            def fallocate(*_):
                ctypes.set_errno(errno.EOPNOTSUPP)
                return -1
        output_file._libc = OldSystem
        for number in range(3):
            os.write(1, b"%d" % number * 3_000_000)
            trim(sys.argv[1], page)
            os.write(1, b"end of %d" % number)
            printed = output.take(f"job-{number}")
            told.append([printed.tail[-9:], open(printed.file).read().strip(str(number)), size()])
        """
    )
    assert [one[:2] for one in told] == [[f"{n}end of {n}"[-9:], f"end of {n}"[:-1]] for n in range(3)]
    assert max(one[2] for one in told) <= settings.OUTPUT_FILE_BYTES
