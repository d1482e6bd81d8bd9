"""The package's version; clients, children and worker servers of different ones refuse each other."""

from __future__ import annotations

VERSION = "0.1.0"
