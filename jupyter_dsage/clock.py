"""The clocks that run beside jobs, bound at import: a job that replaces ``time.monotonic`` stops none of them.

Each is a `partial`, not the system's function itself: freezegun and the like replace every attribute, of any module,
that is one of these functions.
"""

from __future__ import annotations

import time
from functools import partial

monotonic = partial(time.monotonic)
monotonic_ns = partial(time.monotonic_ns)
sleep = partial(time.sleep)
