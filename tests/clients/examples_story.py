"""The examples do what they say: the agent loops in Python and TypeScript over stdio and HTTP, killed after they answered and
started again; what the bounce handler does about either sort; and the FastAPI handler behind a webhook."""

import asyncio
import contextlib
import io
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import node
from house import BINARY, house
from mcp_stories import hand_in

EXAMPLES = Path(__file__).parents[2] / "examples"
PYTHON = EXAMPLES / "python"
sys.path.insert(0, str(PYTHON))
CUSTOMER = "delivered@simulator.mailbell.test"
PATIENCE_SECS = 40
# A call under a lease keeps it for up to a minute, so that is how long a crash may hold an event.
CRASH_SECS = 90
KILLED = {9, -9}


def until(look, what, secs=PATIENCE_SECS):
    began = time.monotonic()
    while time.monotonic() - began < secs:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {secs} s: {what}")


class Way:
    """How an example is started: which one, and how it reaches the house."""

    def __init__(self, running, command, http):
        self.consumer = f"{Path(command[-1]).stem.replace('_', '-')}-{Path(command[-1]).suffix[1:]}-{'http' if http else 'stdio'}"
        at = ["--http", running.at["mcp"]] if http else ["--data-dir", running.data_dir]
        self.command = [*command, *at]
        self.environment = {**os.environ, "MAILBELL": os.path.abspath(BINARY), "MAILBELL_TOKEN": running.token("mcp")}

    def start(self, *arguments, **environment):
        return subprocess.Popen(
            [*self.command, *arguments], env={**self.environment, **environment}, stdout=subprocess.PIPE, text=True
        )

    def loop(self, *arguments, **environment):
        return self.start("--consumer", self.consumer, "--lease-secs", "2", *arguments, **environment)


def standing(running, consumer):
    return next(one for one in map(json.loads, running.run("consumers", "--json").splitlines()) if one["name"] == consumer)


def answers(running, subject):
    return [one for one in inbox(running) if one["subject"] == f"Re: {subject}" and one["direction"] == "outbound"]


def inbox(running):
    mailbox = running.api("GET", "/v1/mailboxes")["mailboxes"][0]["id"]
    return running.api("GET", f"/v1/mailboxes/{mailbox}/emails?limit=100")["emails"]


def loops(running, commands):
    """Each loop is killed between its answer and its `handled`, and started again: it goes on with what it was at. All are
    told of every mail, each as a consumer of its own, and every mail is answered once."""
    ways = [Way(running, command, http) for command in commands for http in (False, True)]
    subjects = [f"Question for {way.consumer}" for way in ways]
    for way, subject in zip(ways, subjects):
        hand_in(running, subject, "Where is order 4711?\n", sender=CUSTOMER)
        until(lambda: any(one["subject"] == subject for one in inbox(running)), f"{subject} is there")
        crashed = way.loop("--once", AGENT_CRASH="before-handled")
        said, _ = crashed.communicate(timeout=PATIENCE_SECS)
        assert crashed.returncode in KILLED and "answered" in said and "handled" not in said, (way.command, said)
    again = [way.loop() for way in ways]
    patience = threading.Timer(CRASH_SECS, lambda: [process.kill() for process in again])
    patience.start()
    try:
        for way, process in zip(ways, again):
            said, handled = [], []
            while len(handled) < len(ways):
                line = process.stdout.readline()
                assert line, f"{way.command} ended, or went on for over {CRASH_SECS} s: {said}"
                said.append(line)
                handled = [one for one in said if one.startswith("handled ")]
            assert sum("attempt 2" in one for one in handled) == 1, said
            print(f"agent loop {way.consumer}: killed after it answered, started again, went on")
    finally:
        patience.cancel()
        for process in again:
            process.kill()
            process.wait()
    for subject in subjects:
        assert len(answers(running, subject)) == 1, (subject, answers(running, subject))


def bounces(running, python):
    """Soft: tags and, once the service gave up, a retry. Hard: a tag, suppressed where that is proved, and told."""
    mailbox = running.api("GET", "/v1/mailboxes")["mailboxes"][0]["id"]
    sent = {}
    for part in ("hard-bounce", "soft-bounce"):
        letter = {"to": [f"{part}@simulator.mailbell.test"], "subject": part, "markdown": "Hello."}
        sent[part] = running.api("POST", f"/v1/mailboxes/{mailbox}/send", letter)["id"]
    until(lambda: len([one for one in running.events() if one["event_type"] == "bounce"]) == 2, "both bounce")
    way = Way(running, [*python, str(PYTHON / "bounce_handler.py")], True)
    handled = way.start("--once")
    said, _ = handled.communicate(timeout=PATIENCE_SECS)
    assert handled.returncode == 0, said
    assert "hard bounce 5.1.1 of hard-bounce@simulator.mailbell.test: suppressed now" in said, said
    assert "soft bounce of soft-bounce@simulator.mailbell.test" in said, said
    tags = {part: set(running.api("GET", f"/v1/mailboxes/{mailbox}/emails/{id}/tags")["tags"]) for part, id in sent.items()}
    assert tags == {"hard-bounce": {"hard-bounce"}, "soft-bounce": {"soft-bounce", "pending-retry"}}, tags
    suppressed = [one["address"] for one in running.api("GET", "/v1/suppression")["suppressions"]]
    assert suppressed == ["hard-bounce@simulator.mailbell.test"], suppressed
    assert standing(running, "bounces")["lag"] == {}, standing(running, "bounces")
    asyncio.run(given_up())
    print("bounce handler: hard is suppressed where that is proved and told, soft is tagged and tried once more")


class Recorder:
    """Stands in the place of the house for events that its simulator does not play."""

    def __init__(self):
        self.calls = []

    async def call(self, tool, **arguments):
        self.calls.append((tool, arguments))
        return {"status": "retried_once", "next_attempt_at": None}

    def of(self, tool):
        return [arguments for name, arguments in self.calls if name == tool]


async def given_up():
    import bounce_handler

    event = {"event_id": "evt_1", "message_id": "em_1", "recipient": "zoe@customer.test", "bounce_type": "soft", "bounce_code": "4.2.2",
             "final": True, "suppressed": False, "suppress_advised": False, "tied": "session"}  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        await bounce_handler.handle(soft := Recorder(), event, "lease", None)
        forged = {**event, "bounce_type": "hard", "bounce_code": "5.1.1", "suppress_advised": True, "tied": "headers"}
        await bounce_handler.handle(hard := Recorder(), forged, "lease", None)
    (retry,) = soft.of("schedule_retry")
    assert (retry["recipient"], retry["delay_secs"], retry["lease_token"]) == ("zoe@customer.test", 3600, "lease"), retry
    # Anybody could have written it, and the address works.
    assert not hard.of("suppress_address") and len(hard.of("ack_event")) == 1, hard.calls


@contextlib.contextmanager
def handler(running, secret, port, folder):
    environment = {
        **os.environ, "WEBHOOK_SECRETS": secret, "MULTIMAIL_API_KEY": running.token("api"),
        "MULTIMAIL_API_URL": running.at["api"], "EVENTS_DB": str(Path(folder) / "events.db"),
    }  # fmt: skip
    command = [sys.executable, "-m", "uvicorn", "fastapi_handler:app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=PYTHON, env=environment, stdout=subprocess.DEVNULL)
    try:
        until(lambda: post(port, b"{}", "") == 401, "the handler is there, and takes nothing that is not signed")
        yield process
    finally:
        process.kill()
        process.wait()


def post(port, body, signature):
    headers = {"X-MultiMail-Signature": signature, "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/hooks/multimail", data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code
    except urllib.error.URLError:
        return None


def fastapi(running):
    """What a webhook brings is taken once, is worked on after the answer, and what a kill left undone after the next start."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    endpoint = {"url": f"http://127.0.0.1:{port}/hooks/multimail", "events": ["inbound", "bounce"]}
    made = running.api("POST", "/v1/webhooks", endpoint)
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "events.db"

        def rows():
            with contextlib.closing(sqlite3.connect(kept)) as database:
                return database.execute("SELECT event_id, done FROM event ORDER BY rowid").fetchall()

        def handled(subject):
            tags = [one.get("tags") or [] for one in inbox(running) if one["subject"] == subject]
            return tags and "handled" in tags[0]

        with handler(running, made["signing_secret"], port, folder) as process:
            hand_in(running, "For the handler", "Hello.\n")
            until(lambda: handled("For the handler"), "the handler reads the mail and tags it")
            ((event_id, _),) = until(lambda: [row for row in rows() if row[1]], "the event is marked as done")
            (delivery,) = running.api("GET", f"/v1/webhook-deliveries?webhook_id={made['id']}")["deliveries"]
            running.api("POST", f"/v1/webhook-deliveries/{delivery['id']}/replay")
            again = lambda: running.api("GET", f"/v1/webhook-deliveries?webhook_id={made['id']}")["deliveries"]  # noqa: E731
            until(lambda: [one["status"] for one in again()] == ["delivered"] * 2, "the replay is taken")
            assert rows() == [(event_id, 1)], rows()
            process.kill()
            process.wait()
        # Taken, and killed before it was worked on.
        with contextlib.closing(sqlite3.connect(kept)) as database, database:
            database.execute("UPDATE event SET done = 0")
        with handler(running, f"an-older-one,{made['signing_secret']}", port, folder):
            until(lambda: rows() == [(event_id, 1)], "what was left undone is done")
            hand_in(running, "Once more", "Hello.\n")
            until(lambda: handled("Once more"), "it takes what is signed with either secret")
    running.api("DELETE", f"/v1/webhooks/{made['id']}")
    print("fastapi handler: unsigned refused, a replay changes nothing, what a kill left undone is done")


def main():
    python = [sys.executable, "-u"]
    with house() as running, tempfile.TemporaryDirectory(dir=node.installed()) as place:
        # Node looks for packages above the file that names them.
        shutil.copy(EXAMPLES / "typescript" / "agent-loop.ts", place)
        fastapi(running)
        bounces(running, python)
        loops(running, [[*python, str(PYTHON / "agent_loop.py")], [node.node(), f"{place}/agent-loop.ts"]])


if __name__ == "__main__":
    main()
