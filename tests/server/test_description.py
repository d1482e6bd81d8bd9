"""The handlers are what their description says: schemathesis asks them what it makes of it."""

from __future__ import annotations

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import use_after_free

from tests.process import jobs
from tests.server.server import BASE, TOKEN

OPTIONS = hypothesis.settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


def twice_an_integer(value):
    """Tell whether there is a 5.0 in a body: an integer for JSON Schema, and not for us."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, float) or any(map(twice_an_integer, parts))


def about(operation, here, headers, seen):
    """Return the test of one operation; `here`: what is there, `seen`: where the answers are noted."""

    @hypothesis.given(case=operation.as_strategy(), right=st.sets(st.sampled_from(sorted(here))))
    @OPTIONS
    def ask(case, right):
        hypothesis.assume(not twice_an_integer(case.body))
        hypothesis.assume(not (isinstance(case.body, dict) and case.body.get("op") == "die"))
        for name in right & (case.path_parameters or {}).keys():
            case.path_parameters[name] = here[name]
        response = case.call(headers=headers)
        case.validate_response(response, excluded_checks=[use_after_free])
        seen.add((operation.label.rpartition("/")[2], response.status_code))

    return ask


@pytest.mark.timeout(90)
def test_every_path_answers_as_described(server, session):
    batch = session.map(jobs.square, range(5), name="squares")
    batch.wait(20)
    headers = {"Authorization": f"token {TOKEN}"}
    root = f"http://127.0.0.1:{server.port}{BASE}"
    described = schemathesis.openapi.from_url(f"{root}jupyter-dsage/openapi.json", headers=headers)
    described.config.base_url = root.rstrip("/")
    here = {"session": session.id, "batch": batch.number, "job": 2}
    seen = set()
    for operation in described.get_all_operations():
        about(operation.ok(), here, headers, seen)()
    assert ("sessions", 200) in seen
    assert seen >= {(path, code) for path in ("{session}", "{batch}", "{job}", "log") for code in (200, 404)}
    assert seen >= {("commands", code) for code in (200, 404, 409)}
