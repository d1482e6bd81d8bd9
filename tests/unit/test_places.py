"""Where the jobs of a function work: where its sender was, if workers follow and that is known."""

from __future__ import annotations

import pytest

from jupyter_dsage.wire import messages as m
from jupyter_dsage.worker.loading import Payloads
from jupyter_dsage.worker.offered import Services

OWN = ("/of/the/worker", ("/its/path",))
SENT = ("/of/the/notebook", ("/another",))


@pytest.mark.parametrize(
    ("function", "follow", "place"),
    [
        (m.Function("f", *SENT), True, SENT),
        (m.Function("f", *SENT), False, OWN),
        (m.Function("f"), True, OWN),  # from a journal that was written before functions said where they were
        (m.Service("f", "/square"), True, OWN),
    ],
)
def test_jobs_work_where_their_function_was_sent_from(function: m.Function, follow: bool, place: object) -> None:  # noqa: FBT001
    payloads = Payloads(Services(), OWN, follow=follow)
    payloads.learn(function, b"")
    assert payloads.place("f") == place
