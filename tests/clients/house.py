"""Starts a mailbell of its own on free ports and a fresh data directory, for the stories in this folder."""

import json
import os
import signal
import subprocess
import tempfile
import urllib.request
from contextlib import contextmanager

BINARY = os.environ.get("MAILBELL", "target/debug/mailbell")
LISTENERS = ["mcp", "hooks", "api", "smtp", "lmtp", "console"]


class House:
    def __init__(self, data_dir, *flags, without=None, log=None):
        self.data_dir = data_dir
        self.flags = flags
        self.listeners = [name for name in LISTENERS if name != without]
        self.log = log
        self.process = None
        self.start()

    def start(self):
        ports = [flag for name in self.listeners for flag in (f"--{name}-addr", ":0")]
        command = [BINARY, "serve", "--data-dir", self.data_dir, *ports, *self.flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=self.log)
        line = self.process.stdout.readline()
        assert line, f"{' '.join(command)} ended before it was ready"
        self.at = json.loads(line)
        assert self.at["ready"] is True and self.at["pid"] == self.process.pid, self.at
        host, port = self.at["smtp"].rsplit(":", 1)
        self.smtp = (host, int(port))

    def token(self, name):
        return self.run("token", "show", name).strip()

    def run(self, *arguments, stdin=None):
        command = [BINARY, arguments[0], *arguments[1:], "--data-dir", self.data_dir]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def api(self, method, path, body=None):
        request = urllib.request.Request(
            self.at["api"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token('api')}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def post_event(self, source, body, headers):
        """Posts raw bytes to the receiver; answers with the status."""
        request = urllib.request.Request(f"{self.at['hooks']}/hooks/{source}", method="POST", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code

    def events(self):
        """Every event of the log, the oldest first, as the operator sees it."""
        return [json.loads(line) for line in self.run("events", "--json").splitlines()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=5) == 0, "mailbell must end cleanly within 5 s of SIGTERM"


@contextmanager
def house(*flags, data_dir=None, without=None):
    """A house; `without` names a listener whose address is among the flags."""
    with tempfile.TemporaryDirectory() as fresh:
        running = House(data_dir or fresh, *flags, without=without)
        try:
            yield running
            running.stop()
        finally:
            running.process.kill()


def unwrap(value, fence):
    """Takes foreign text out of its fence, which must be there whole."""
    begin, end = f"‹{fence}›", f"‹/{fence}›"
    assert value.startswith(begin) and value.endswith(end), value
    return value[len(begin) : -len(end)]
