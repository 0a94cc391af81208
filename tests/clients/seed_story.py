"""The four snippets of the page that this project implements run unchanged but for address and key.

They are read from the page (SEED_DIR, or ../shared/seed), whose markup broke some lines; those are mended here. The page's
FastAPI handler stands behind a webhook of ours: it takes what we post, and refuses a body with one byte changed.
"""

import ast
import contextlib
import io
import os
import re
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from house import house

ROOT = Path(__file__).parents[2]
SEED_DIR = Path(os.environ.get("SEED_DIR", ROOT.parent / "shared" / "seed"))
sys.path.insert(0, str(ROOT / "examples" / "python"))

MAILBOX = "agent@mailbell.test"
PATIENCE_SECS = 30


def snippets(page):
    """The page's code: after each line `python`, as many lines as are Python."""
    page = re.sub(r'&"cm">#039;', "'", page)
    page = re.sub(r'"cm">#', "#", page)
    found = []
    for block in re.split(r"^python$\n", page, flags=re.MULTILINE)[1:]:
        lines = block.splitlines()
        for end in range(len(lines), 0, -1):
            try:
                ast.parse("\n".join(lines[:end]))
            except SyntaxError:
                continue
            found.append("\n".join(lines[:end]))
            break
    return found


def addressed(code, replacements):
    """The snippet with another address and key; each must be in it."""
    for old, new in replacements.items():
        assert old in code, f"the page no longer says {old}"
        code = code.replace(old, new)
    return code


class Handler:
    """The page's handler, served by uvicorn on a port that is known before it is served; keeps what was posted to it."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/hooks/multimail"
        self.posted, self.dispatched, self.suppressed = [], [], []

    def serve(self, code):
        import uvicorn

        async def dispatch_to_agent(thread_id, message):
            self.dispatched.append((thread_id, message))

        async def suppress_address(recipient):
            self.suppressed.append(recipient)

        async def handle_complaint(event):
            raise AssertionError(f"nobody complained: {event}")

        names = {
            "dispatch_to_agent": dispatch_to_agent,
            "suppress_address": suppress_address,
            "handle_complaint": handle_complaint,
        }
        exec(compile(code, "the page's handler", "exec"), names)
        config = uvicorn.Config(self.watched(names["app"]), log_level="warning", lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()

    def watched(self, app):
        """The same app; what came and what it answered is kept."""

        async def watching(scope, receive, send):
            body, status = b"", None

            async def received():
                nonlocal body
                message = await receive()
                body += message.get("body", b"")
                return message

            async def sent(message):
                nonlocal status
                status = message.get("status", status)
                await send(message)

            await app(scope, received, sent)
            self.posted.append((dict(scope["headers"]), body, status))

        return watching

    def post(self, headers, body):
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code

    def stop(self):
        self.server.should_exit = True
        self.thread.join(timeout=10)
        assert not self.thread.is_alive(), "uvicorn ends"


def until(what, found):
    """What `found` finds, once it does."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_SECS:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} does not come")


def event_of(running, **fields):
    def look():
        return next((it for it in running.events() if all(it.get(key) == value for key, value in fields.items())), None)

    return until(f"an event with {fields}", look)


def tags_of(running, message_id):
    mailbox = running.api("GET", "/v1/mailboxes")["mailboxes"][0]["id"]
    return set(running.api("GET", f"/v1/mailboxes/{mailbox}/emails/{message_id}/tags")["tags"])


def register(code, running, key, handler):
    """The first snippet; answers with the webhook's id and secret, as it prints them."""
    page_s_own = re.search(r'"mailbox": "(.+?)"', code)[1]
    code = addressed(
        code,
        {
            "https://api.multimail.dev": running.at["api"],
            "$MULTIMAIL_API_KEY": key,
            "https://agents.acme.com/hooks/multimail": handler.url,
            page_s_own: MAILBOX,
        },
    )
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "the page's registration", "exec"), {})
    webhook_id, secret = printed.getvalue().split()
    assert webhook_id.startswith("wh_") and secret.startswith("whsec_"), webhook_id
    (webhook,) = [it for it in running.api("GET", "/v1/webhooks")["webhooks"] if it["id"] == webhook_id]
    assert set(webhook["events"]) == {"inbound", "delivery", "bounce", "complaint"}, webhook
    return webhook_id, secret


def handle(code, running, handler):
    """The second snippet: it takes what we post, acts on it, and refuses what is not ours."""
    handler.serve(code)
    running.run("try", "inbound")
    thread_id, message = until("the dispatch of the message", lambda: handler.dispatched and handler.dispatched[0])
    inbound = event_of(running, event_type="inbound", message_id=message["message_id"])
    assert (thread_id, message["subject"]) == (inbound["thread_id"], inbound["subject"]), message
    running.run("try", "bounce")
    bounce = event_of(running, event_type="bounce")
    until("the suppression", lambda: handler.suppressed)
    assert handler.suppressed == [bounce["recipient"]], handler.suppressed
    assert "hard-bounce" in tags_of(running, bounce["message_id"])
    until("the second answer", lambda: len(handler.posted) >= 2)
    assert {status for _, _, status in handler.posted} == {200}, handler.posted

    headers, body, _ = handler.posted[0]
    headers = {name.decode(): value.decode() for name, value in headers.items() if name.startswith(b"x-multimail")}
    assert handler.post(headers, body) == 200, "the same bytes are still signed"
    for changed in (body.replace(b'"event_id"', b'"Event_id"'), body + b" ", body[:-1]):
        assert handler.post(headers, changed) == 401, changed
    assert handler.post({}, body) == 401


def process_inbound(code, running):
    """The third snippet: it routes each unread message of the thread, once."""
    running.run("mailbox", "add", "support@mailbell.test")
    running.run("try", "inbound", "--to", "support@mailbell.test")
    event = event_of(running, event_type="inbound", mailbox="support@mailbell.test")
    routed = []
    names = {"route_to_workflow": lambda **message: routed.append(message)}
    exec(compile(code, "the page's inbound processing", "exec"), names)
    names["on_inbound_event"](event)
    (message,) = routed
    assert (message["thread_id"], message["sender"]) == (event["thread_id"], event["from"]), message
    assert message["subject"] == event["subject"] and message["body"].startswith(event["snippet"][:20]), message
    names["on_inbound_event"](event)
    assert len(routed) == 1, "what was read is not pending any more"


def process_bounces(code, running):
    """The fourth snippet: a soft bounce is tried again later, a hard one is suppressed."""
    retried, suppressed, told = [], [], []
    names = {
        "schedule_retry": lambda recipient, delay: retried.append((recipient, delay)),
        "add_to_suppression_list": suppressed.append,
        "notify_ops": told.append,
    }
    exec(compile(code, "the page's bounce handling", "exec"), names)
    hard = event_of(running, event_type="bounce", bounce_type="hard")
    names["on_bounce_event"](hard)
    assert suppressed == [hard["recipient"]] and not retried
    assert told == [f"Hard bounce {hard['bounce_code']} for {hard['recipient']}: {hard['diagnostic']}"], told
    assert {"hard-bounce", "suppressed"} <= tags_of(running, hard["message_id"])

    running.run("try", "bounce", "--soft")
    soft = event_of(running, event_type="bounce", bounce_type="soft")
    names["on_bounce_event"](soft)
    assert retried == [(soft["recipient"], 3600)] and len(suppressed) == 1
    assert {"soft-bounce", "pending-retry"} <= tags_of(running, soft["message_id"])


def main():
    if not SEED_DIR.is_dir():
        print(f"seed story: left out, there is no {SEED_DIR} (name it in SEED_DIR)")
        return
    page = "\n".join(file.read_text(encoding="utf-8") for file in sorted(SEED_DIR.glob("*.txt")))
    found = snippets(page)
    assert len(found) == 4, f"the page has {len(found)} snippets of Python"
    registration, handler_s, inbound, bounce = found
    with house() as running:
        key = running.token("api")
        os.environ["MULTIMAIL_API_URL"] = running.at["api"]
        handler = Handler()
        webhook_id, secret = register(registration, running, key, handler)
        os.environ.update(MM_API_KEY=key, MM_WEBHOOK_SECRET=secret)
        handle(handler_s, running, handler)
        process_inbound(addressed(inbound, {"$MULTIMAIL_API_KEY": key}), running)
        process_bounces(addressed(bounce, {"$MULTIMAIL_API_KEY": key}), running)

        def settled():
            deliveries = running.api("GET", "/v1/webhook-deliveries?limit=100")["deliveries"]
            ours = [it["status"] for it in deliveries if it["webhook_id"] == webhook_id]
            return len(ours) >= 3 and set(ours) == {"delivered"}

        until("the last delivery", settled)
        handler.stop()
    print("seed story: its four snippets run, and its handler takes our webhooks and refuses a changed one")


if __name__ == "__main__":
    main()
