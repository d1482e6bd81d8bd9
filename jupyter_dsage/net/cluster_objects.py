"""Objects where a URL could stand: Dask's `Client`, `LocalCluster` or a cluster of dask-jobqueue; the module ``ray``.

Only what they say of themselves is read (address, TLS files): the adapter process makes a connection of its own. What
is not loaded is not imported, so objects are told by the modules of their classes, and Ray by its name.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode, urlsplit

from jupyter_dsage.errors import EngineError
from jupyter_dsage.net.cluster_urls import name_of

_MODULES = ("distributed", "dask_jobqueue", "dask_gateway", "dask_kubernetes", "dask_cloudprovider", "dask_cuda")
_FILES = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}


def is_cluster(thing: object) -> bool:
    """Tell whether this is one of Dask's clients or clusters, or what stands for a Ray."""
    classes = type(thing).__mro__
    dasks = any(each.__module__.partition(".")[0] in _MODULES for each in classes)
    return _is_ray(thing) or (dasks and (hasattr(thing, "scheduler_address") or hasattr(thing, "scheduler_info")))


def _is_ray(thing: object) -> bool:
    """Tell whether this is the module ``ray``, or what ``ray.init()`` returned."""
    classes = type(thing).__mro__
    return (isinstance(thing, ModuleType) and thing.__name__ == "ray") or any(
        each.__module__.partition(".")[0] == "ray" and each.__name__ == "BaseContext" for each in classes
    )


def url_of(thing: Any) -> tuple[str, str]:
    """Return the URL of a client's or cluster's scheduler, and a note about it; raises EngineError."""
    return _of_ray() if _is_ray(thing) else _of_dask(thing)


def _of_ray() -> tuple[str, str]:
    """Return the URL of the Ray that this process is connected to, as its driver or as a client."""
    import ray

    if not ray.is_initialized():
        raise EngineError("Ray is not initialized here: call ray.init() first, or take 'ray:' for one of this session.")
    client = ray.util.client.ray
    if client.is_connected():
        return f"ray://{client.get_context().client_worker._conn_str}", ""  # noqa: SLF001  (it is told nowhere else)
    note = "the Ray of this process" + (", and ends with it" if _started_here(ray) else "")
    return f"ray:?{urlencode({'address': ray.get_runtime_context().gcs_address})}", note


def _started_here(ray: Any) -> bool:
    node = getattr(getattr(ray, "_private", None), "worker", None)
    node = getattr(node, "_global_node", None)
    return node is not None and bool(node.is_head())


def _of_dask(thing: Any) -> tuple[str, str]:
    what = type(thing).__name__
    cluster = getattr(thing, "cluster", thing) or thing  # a client's, if it made one or was given one
    address = getattr(thing, "scheduler_address", None) or getattr(getattr(thing, "scheduler", None), "address", None)
    if not isinstance(address, str) or not address:
        raise EngineError(f"{what} has no scheduler: it is closed, or has not started.")
    parts = urlsplit(address)
    if parts.scheme == "inproc":
        raise EngineError(
            f"{what} runs its workers as threads of this process, where no other can reach them: start it with "
            "processes=True."
        )
    if parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port:
        raise EngineError(f"{what} is at {address!r}, which cannot be dialled: give the URL of its scheduler.")
    options = {}
    if parts.scheme == "tls":
        for name, attribute in _FILES.items():
            path = getattr(getattr(thing, "security", None), attribute, None)
            if not isinstance(path, str) or "\n" in path or not Path(path).is_file():
                raise EngineError(f"{what} keeps its TLS {name} in memory: start it with files, as Security(…) takes.")
            options[name] = path
    here = any(each.__name__ == "SpecCluster" for each in type(cluster).__mro__)
    note = f"started by this process ({type(cluster).__name__}), and ends with it" if here else ""
    return name_of("dask", None, parts.hostname, parts.port) + (f"?{urlencode(options)}" if options else ""), note
