"""Large payloads in files: written and read again, from any kind of frame; a crash of the machine is seen."""

from __future__ import annotations

import pytest

from jupyter_dsage import settings
from jupyter_dsage.store import payload_files
from jupyter_dsage.store.journal import Journal
from jupyter_dsage.store.payload_files import SURE, PayloadFiles
from jupyter_dsage.wire import segments


@pytest.fixture
def files(tmp_path) -> PayloadFiles:
    return PayloadFiles(tmp_path / "payloads")


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, settings.SHARED_STEP_BYTES, 2 * settings.SHARED_STEP_BYTES + 5])
@pytest.mark.parametrize("kind", [bytes, segments.put])
def test_what_is_written_is_read_again(files, monkeypatch, kind, size, direct):
    if not direct:
        monkeypatch.setattr(payload_files, "_DIRECT", 0)
    data = bytes(range(251)) * (size // 251) + bytes(size % 251)
    files.write(1, kind(data) if kind is bytes else kind([data]))
    assert files.path(1).read_bytes() == data
    assert files.path(1).stat().st_mode & 0o777 == 0o600
    assert files.whole(1, size, files.boot)


def test_a_file_that_is_written_again_has_nothing_of_the_one_before(files):
    files.write(1, bytes(100_000))
    files.write(1, b"short")
    assert files.path(1).read_bytes() == b"short"


def test_file_of_another_size_or_none_is_not_whole(files):
    assert not files.whole(1, 5, files.boot)
    files.write(1, b"12345")
    assert not files.whole(1, 6, files.boot)


def test_file_of_an_earlier_boot_counts_if_it_was_synced(tmp_path, monkeypatch):
    journal = Journal(str(tmp_path))
    for row, synced in ((1, True), (2, False)):
        journal.write_file(row, bytes(2_000_000))
        journal.begin()
        journal.add(row, 0, b"", bytes(2_000_000), filed=True)
        journal.commit()
        if synced:
            journal.checkpoint([row])
            journal.sure(row)
    assert [row.whole for row in journal.rows()] == [True, True]
    journal.close()

    monkeypatch.setattr(payload_files, "boot_id", lambda: "another")
    journal = Journal(str(tmp_path))
    assert [row.whole for row in journal.rows()] == [True, False]
    assert journal.files.whole(1, 2_000_000, SURE)
    journal.close()
