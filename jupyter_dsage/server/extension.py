"""How the Jupyter server gets the extension: its routes, and what they share. Called by the package's own functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_server.utils import ApiPath, to_os_path

from jupyter_dsage.server.handlers import routes
from jupyter_dsage.server.panel import Panel
from jupyter_dsage.server.renames import Renames

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

PANEL = "jupyter_dsage_panel"
"""The setting of the web application that holds the `Panel`."""


def load(server: ServerApp) -> None:
    """Add the routes to a server."""
    panel = server.web_app.settings[PANEL] = Panel(to_os_path(ApiPath(""), server.kernel_manager.root_dir))
    rules: Any = routes(server.web_app.settings["base_url"], panel)
    Renames(server)
    server.web_app.add_handlers(".*$", rules)  # type: ignore[no-untyped-call]
