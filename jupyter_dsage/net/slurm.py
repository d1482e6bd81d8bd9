"""Slurm's own commands, run without waiting: a job is submitted, looked at, cancelled.

What they print is read as untrusted text. Formats as in the manual pages of sbatch and scontrol (Slurm 22.05 and
newer).
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_dsage import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS = ("partition", "account", "qos", "time", "constraint", "gres", "mem", "reservation")
"""Options of a ``slurm:`` URL that sbatch takes as they are."""
_FIELD = re.compile(r"(\w+)=(\S*)")
_LIVING = (
    "PENDING",
    "CONFIGURING",
    "RUNNING",
    "COMPLETING",
    "SUSPENDED",
    "REQUEUED",
    "RESIZING",
    "STAGE_OUT",
    "SIGNALING",
)


@dataclass(frozen=True, slots=True)
class JobState:
    """What Slurm says of a job. `lives`: whether it may run yet, or runs."""

    state: str
    reason: str
    lives: bool

    def words(self) -> str:
        """Return it as Slurm's queue shows it."""
        reason = "" if self.reason in ("", "None") else f": {self.reason}"
        return f"{self.state.lower()}{reason}"


class Command:
    """One command that runs. `sent`: its standard input."""

    def __init__(self, words: Sequence[str], sent: str = "") -> None:
        self._words = list(words)
        self._why = ""
        self._out = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the command)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            with tempfile.TemporaryFile() as file:
                file.write(sent.encode())
                file.seek(0)
                self._process = subprocess.Popen(
                    self._words, stdin=file, stdout=self._out, stderr=subprocess.STDOUT, start_new_session=True
                )
        except OSError as error:
            self._why = f"{words[0]} cannot be started ({error.strerror}): start the session where Slurm's commands are"

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._process is None or self._process.poll() is not None

    def answer(self) -> tuple[bool, str]:
        """Return, once it is `done`, whether it succeeded, and what it said."""
        if self._process is None:
            return False, self._why
        self._out.seek(0)
        said = self._out.read(settings.STDERR_KEPT).decode(errors="replace").strip()
        return self._process.returncode == 0, said or f"{self._words[0]} ended with {self._process.returncode}"

    def wait(self, seconds: float) -> None:
        """Wait for its end, or for so long."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)

    def close(self, seconds: float = 0.0) -> None:
        """Wait for its end, or end it."""
        self.wait(seconds)
        if self._process is not None and not self.done:
            self._process.kill()
            self._process.wait()
        self._out.close()


def submit(script: str, options: Sequence[str]) -> Command:
    """Submit a batch script; its answer is the job's number."""
    return Command(["sbatch", "--parsable", "--job-name=dsage", *options], script)


def number(said: str) -> str | None:
    """Return the job's number out of sbatch's answer (``123`` or ``123;cluster``), or None."""
    found = re.match(r"(\d+)(;|$)", said.splitlines()[-1] if said else "")
    return found[1] if found else None


def look(job: str) -> Command:
    """Look at a job."""
    return Command(["scontrol", "--oneliner", "show", "job", job])


def state(*, known: bool, said: str) -> JobState:
    """Return what scontrol's answer says; a job that it does not know any more has ended."""
    fields = dict(_FIELD.findall(said))
    if not known or "JobState" not in fields:
        return JobState("UNKNOWN", said.splitlines()[0] if said else "", lives=False)
    return JobState(fields["JobState"], fields.get("Reason", ""), fields["JobState"] in _LIVING)


def cancel(job: str) -> Command:
    """Cancel a job."""
    return Command(["scancel", job])
