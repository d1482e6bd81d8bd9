"""What this process's descendants are and do: the adapters of its sessions, and where anything listens."""

from __future__ import annotations

import ipaddress

import psutil


def adapters() -> list[psutil.Process]:
    """Return the adapters of this process's sessions."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "jupyter_dsage.adapters.serve" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue  # gone meanwhile
    return found


def listening() -> set[str]:
    """Return the addresses on which this process's descendants listen."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        try:
            connections = process.net_connections(kind="inet")
        except psutil.Error:
            continue  # gone meanwhile
        found |= {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}
    return found


def is_loopback(address: str) -> bool:
    """Tell whether nobody beyond this machine can reach it."""
    return ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback
