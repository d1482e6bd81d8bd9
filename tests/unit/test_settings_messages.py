"""The tables that everything else relies on: settings with their reasons, and the messages of each direction."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

import jupyter_dsage
from jupyter_dsage import settings
from jupyter_dsage.net.keys import ROLES
from jupyter_dsage.wire import codec, remote, spare
from jupyter_dsage.wire import messages as m
from jupyter_dsage.wire.setup import ChildSetup, EngineSetup

PACKAGE = Path(jupyter_dsage.__file__).parent
SOURCE = (PACKAGE / "settings.py").read_text("utf-8")
NUMBERS: dict[str, float] = {name: value for name, value in vars(settings).items() if name.isupper()}
UNIONS: dict[str, tuple[Any, ...]] = {
    f"{module.__name__.rpartition('.')[2]}.{name}": get_args(union)
    for module in (m, remote, spare)
    for name, union in vars(module).items()
    if name.startswith(("FROM_", "TO_", "IN_")) and name != "FROM_ROLE"
} | {"remote.Envelope": (remote.Envelope,)}
KINDS = sorted(m.Message.__subclasses__(), key=lambda kind: kind.__name__)


# --- settings ------------------------------------------------------------------------------------------------


def reasons() -> dict[str, str]:
    """Return for each setting the text that stands below it, if any."""
    body = ast.parse(SOURCE).body
    out = {}
    for statement, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            has = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            out[statement.targets[0].id] = str(below.value.value) if has else ""  # type: ignore[union-attr]
    return out


def test_each_number_has_its_reason() -> None:
    found = reasons()
    assert set(found) == set(NUMBERS)
    for name, reason in found.items():
        others = " ".join(text for other, text in found.items() if other != name)
        assert len(reason) > 10 or name in others, f"{name} gives no reason"


@pytest.mark.parametrize("name", NUMBERS)
def test_each_number_is_one(name: str) -> None:
    value = NUMBERS[name]
    assert type(value) in {int, float}
    assert value > 0
    assert math.isfinite(value)


@pytest.mark.parametrize("name", NUMBERS)
def test_each_number_is_used(name: str) -> None:
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "settings.py"]
    assert any(name in path.read_text("utf-8") for path in files), f"nothing uses settings.{name}"


def test_the_numbers_fit_together() -> None:
    s = settings
    assert s.CHUNK_LEAST_SECONDS < s.CHUNK_SECONDS < s.PATIENCE_SECONDS
    assert s.RECALL_SETTLE_SECONDS < s.FLUSH_SECONDS <= s.DEPTH_SECONDS
    assert s.SEGMENT_BYTES < s.FEED_BYTES < s.MAX_FRAME_BYTES
    assert s.FLUSH_BYTES < s.MAX_FRAME_BYTES
    assert max(s.STDERR_TAIL_BYTES, s.OUTPUT_TAIL_BYTES) < s.OUTPUT_FILE_BYTES
    assert s.LEASES_IN_FLIGHT <= s.SEGMENTS_HELD
    assert s.INTERRUPT_GRACE_SECONDS + 10 * s.RECALL_SETTLE_SECONDS < 2, "P6: a job is ended in 2 s"
    assert s.OBITUARY_SECONDS < 0.2, "P5: a death is seen in 0.2 s"
    assert s.DIE_SECONDS <= 5, "P8: all is gone in 5 s"
    assert s.MAX_JOBS <= 2**53
    assert s.DIAL_BACKOFF_SECONDS < s.BEAT_SECONDS < s.REDIAL_SECONDS < s.AWAY_SECONDS <= 10, "P5: silence is seen"
    assert s.AWAY_SECONDS < s.UNREACHABLE_SECONDS < s.LINGER_SECONDS == 600, "P5: outcomes are held for 10 min"
    assert s.BULK_CONNECT_SECONDS <= s.DIAL_SECONDS <= s.REDIAL_SECONDS
    assert s.BULK_BYTES < s.MAX_HEADER_BYTES < s.MAX_INLINE_BYTES, "a header is never bulk"
    assert s.MAX_CALLER_ROOMS < s.MAX_ROOMS


# --- messages ------------------------------------------------------------------------------------------------


def test_each_direction_has_a_decoder() -> None:
    decoders = {
        f"{where}.{name.upper()}"
        for where, module in (("messages", codec), ("remote", remote), ("spare", spare))
        for name, value in vars(module).items()
        if isinstance(value, codec.Decoder) and not name.startswith("_")
    }
    assert set(UNIONS) - {"remote.Envelope"} == decoders | {f"remote.FROM_{role.upper()}" for role in remote.FROM_ROLE}


def test_each_role_has_its_kinds() -> None:
    assert set(remote.FROM_ROLE) == set(ROLES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_message_is_what_it_says(kind: type[m.Message]) -> None:
    config = kind.__struct_config__
    assert config.frozen
    assert config.array_like
    assert config.forbid_unknown_fields
    assert kind.__doc__
    assert kind.__doc__ != m.Message.__doc__
    assert all(0 <= count < settings.MAX_FRAMES for count in kind.frames)
    assert any(kind in kinds for kinds in UNIONS.values()), "nobody may say it"


@pytest.mark.parametrize("direction", UNIONS)
def test_tags_differ_within_a_direction(direction: str) -> None:
    tags = [kind.__struct_config__.tag for kind in UNIONS[direction]]
    assert len(set(tags)) == len(tags)


def test_a_kind_that_two_directions_share_has_one_meaning() -> None:
    by_tag: dict[object, set[type]] = {}
    for kinds in UNIONS.values():
        for kind in kinds:
            by_tag.setdefault(kind.__struct_config__.tag, set()).add(kind)
    assert all(len(kinds) == 1 for kinds in by_tag.values())


def test_a_report_of_a_million_failed_jobs_fits_into_a_header() -> None:
    first = settings.MAX_JOBS - 1_000_000
    failed = tuple(range(first, settings.MAX_JOBS))
    others = dict.fromkeys(set(m.Report.__struct_fields__) - {"failed"}, settings.MAX_JOBS)
    report = m.Report(**others | {"first": first, "seconds": 1.0, "ended": True, "failed": failed, "errors": ()})
    [header, _] = codec.encode(report, b"payload")
    assert len(header) <= settings.MAX_HEADER_BYTES
    assert codec.from_worker([header, b"payload"])[0] == report


def test_a_child_setup_is_one_line_of_json() -> None:
    setup = ChildSetup("s", "/tmp/x", 1, 2.5, (EngineSetup("local", 2, "a\nnote"),), "/ü", ("", "/p\u2028"))  # noqa: S108
    line = msgspec.json.encode(setup)
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=ChildSetup) == setup


def test_the_version_is_said_once_in_the_package_and_once_for_pip() -> None:
    import tomllib
    from pathlib import Path

    from jupyter_dsage import __version__

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
