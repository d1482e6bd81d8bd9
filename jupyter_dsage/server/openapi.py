"""The description of the REST interface, made from the types of its commands and answers."""

from __future__ import annotations

from typing import Any

import msgspec

from jupyter_dsage import settings
from jupyter_dsage.server import commands as c
from jupyter_dsage.server import shapes
from jupyter_dsage.version import VERSION

_COMMANDS = (
    *(c.Pause, c.Resume, c.Cancel, c.Retry, c.Add, c.Refresh, c.Die),
    *(c.EngineAdd, c.EngineRemove, c.EngineScale, c.Revive, c.Delete),
)
_ANSWERS = (
    *(shapes.Sessions, shapes.SessionView, shapes.Snapshot, shapes.Detail),
    *(shapes.LogText, shapes.Done, shapes.Message),
)
_WRONG = {
    "400": "The request makes no sense; the sentence says what is wrong with it.",
    "401": "Nobody is logged in.",
    "403": "This user may not do that, or the request's token or origin is not right.",
    "404": "There is no such session, batch, job or engine.",
    "409": "The session does not run, does not answer, or its state does not allow it.",
}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": settings.MAX_JOBS}


def description() -> dict[str, Any]:
    """Return the description (OpenAPI 3.1)."""
    _, components = msgspec.json.schema_components((*_COMMANDS, *_ANSWERS), ref_template="#/components/schemas/{name}")
    session = "/jupyter-dsage/sessions/{session}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jupyter_dsage",
            "version": VERSION,
            "description": "Sessions of this user, their batches and jobs. Paths are below the server's base URL.",
        },
        "paths": {
            "/jupyter-dsage/sessions": {"get": _get("All sessions, oldest first", shapes.Sessions)},
            session: {"get": _get("What there is to see of a session", shapes.SessionView, "session")},
            f"{session}/batches/{{batch}}": {"get": _get("A batch's snapshot", shapes.Snapshot, "session", "batch")},
            f"{session}/batches/{{batch}}/jobs/{{job}}": {
                "get": _get("One job in words", shapes.Detail, "session", "batch", "job")
            },
            f"{session}/log": {"get": _get("The last lines of a session's log", shapes.LogText, "session")},
            f"{session}/commands": {"post": _command()},
            "/jupyter-dsage/openapi.json": {"get": _described()},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}},
        },
        "security": [{"token": []}],
    }


def _get(summary: str, answer: type[Any], *parameters: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "parameters": [_parameter(name) for name in parameters],
        "responses": {"200": _json(summary, answer), **_wrong(*(("404", "409") if parameters else ()))},
    }


def _command() -> dict[str, Any]:
    mapping = {kind.__struct_config__.tag: _ref(kind)["$ref"] for kind in _COMMANDS}
    schema = {
        "oneOf": [_ref(kind) for kind in _COMMANDS],
        "discriminator": {"propertyName": "op", "mapping": mapping},
    }
    return {
        "summary": "Carry out a command",
        "parameters": [_parameter("session")],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"200": _json("What was done", shapes.Done), **_wrong("400", "404", "409")},
    }


def _described() -> dict[str, Any]:
    answer = {"description": "This description", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"summary": "The description of all these", "responses": {"200": answer, **_wrong()}}


def _parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1} if name == "session" else _NUMBER
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _json(text: str, kind: type[Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": _ref(kind)}}}


def _wrong(*codes: str) -> dict[str, Any]:
    return {code: _json(_WRONG[code], shapes.Message) for code in ("401", "403", *codes)}


def _ref(kind: type[Any]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
