"""What Ray reads in the environment when it is loaded: to be set before that, in the adapter's process alone."""

from __future__ import annotations

import os
import secrets


def prepare(*, own: bool) -> None:
    """Set what Ray is to find; `own`: it is to start a cluster of this host's, for this session only.

    Such a cluster listens on loopback and nowhere else (Ray's switch for that is what it uses on macOS; without it
    every process of it listens on all interfaces), and admits who has its token, which is made here and kept nowhere:
    left to itself Ray would make one and write it into the home folder.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if own:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
