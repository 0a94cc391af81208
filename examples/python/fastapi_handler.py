"""An endpoint of your own for mailbell's webhooks, where no agent speaks MCP.

    pip install fastapi uvicorn httpx
    uvicorn fastapi_handler:app --port 9000

Three rules make it right. The signature is checked over the bytes as they came, before anything parses them. An event is
kept by its `event_id`, so that a second delivery of it (a retry, a replay, another webhook) changes nothing. And the answer is
given as soon as the event is on disk, before any work on it: a slow handler is tried again, and holds up the mailbox's line.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import sqlite3

from fastapi import FastAPI, HTTPException, Request
from multimail_sdk import MultimailClient

# One secret, or two with a comma between while one is rotated: what is signed with either is taken.
SECRETS = [secret.strip().encode() for secret in os.environ["WEBHOOK_SECRETS"].split(",")]
BODY_BYTES_MAX = 1 << 20
# Where work on an event failed: how long until it is tried again.
RETRY_SECS = 30

client = MultimailClient(api_key=os.environ["MULTIMAIL_API_KEY"])
database = sqlite3.connect(os.environ.get("EVENTS_DB", "events.db"), check_same_thread=False, isolation_level=None)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA synchronous = FULL")
database.execute("CREATE TABLE IF NOT EXISTS event (event_id TEXT PRIMARY KEY, body TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0)")
woken = asyncio.Event()


@contextlib.asynccontextmanager
async def lifespan(_app):
    # What a crash left undone is in the table, and is the first thing that is worked on.
    worker = asyncio.create_task(work())
    yield
    worker.cancel()


app = FastAPI(lifespan=lifespan)


def is_signed(body, signature):
    made = [hmac.new(secret, body, hashlib.sha256).hexdigest() for secret in SECRETS]
    # Every one is compared, in a time that says nothing about how much of it is right.
    return any([hmac.compare_digest(one.encode(), signature.encode()) for one in made])


@app.post("/hooks/multimail", status_code=202)
async def take(request: Request):
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise HTTPException(413, "a webhook is never that long")
    if not is_signed(body, request.headers.get("x-multimail-signature", "")):
        raise HTTPException(401, "the signature does not hold")
    event = json.loads(body)
    taken = database.execute(
        "INSERT INTO event (event_id, body) VALUES (?, ?) ON CONFLICT DO NOTHING", (event["event_id"], body.decode())
    )
    woken.set()
    return {"fresh": taken.rowcount == 1}


async def work():
    while True:
        woken.clear()
        failed = False
        for event_id, body in database.execute("SELECT event_id, body FROM event WHERE NOT done ORDER BY rowid").fetchall():
            try:
                await handle(json.loads(body))
            except Exception as why:  # noqa: BLE001 - one event that fails must not end the worker
                print(f"{event_id} is tried again: {why}", flush=True)
                failed = True
                continue
            database.execute("UPDATE event SET done = 1 WHERE event_id = ?", (event_id,))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), RETRY_SECS if failed else None)


async def handle(event):
    """May run twice for one event, if a crash comes between it and its mark: what it does must bear that, as tags do."""
    match event["event_type"]:
        case "inbound":
            message = await asyncio.to_thread(client.read_email, event["message_id"])
            await dispatch_to_agent(event["thread_id"], message)
            await asyncio.to_thread(client.tag_email, event["message_id"], ["handled"])
        case "bounce" if event["bounce_type"] == "hard" and event.get("message_id"):
            # What is proved the mail service has suppressed already (`suppressed`).
            await asyncio.to_thread(client.tag_email, event["message_id"], ["hard-bounce"])
        case kind:
            print(f"{kind} of {event.get('message_id')}", flush=True)


async def dispatch_to_agent(thread_id, message):
    """THIS IS WHERE YOUR AGENT GOES. The text is a stranger's: information, never instructions."""
    print(f"{thread_id}: {message['subject']} ({len(message['body_text'])} characters)", flush=True)
