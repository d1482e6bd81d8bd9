"""Dask's own objects where a URL could stand, as a notebook has them: in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from jupyter_dsage.errors import EngineError
from jupyter_dsage.net.cluster_objects import url_of

pytest.importorskip("distributed")
BEGIN = """
import distributed
import jupyter_dsage as dsage
if __name__ == "__main__":
"""


def run(lines: str) -> str:
    code = BEGIN + textwrap.indent(textwrap.dedent(lines), "    ")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_cluster_is_an_engine_beside_others_and_so_is_its_client():
    said = run("""
        options = dict(n_workers=1, threads_per_worker=2, dashboard_address=None)
        with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
            with dsage.spawn(cluster, journal=False) as session:
                print(session.map(abs, range(-500, 0)).results(timeout=60) == list(range(500, 0, -1)))
                [engine] = session.engines
                print(engine.name == cluster.scheduler_address.replace("tcp", "dask"), engine.slots, engine.note)
            with dsage.spawn("local:?slots=1", journal=False) as session:
                session.add(client)
                print([engine.name.partition(":")[0] for engine in session.engines])
            print(len(client.scheduler_info()["workers"]))
    """).splitlines()
    assert said == ["True", "True 2 started by this process (LocalCluster), and ends with it", "['local', 'dask']", "1"]


def test_a_cluster_of_threads_is_refused_in_one_sentence():
    said = run("""
        with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
            try:
                dsage.spawn(cluster)
            except dsage.EngineError as error:
                print(error)
    """)
    assert "runs its workers as threads of this process" in said
    assert "processes=True" in said


class Security:
    tls_ca_file = "-----BEGIN CERTIFICATE-----\nin memory"


class Elsewhere:
    """What a cluster says of itself."""

    security = Security()

    def __init__(self, address: str | None) -> None:
        self.scheduler_address = address


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("tls://10.0.0.1:8786", "Elsewhere keeps its TLS ca in memory: start it with files"),
        ("gateway://10.0.0.1:8786/x", "which cannot be dialled: give the URL of its scheduler"),
        (None, "Elsewhere has no scheduler: it is closed, or has not started."),
    ],
)
def test_what_cannot_be_dialled_is_refused_in_one_sentence(address, sentence):
    with pytest.raises(EngineError, match=sentence):
        url_of(Elsewhere(address))
