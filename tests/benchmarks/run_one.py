"""One workload on one peer, in this process: ``python -m tests.benchmarks.run_one WORKLOAD PEER``; one line of JSON.

Made for `tests.benchmarks.bench`, which gives each run a process of its own; by hand it is good for trying a peer.
"""

from __future__ import annotations

import argparse
import json
import sys

from tests.benchmarks.peers import PEERS, peer_class
from tests.benchmarks.peers.peer import CannotError, Peer
from tests.benchmarks.run import Run
from tests.benchmarks.workloads import WORKLOADS


class _Machine(Peer):
    """Nobody: for what is measured of the machine itself."""


def main() -> None:
    """Measure, print, and end what was started."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("peer", choices=[*PEERS, "machine"])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    answer = {"workload": given.workload, "peer": given.peer, "status": "ok", "reason": ""}
    run = None
    try:
        peer = (_Machine if given.peer == "machine" else peer_class(given.peer))()
        answer["version"] = peer.version()
        run = Run(given.peer, peer, given.scale, given.quick)
        WORKLOADS[given.workload].function()(run)
    except (CannotError, NotImplementedError) as error:
        answer |= {"status": "cannot", "reason": str(error)}
    except ImportError as error:
        answer |= {"status": "missing", "reason": str(error)}
    except Exception as error:  # noqa: BLE001  (a peer may fail in any way, and the report says how)
        answer |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:300]}
        if not sys.stderr.closed:
            sys.excepthook(*sys.exc_info())
    print(json.dumps(answer | {"figures": run.figures if run else {}, "notes": run.notes if run else []}), flush=True)
    if run is not None and run.started:
        run.peer.stop()


if __name__ == "__main__":
    main()
