"""Every block of the README and the docs that is marked `run` is run, and says what the page says that it says.

    ```sh run            in the page's one shell, in order; a command that fails fails the story
    ```sh run beside     a server, which goes on while the rest of the page is read; the story waits for its first line
    # → some … text      what the block must have printed by then, in this order; `…` is anything

Each page has a home and a data directory of its own, and free ports in the place of the default ones: they are put into the
settings, and into the text of the blocks. Names of pages as arguments run these alone."""

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from house import BINARY

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/*.md")), "examples/python/README.md"]
BLOCK = re.compile(r"^```sh run(?P<beside> beside)?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
PORTS = {"mcp": 7411, "hooks": 7412, "api": 7413, "console": 7414, "lmtp": 7424, "smtp": 7425}
BLOCK_SECS = 60
LOOK_SECS = 15
# So many there are; fewer means that a mark was lost.
BLOCKS_MIN = 40


def blocks(page):
    return [(found["text"], bool(found["beside"])) for found in BLOCK.finditer((ROOT / page).read_text())]


def free_ports(count):
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in listening]
    for one in listening:
        one.close()
    return ports


class Shell:
    """One bash, in which a failing command is the end."""

    def __init__(self, home):
        self.ports = dict(zip(PORTS, free_ports(len(PORTS))))
        bin = home / "bin"
        bin.mkdir()
        (bin / "mailbell").symlink_to(os.path.abspath(BINARY))
        # What a page calls python is that of the story, with the clients that it has.
        (bin / "python").write_text(f'#!/bin/sh\nexec {os.path.abspath(sys.executable)} "$@"\n')
        (bin / "python").chmod(0o755)
        shutil.copytree(ROOT / "examples", home / "examples")
        environment = {"HOME": str(home), "PATH": f"{bin}:{os.environ['PATH']}", "LANG": "C.UTF-8", "TERM": "dumb"}
        environment |= {f"MAILBELL_{name.upper()}__ADDR": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        self.home, self.besides = home, []
        self.bash = subprocess.Popen(
            ["bash", "-o", "pipefail"], cwd=home, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def own(self, text):
        for name, port in PORTS.items():
            text = text.replace(str(port), str(self.ports[name]))
        return text

    def tell(self, script):
        """Runs it in this shell; answers with what it printed."""
        file, done = self.home / "block.sh", "-- the block is done --"
        file.write_text(script)
        self.bash.stdin.write(f"set -e; . {file}; set +e; echo; echo '{done}'\n")
        self.bash.stdin.flush()
        patience = threading.Timer(BLOCK_SECS, self.end)
        patience.start()
        said = []
        try:
            for line in self.bash.stdout:
                if line.strip() == done:
                    return "".join(said)
                said.append(line)
        finally:
            patience.cancel()
        raise AssertionError(f"it failed, or took over {BLOCK_SECS} s, having said:\n{''.join(said)}")

    def beside(self, text):
        """Starts a server, and waits until it says something."""
        log = self.home / f"beside-{len(self.besides)}"
        self.besides.append(log)
        self.tell(f"{{ {text.strip()}\n}} > {log} 2> {log}.err < /dev/null &\n")
        return self.tell(f"until [ -s {log} ]; do kill -0 $! || {{ cat {log}.err; false; }}; sleep 0.1; done; cat {log}\n")

    def end(self):
        try:
            os.killpg(self.bash.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def assert_said(said, text):
    """Each line `# → …` of the block is in what it printed, one after the other."""
    at = 0
    for expected in re.findall(r"# → (.*)$", text, re.MULTILINE):
        wanted = ".*?".join(re.escape(part.strip()) for part in expected.split("…"))
        found = re.compile(wanted, re.DOTALL).search(said, at)
        assert found, f"it did not say {expected!r} (any more), but:\n{said}"
        at = found.end()


def settle(shell, text, said):
    """A reader needs a moment between two commands, and mail a moment on its way: until the block has said what it should, its
    last line, which is the one that looks, is run again."""
    last = [line for line in text.splitlines() if line and not line.startswith("#")][-1]
    began = time.monotonic()
    while True:
        try:
            return assert_said(said, text)
        except AssertionError:
            if time.monotonic() - began > LOOK_SECS:
                raise
            time.sleep(0.5)
            said += shell.tell(f"{last}\n")


def read(page):
    """Runs the blocks of a page; answers with how many there are."""
    found = blocks(page)
    if not found:
        return 0
    with tempfile.TemporaryDirectory() as home:
        shell = Shell(Path(home))
        try:
            for text, beside in found:
                text = shell.own(text)
                try:
                    said = shell.beside(text) if beside else shell.tell(text)
                    settle(shell, text, said)
                except AssertionError as why:
                    raise AssertionError(f"{page}, the block\n\n{text}\n{why}") from None
        finally:
            shell.end()
            shell.bash.wait()
    print(f"{page}: {len(found)} blocks hold", flush=True)
    return len(found)


def main():
    asked = sys.argv[1:]
    count = sum(read(page) for page in asked or PAGES)
    assert asked or count >= BLOCKS_MIN, f"{count} blocks were run, and there should be {BLOCKS_MIN}"
    links()
    on_a_terminal()


def on_a_terminal():
    """A newcomer has a terminal: what goes there beside the answer is in colour, and nothing is said that nobody asked."""
    for command, wanted in ((["completions", "bash"], ""), (["--log", "trace", "demo"], "\x1b[")):
        ours, theirs = pty.openpty()
        process = subprocess.Popen([BINARY, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        said = b""
        try:
            while more := os.read(ours, 65536):
                said += more
        except OSError:  # The last one who had the terminal is gone.
            pass
        os.close(ours)
        assert process.wait() == 0 and wanted.encode() in said and (wanted or not said), f"{command} said {said[-2000:]}"
    print("on a terminal the log is in colour, and silent where nothing is to be told")


def links():
    """Whatever a page links to within the tree is there."""
    for page in [*PAGES, *(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/reference/*.md"))]:
        text = (ROOT / page).read_text()
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) + re.findall(r'(?:src|href)="([^":#]+)"', text):
            assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}, which is not there"


if __name__ == "__main__":
    main()
