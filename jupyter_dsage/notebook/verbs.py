"""What `%dsage` does: each verb a function that returns a short text. Called by `magics`; prints nothing."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_dsage.client import processes
from jupyter_dsage.client.living import living
from jupyter_dsage.client.opening import attach
from jupyter_dsage.client.processes import columns
from jupyter_dsage.errors import UsageError
from jupyter_dsage.notebook import sessions
from jupyter_dsage.notebook.options import Option, is_option, take, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from jupyter_dsage.client.batch import Batch
    from jupyter_dsage.client.session import Session
    from jupyter_dsage.wire import messages as m

USAGE = (
    "Usage: %dsage start [URL…] [--name NAME] | status | engine add URL | engine remove URL [--now] | "
    "engine scale URL SLOTS | refresh | pause [BATCH…] | resume [BATCH…] | cancel [BATCH…] | retry [BATCH…] | "
    "log [N] | attach [NAME] | ps | die [--all] [--force]   (%dsage? tells more)"
)

LOG_LINES = 20
"""Lines of the log that are shown if no number is given: what fits below a cell."""

ENGINE_WORDS = ("add", "remove", "scale")
"""What may be done to an engine."""

_SESSION = Option("a session's name")


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: what does it, the options it knows, and what its words are called (None: it takes none)."""

    act: Callable[[Call], str]
    options: dict[str, Option] = field(default_factory=lambda: {"session": _SESSION})
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A verb as it was called. `names`: the user's names."""

    words: list[str]
    options: Mapping[str, Any]
    names: MutableMapping[str, Any]
    show: Callable[[Batch], None]
    """Shows a batch below the cell."""

    @property
    def session(self) -> str | None:
        """The name behind ``--session``."""
        return self.options.get("session")

    def batches(self) -> list[Batch]:
        """Return the batches that are named; else the newest of each name, and those before that have not ended."""
        if self.words:
            return [sessions.batch(name, self.session, self.names) for name in self.words]
        return list(sessions.found(self.session).batches.current().values())


def run(line: str, names: MutableMapping[str, Any], show: Callable[[Batch], None] = lambda _: None) -> str:
    """Do what a line says and return the answer; raises DsageError. `show`: shows a batch below the cell."""
    given = words(line, numbered=True)
    if not given:
        raise UsageError(f"%dsage wants a verb: {', '.join(VERBS)}.")
    verb = VERBS.get(given[0].text)
    if verb is None:
        near = difflib.get_close_matches(given[0].text, VERBS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(VERBS)}."
        raise UsageError(f"There is no verb {given[0].text!r}; {hint}")
    options: dict[str, Any] = {}
    plain: list[str] = []
    at = 1
    while at < len(given):
        if is_option(given[at]):
            at = take(given, at, verb.options, options)
        else:
            plain.append(given[at].text)
            at += 1
    if plain and verb.words is None:
        raise UsageError(f"'%dsage {given[0].text}' takes no words behind it, so {plain[0]!r} is too much.")
    return verb.act(Call(plain, options, names, show))


def _start(call: Call) -> str:
    session = sessions.start(call.words, call.options.get("name"))
    notes = [url.note for url in session.urls if url.note]
    return "\n".join([f"Session {session.name!r} started: child {session.pid}, {_engines(session)}.", *notes])


def _status(call: Call) -> str:
    shown = [sessions.found(call.session)] if call.session else living()
    return (
        "\n\n".join(_told(session, label) for session, label in _labelled(shown))
        or "No session is running: %%scatter or %dsage start starts one."
    )


def _labelled(shown: Sequence[Session]) -> list[tuple[Session, str]]:
    """Return sessions with what tells them apart: the name, and the id where several have one name."""
    unique = sessions.by_name()
    return [(each, repr(each.name) if each.name in unique else f"{each.name!r} with id {each.id}") for each in shown]


def _told(session: Session, label: str) -> str:
    at_work = [worker for worker in session.workers if worker.stage == "ready"]
    lines = [f"Session {label}: child {session.pid}, {_engines(session)}, {len(at_work)} workers ready"]
    lines += [f"{engine.name} is {engine.state}: {engine.note}" for engine in session.engines if engine.note]
    rows = [(f"worker {worker.worker}", worker.engine, f"pid {worker.pid}", worker.stage) for worker in session.workers]
    lines += columns(rows)
    if session.batches:
        lines += ["", *columns(processes.batch_table(session))]
    return "\n".join(lines)


def _engines(session: Session) -> str:
    return ", ".join(_engine_told(engine) for engine in session.engines)


def _engine_told(engine: m.EngineInfo) -> str:
    slots = f"{engine.slots} slot{'' if engine.slots == 1 else 's'}"
    return f"{slots} on {engine.name}" if engine.state == "open" else f"{engine.name} ({engine.state})"


def _engine(call: Call) -> str:
    match call.words:
        case ["add", url] if not call.options.get("now"):
            return sessions.found(call.session).add(url)
        case ["remove", url]:
            return sessions.found(call.session).remove(url, now=bool(call.options.get("now")))
        case ["scale", url, slots] if slots.isdecimal():
            return sessions.found(call.session).scale(url, int(slots))
    raise UsageError("'%dsage engine' wants: add URL, remove URL [--now], or scale URL SLOTS.")


def _refresh(call: Call) -> str:
    session = sessions.found(call.session)
    try:
        return session.refresh()
    except TimeoutError:
        return f"Session {session.name!r} has not answered within 30 s; it refreshes when it can."


def _pause(call: Call) -> str:
    return _each(call, "Paused", "pause", lambda batch: batch.pause())


def _resume(call: Call) -> str:
    return _each(call, "Resumed", "resume", lambda batch: batch.resume())


def _cancel(call: Call) -> str:
    return _each(call, "Cancelled", "cancel", lambda batch: batch.cancel())


def _each(call: Call, done: str, verb: str, act: Callable[[Batch], None]) -> str:
    """Do something to the batches that are named, or to all that have jobs waiting."""
    batches = [batch for batch in call.batches() if call.words or not batch.ready()]
    if not batches:
        return f"Nothing to {verb}: no batch has jobs waiting."
    told = [f"{sessions.label(batch)} ({batch.counts['waiting']} jobs had not ended)" for batch in batches]
    for batch in batches:
        act(batch)
    return f"{done} {', '.join(told)}."


def _retry(call: Call) -> str:
    counts = {sessions.label(batch): batch.retry() for batch in call.batches()}
    told = [f"{count} of {name}" for name, count in counts.items() if count]
    return f"Failed jobs that run again: {', '.join(told)}." if told else "Nothing to retry: no job has failed."


def _log(call: Call) -> str:
    lines = call.words[0] if call.words else str(LOG_LINES)
    if len(call.words) > 1 or not lines.isdecimal() or int(lines) < 1:
        raise UsageError(f"'%dsage log' takes one number of lines of at least 1, not {' '.join(call.words)!r}.")
    session = sessions.found(call.session)
    return session.log_tail(int(lines)) or f"The log of session {session.name!r} is empty."


def _ps(call: Call) -> str:
    """List all sessions of this user with their processes, those of this kernel first."""
    if call.session:
        return "\n".join(columns(processes.table(sessions.found(call.session))))
    return "\n\n".join(processes.all_told(living())) or "There is no session, and no journal of one."


def _attach(call: Call) -> str:
    if len(call.words) > 1:
        raise UsageError("'%dsage attach' takes one name of a session at most.")
    known = {session.id for session in living()}
    session = attach(call.words[0] if call.words else None)
    lines = [f"Session {session.name!r} is {'here already' if session.id in known else 'back'}: child {session.pid}."]
    for name, batch in session.batches.current().items():
        bound = sessions.bind(name, batch, call.names)
        counts = ", ".join(f"{count:,} {word}" for word, count in batch.counts.items() if count) or "no jobs"
        renamed = "" if bound == name else f" (was {name})"
        note = f"; {batch.note}" if batch.note else ""
        lines.append(f"  {bound}{renamed}: {counts}{note}")
        call.show(batch)
    return "\n".join(lines)


def _die(call: Call) -> str:
    if call.options.get("all"):
        if call.session:
            raise UsageError("--all and --session contradict each other.")
        ending = living()
    else:
        ending = [sessions.found(call.session)]
    theirs = [] if call.options.get("force") else [session for session in ending if sessions.of_another(session)]
    if theirs and not call.options.get("all"):
        raise UsageError(f"{_another(theirs[0])}: '%dsage die --force' ends its work.")
    ended = [session for session in ending if session not in theirs]
    for session in ended:
        session.die()
    names = ", ".join(session.name for session in ended)
    left = [f"Left: {_another(session)}; --force ends it too." for session in theirs]
    return (
        "\n".join([*([f"Over, with all their processes: {names}."] if ended else []), *left])
        or "No session is running."
    )


def _another(session: Session) -> str:
    owner = sessions.owner_of(session)
    whose = owner.place if owner is not None else "nobody"
    return f"Session {session.name!r} with id {session.id} is that of {whose}, which is running"


VERBS: dict[str, Verb] = {
    "start": Verb(_start, {"name": Option("a name")}, "URL"),
    "status": Verb(_status),
    "engine": Verb(_engine, {"session": _SESSION, "now": Option()}, "add|remove|scale URL"),
    "refresh": Verb(_refresh),
    "pause": Verb(_pause, words="BATCH"),
    "resume": Verb(_resume, words="BATCH"),
    "cancel": Verb(_cancel, words="BATCH"),
    "retry": Verb(_retry, words="BATCH"),
    "log": Verb(_log, words="N"),
    "attach": Verb(_attach, {}, "NAME"),
    "ps": Verb(_ps),
    "die": Verb(_die, {"session": _SESSION, "all": Option(), "force": Option()}),
}
