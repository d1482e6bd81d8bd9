"""The magics `%%scatter` and `%dsage`: they join line, loop, cell and session, and turn errors into one sentence."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError as ShownUsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Bool

from jupyter_dsage import errors
from jupyter_dsage.notebook import completion, sessions, verbs
from jupyter_dsage.notebook.cell import Cell
from jupyter_dsage.notebook.line import USAGE, Line, parse
from jupyter_dsage.notebook.loop import Jobs, Loop
from jupyter_dsage.notebook.tracebacks import hide_own_frames, shorten, show_own_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_dsage.client.batch import Batch

_LOOK_SECONDS = 0.2
"""How often the line of text of a terminal is written anew."""

_SENTENCES = (errors.UsageError, errors.EngineError, errors.UnknownServiceError)
"""What a person can mend in the line: shown as a sentence."""


@magics_class
class DsageMagics(Magics):
    """The magics, in one IPython shell."""

    shell: Any
    replace = Bool(default_value=False, help="Cancel the former batch of a name when its cell runs again.").tag(
        config=True
    )

    @no_var_expand
    @cell_magic
    def scatter(self, line: str, cell: str) -> None:
        """Run the cell once for each item of a loop, spread over workers; the cell returns at once.

        ::

          %%scatter [OPTIONS] NAME for VARS in EXPR [if COND]
          %%scatter [OPTIONS] NAME using JOBS

        reads like ``NAME = [BODY for VARS in EXPR if COND]``: the value of BODY's last expression is a job's result,
        and NAME is the batch of jobs.

        What jobs share with the notebook: the names that it has now, each job a copy of its own (what a job changes,
        it changes there); the working directory and sys.path as they are now. What they do not share: changes in
        either direction after that, IPython (magics, !commands, display as widgets), open files, locks, random
        generators. docs/jobs.md tells all of it.

        Examples::

          %%scatter squares for x in range(100)
          x * x

          %%scatter hist for seed, size in runs if size > 10
          ts = TimeSeries(size)
          ts.randomize("normal", seed, 1)
          ts.histogram(bins=10)

          %%scatter hist using [([1000], {"bins": 10}), ([2000], {"bins": 20})]
          def histogram(size, bins=50):        # the last def is the function that jobs call
              ...

        Then ``hist[3].result()``, ``hist.results()``, ``hist.wait()``, ``for job in hist.as_completed()``,
        ``hist.failed``, ``hist.retry()``, ``hist.add(...)``, ``hist.cancel()``.

        Options, before NAME, right after it, or at the very end of the line::

          --into BATCH     grow a batch that there is (NAME may be left out)
          --session NAME   run in this session (%dsage start --name NAME)
          --limit N        run at most N jobs at once
          --retries N      try a job that raises N times again
          --timeout T      end a job that takes longer, such as 30s or 10min
          --memory M       end a job that takes more memory, such as 500MB
          --at-most-once   report a job lost with its worker as lost, rather than trying it again
          --priority N     batches of a higher one go first
          --engine NAME    run jobs only there (see %dsage status); several with commas between
          --resources R    what each job takes of what engines have, such as gpu=1 (local:?resources=gpu:2)
          --wait           return when all jobs have ended
          --quiet          show nothing
          --replace        cancel what an earlier batch of this name has not done (%config DsageMagics.replace = True:
                           always); else it runs on, as NAME#1: %dsage cancel NAME#1
        """
        try:
            self._scatter(parse(line), Cell(self.shell, line, cell))
        except errors.CellBodyError as error:
            raise ShownUsageError(str(error)) from None
        except _SENTENCES as error:
            raise ShownUsageError(f"{error}\n{USAGE}") from None
        except errors.CellSyntaxError:
            raise
        except BaseException as error:
            shorten(error, self.shell)
            raise

    def _scatter(self, said: Line, cell: Cell) -> None:
        names = self.shell.user_ns
        into = sessions.batch(said.into, said.session, names) if said.into else None
        if into is not None and said.fixed:
            option = next(iter(said.fixed)).replace("_", "-")
            raise errors.UsageError(
                f"--{option} belongs to the cell that makes a batch: it cannot be changed by --into."
            )
        if into is not None and into.function is None:
            raise errors.UsageError(f"Batch {into.name!r} grows by session.submit, not by --into.")
        if into is not None and said.replace:
            raise errors.UsageError("--replace and --into contradict each other.")
        function, jobs = self._job(said, cell, said.name or (into.name if into else ""))
        batch = _started(said, function, jobs) if into is None else _grown(said, into, function, jobs)
        if into is None:
            told = sessions.replaced(batch, cancel=said.replace or self.replace)
            if told and not said.quiet:
                print(told)  # noqa: T201  (what runs on unseen otherwise)
        for hint in cell.hints if not said.quiet else ():
            print(hint)  # noqa: T201  (before the jobs have run for an hour)
        if said.name is not None:
            names[said.name] = batch
        if not said.quiet:
            _show(batch, follow=said.wait and not hasattr(self.shell, "kernel"))
        if said.wait:
            batch.wait()

    def _job(self, said: Line, cell: Cell, name: str) -> tuple[Callable[..., Any], Jobs]:
        """Return the function of the jobs and what it is called with."""
        names = self.shell.user_ns
        if said.loops:
            loop = Loop(cell.generator(said.text, said.start), said.text)
            function = cell.function(name, loop.names)
            return function, loop.jobs(names, cell.compiled)
        expression = cell.expression(said.text, said.start)
        function = cell.run()
        pairs = eval(cell.compiled(expression), names)  # noqa: S307  (it is the user's own cell)
        return function, Jobs(pairs, bare=False)

    @line_magic
    def dsage(self, line: str) -> None:
        """Look after sessions and batches.

        ::

          %dsage start [URL…] [--name NAME]   a session; without a URL one worker per core
          %dsage status                       sessions, engines, workers, batches
          %dsage engine add URL               one more engine shares the work, also of batches that run
          %dsage engine remove URL [--now]    its running jobs end first, or are moved --now
          %dsage engine scale URL SLOTS       it runs so many jobs at once
          %dsage refresh                      workers anew, so that edited modules are read again, and os.environ
          %dsage pause [BATCH…]               start no more jobs; without a name: of all batches
          %dsage resume [BATCH…]
          %dsage cancel [BATCH…]              end jobs that have not ended
          %dsage retry [BATCH…]               run failed jobs again
          %dsage log [N]                      the last N lines of the child's log
          %dsage attach [NAME]                a session from before: its batches, under their names, and their views
          %dsage ps                           all sessions and their processes: pid, what, CPU, memory
          %dsage die [--all] [--force]        end the session and every process it started; that of another notebook
                                              which runs only with --force

        Jobs share with the notebook the names, the working directory and sys.path that it had when their cell ran;
        environment variables and modules as they were when the session started, or at the last ``refresh``. What a job
        changes stays with that job.

        Each but ``start`` takes ``--session NAME``. Nobody has to start a session: the first ``%%scatter`` does.

        Examples::

          %dsage start local:?slots=2 --name small
          %dsage engine add dsage://lab7:12345?slots=8
          %dsage engine add ssh://me@lab8?slots=8
          %dsage cancel hist --session small
          %dsage log 50
        """
        try:
            answer = verbs.run(line, self.shell.user_ns, lambda batch: _show(batch, follow=False))
        except _SENTENCES as error:
            raise ShownUsageError(f"{error}\n{verbs.USAGE}") from None
        except BaseException as error:
            shorten(error, self.shell)
            raise
        print(answer)  # noqa: T201  (the answer of a magic)


def _started(said: Line, function: Callable[..., Any], jobs: Jobs) -> Batch:
    session = sessions.ready(said.session)
    submit = session.map if jobs.bare else session.scatter
    return submit(function, jobs.jobs, name=said.name, limit=said.limit, **said.fixed)


def _grown(said: Line, batch: Batch, function: Callable[..., Any], jobs: Jobs) -> Batch:
    batch.session.add_to(batch, jobs.jobs, function, bare=jobs.bare)
    if said.limit is not None:
        batch.limit = said.limit
    return batch


def _show(batch: Batch, *, follow: bool) -> None:
    """Show the view of a batch, or a line of text; with `follow` the line moves until the jobs have ended."""
    from jupyter_dsage.notebook import display

    moving = follow and sys.stdout.isatty()
    while follow and not batch.wait(_LOOK_SECONDS if moving else None):
        print(f"\r{display.text(batch)}", end="", flush=True)  # noqa: T201
    if moving:
        print(end="\r")  # noqa: T201
    try:
        display.show(batch)
    except (ImportError, FileNotFoundError):  # the widget's parts are not installed, or not built
        print(display.text(batch))  # noqa: T201  (a line of text says the same)


def register(ip: Any) -> None:
    """Add the magics, their completion and the display of batches to an IPython shell."""
    from jupyter_dsage.notebook import display

    ip.register_magics(DsageMagics)
    hide_own_frames(ip)
    notice = sessions.notice()
    if notice:
        print(notice)  # noqa: T201  (what a person wants to know first)
    completion.register(ip)
    display.register(ip)


def unregister(ip: Any) -> None:
    """Take the magics and their completion away again; sessions live on."""
    ip.magics_manager.magics["cell"].pop("scatter", None)
    ip.magics_manager.magics["line"].pop("dsage", None)
    completion.unregister(ip)
    show_own_frames(ip)
