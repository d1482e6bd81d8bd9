"""``python -m jupyter_dsage``: the command line, where the script ``jupyter-dsage`` is not on the path."""

from __future__ import annotations

import sys

from jupyter_dsage.cli import main

if __name__ == "__main__":
    sys.exit(main())
