"""Every error of jupyter_dsage. Each message says what happened, to which job, worker or URL, and what to do."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor


class DsageError(Exception):
    """Base of all errors raised by jupyter_dsage itself."""


class UsageError(DsageError, ValueError):
    """A call was given something it cannot use; the sentence says which argument and what it takes."""


class CellBodyError(UsageError):
    """The body of a ``%%scatter`` cell says what its jobs could not do; the sentence says in which line. Change it."""


class CellSyntaxError(DsageError):
    """The body of a ``%%scatter`` cell is no Python; it is shown like any cell's SyntaxError. Correct that line."""

    def __init__(self, message: str, shown: list[str] | None = None) -> None:
        super().__init__(message)
        self._shown = shown or [message]

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows of it."""
        return self._shown


class MissingError(DsageError, LookupError):
    """There is no session, batch, job or engine of that name or number; the sentence says which there are."""


class EngineError(DsageError, ValueError):
    """An engine URL cannot be used. Correct the URL, or start what it names."""


class UnknownServiceError(DsageError, LookupError):
    """A service's name is not registered. Register it with ``spawn(services={name: function})``."""


class ServerKeyError(DsageError, ConnectionError):
    """A worker server's key is unknown or has changed; the message gives the command to run if that is right."""


class KeyFileError(DsageError, RuntimeError):
    """A file of keys cannot be read or is open to others; the message gives the command that mends it."""


class StartError(DsageError, RuntimeError):
    """The child did not start; the message quotes the end of its log."""


class UnpicklableError(DsageError, TypeError):
    """Something that must travel cannot be pickled; the message names it by its path."""


class NotDataError(DsageError, TypeError):
    """Something for a service is no plain data; the message names it by its path. Convert it first."""


class NotOursError(DsageError, OSError):
    """A file is not this user's own plain file, closed to others. Move it away, or do what the message says."""


class JournalError(DsageError, RuntimeError):
    """A session's journal cannot be used; the message names its folder. Attach to the session, or spawn another."""


class JournalBusyError(JournalError):
    """A session's journal is held by another child: the session is alive. Attach to it."""


class StorageFull(DsageError, OSError):  # noqa: N818  (the name in the contract)
    """A job's arguments or outcome could not be stored; the message names the folder. Make room, then `retry`."""


class PayloadTooLargeError(DsageError, ValueError):
    """A payload exceeds what one message may hold. Pass a file's name, or split it."""


class ProtocolError(DsageError):
    """A peer sent bytes that are no message of ours. It costs that peer its message, nobody else anything."""


class VersionMismatchError(ProtocolError):
    """The two ends run different versions; the message names both. Install the same version on both."""


class PeerGoneError(DsageError, ConnectionError):
    """The other end of a connection is gone; the caller takes it for lost."""


class IllegalMoveError(DsageError, RuntimeError):
    """The scheduler was asked for a move its table does not have: a defect in jupyter_dsage; please report it."""


class SessionLost(DsageError, BrokenExecutor):  # noqa: N818  (the name in the contract, like the next)
    """The session ended before the job did. Spawn a new one and submit the job again."""


class JobTimeout(DsageError, TimeoutError):  # noqa: N818
    """A job took longer than its `timeout`. Give it more, or `retry` what is worth another try."""


class JobMemoryError(DsageError, MemoryError):
    """A job, with what it started, took more memory than its limit. Give it more, or make it smaller."""


class WorkerLost(DsageError, BrokenExecutor):  # noqa: N818
    """A job took its workers with it (crash, kill, exit). The message names signal, host, seconds and memory."""


class RemoteError(DsageError):
    """Stands for an exception, raised in a job, that cannot travel.

    `type_name`: the exception's qualified type name; `text`: its repr; `traceback_text`: its traceback.
    """

    def __init__(self, message: str, type_name: str = "", text: str = "", traceback_text: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name
        self.text = text
        self.traceback_text = traceback_text

    def __reduce__(self) -> tuple[type[RemoteError], tuple[str, str, str, str]]:
        return type(self), (str(self), self.type_name, self.text, self.traceback_text)


class JobExitedError(RemoteError):
    """The job called ``sys.exit`` (or raised SystemExit or KeyboardInterrupt); the worker went on."""


class RemoteTraceback(Exception):  # noqa: N818  (it is shown, never caught; concurrent.futures' spelling)
    """The traceback text of a job's exception: set as its ``__cause__``, so that it is printed with it."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0].rstrip()}\n"""'
