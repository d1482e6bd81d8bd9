"""Renamed notebooks: their sessions are found by the new path too, after the kernel that knew the old one is gone.

A kernel is told its notebook's path once, when it starts (``JPY_SESSION_NAME``), and that is what a session's record
holds. The server sees renames, of files and of folders above them: it writes the new path into the records. For kernels
that go on with the old path it remembers the new one, and writes it when one of its kernels starts or ends.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from jupyter_server.utils import ApiPath, to_os_path

from jupyter_dsage.store import sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_server.serverapp import ServerApp

log = logging.getLogger(__name__)

_EVENTS = "https://events.jupyter.org/jupyter_server"
CONTENTS, KERNELS = f"{_EVENTS}/contents_service/v1", f"{_EVENTS}/kernel_actions/v1"


class Renames:
    """One server's. Listens from the start; the listeners never raise."""

    def __init__(self, server: ServerApp) -> None:
        self._server = server
        self._moved: dict[str, str] = {}
        """Connection-file name of a kernel -> where its notebook is now."""
        if server.event_logger is not None:
            server.event_logger.add_listener(schema_id=CONTENTS, listener=self._contents_changed)
            server.event_logger.add_listener(schema_id=KERNELS, listener=self._kernel_changed)

    # Called by these names; one that raised would end a kernel's start.

    async def _contents_changed(self, logger: Any, schema_id: str, data: dict[str, Any]) -> None:  # noqa: ARG002
        if data.get("action") != "rename" or not data.get("source_path"):
            return
        before, now = str(data["source_path"]).strip("/"), str(data["path"]).strip("/")
        try:
            for session in await self._server.session_manager.list_sessions():
                path = session["path"].strip("/")
                for place in (before, now):  # the browser tells the server's session of it before or after this
                    if (moved := _moved(path, place, now)) is not None:
                        self._moved[f"kernel-{session['kernel']['id']}.json"] = self._on_disk(moved)
            await asyncio.to_thread(_rename, self._on_disk(before), self._on_disk(now), self._moved)
        except Exception:  # an event's listener: there is nobody to raise to, and the rename itself is done
            log.exception("Which notebook is now called %s is not noted in its sessions.", now)

    async def _kernel_changed(self, logger: Any, schema_id: str, data: dict[str, Any]) -> None:  # noqa: ARG002
        if not self._moved:
            return
        try:
            await asyncio.to_thread(_rename, "", "", self._moved)
        except Exception:  # as above
            log.exception("Which notebooks were renamed is not noted in their sessions.")

    def _on_disk(self, path: str) -> str:
        """Return a path of the server's as kernels are told it."""
        return to_os_path(ApiPath(path), self._server.kernel_manager.root_dir)


def _moved(path: str, before: str, now: str) -> str | None:
    """Return where a path is after a rename of it, or of a folder above it; None if it is elsewhere.

    >>> _moved("old/x.ipynb", "old", "new"), _moved("older/x.ipynb", "old", "new")
    ('new/x.ipynb', None)
    """
    if before and (path == before or path.startswith(before + "/")):
        return now + path[len(before) :]
    return None


def _rename(before: str, now: str, kernels: Mapping[str, str]) -> None:
    """Write the new paths into the records of all sessions."""

    def renamed(kernel: str, notebook: str) -> str:
        return kernels.get(kernel) or _moved(notebook, before, now) or notebook

    for record in sessions.records():
        sessions.update(record.store, lambda record: record.with_notebooks(renamed))
