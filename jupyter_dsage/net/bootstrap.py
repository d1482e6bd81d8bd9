"""An environment for our workers on another host, made there from a wheel of ours that is carried over.

The wheel is made of this installation's own files, so that it is the same version to the byte, and goes down the stream
that the bridge will use. The host's Python makes the environment once for each wheel, under its user's data
directory; pip fetches what the wheel depends on from where that host fetches packages.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import shlex
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from jupyter_dsage.version import VERSION

_PACKAGE = Path(__file__).resolve().parents[1]
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The date of each file in the wheel, so that the same files make the same wheel."""

_SCRIPT = """
import os, subprocess, sys, tempfile
size, env, wheel_name, needs, version, module, name = {facts!r}
def say(text):
    sys.exit("making an environment: " + text)
if sys.version_info[:2] != version:
    say("Python %d.%d is here, and %d.%d is needed: name one with &python=" % (sys.version_info[:2] + version))
parts = []
while size:
    part = os.read(0, min(size, 65536))
    if not part:
        say("the connection ended")
    parts.append(part)
    size -= len(part)
home = os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "jupyter_dsage", "envs")
place = os.path.join(home, env)
python = os.path.join(place, "bin", "python")
if not os.path.exists(python):
    os.makedirs(home, mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as new:
        wheel = os.path.join(new, wheel_name)
        with open(wheel, "wb") as file:
            file.write(b"".join(parts))
        made = os.path.join(new, "env")
        pip = [os.path.join(made, "bin", "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        for command in ([sys.executable, "-m", "venv", made], pip + [wheel] + needs):
            if subprocess.call(command, stdin=subprocess.DEVNULL, stdout=2):
                say("this failed: " + " ".join(command[:5]))
        try:
            os.rename(made, place)
        except OSError:
            if not os.path.exists(python):
                raise
os.execv(python, [python, "-P", "-m", module, name])
"""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What the host's shell runs, and what is sent down the stream before anything else."""

    script: str
    first: bytes


def wheel() -> bytes:
    """Return a wheel of this installation's Python files."""
    made = io.BytesIO()
    info = f"jupyter_dsage-{VERSION}.dist-info"
    texts = {
        f"jupyter_dsage/{path.relative_to(_PACKAGE).as_posix()}": path.read_bytes()
        for path in sorted(_PACKAGE.rglob("*.py"))
    }
    metadata = importlib.metadata.distribution("jupyter_dsage").read_text("METADATA") or ""
    texts[f"{info}/METADATA"] = metadata.encode()
    texts[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: jupyter_dsage\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(f"{name},{_digest(text)},{len(text)}\n" for name, text in texts.items())
    texts[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), text, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _digest(text: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()


def bootstrap(python: str, module: str, name: str) -> Bootstrap:
    """Return what makes the environment and then runs a module of ours with one argument there.

    `python`: the host's interpreter; empty: that of this version.
    """
    first = wheel()
    version = sys.version_info[:2]
    cloudpickle = importlib.metadata.version("cloudpickle")
    env = f"{VERSION}-py{version[0]}.{version[1]}-cp{cloudpickle}-{hashlib.sha256(first).hexdigest()[:12]}"
    wheel_name = f"jupyter_dsage-{VERSION}-py3-none-any.whl"
    facts = (len(first), env, wheel_name, [f"cloudpickle=={cloudpickle}"], version, module, name)
    text = base64.b64encode(_SCRIPT.format(facts=facts).encode()).decode()
    home, path = ("~/", python[2:]) if python.startswith("~/") else ("", python or "python{}.{}".format(*version))
    code = shlex.quote(f"import base64;exec(base64.b64decode('{text}'))")
    return Bootstrap(f"exec {home}{shlex.quote(path)} -c {code}", first)
