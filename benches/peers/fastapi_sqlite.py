"""The use case's handler, made durable with SQLite: the answer is sent after the commit, and a known event_id is not stored twice."""

import hashlib
import hmac
import json
import os
import sqlite3

from fastapi import FastAPI, HTTPException, Request

from serving import serve

SECRET = os.environ["WEBHOOK_SECRET"].encode()

database = sqlite3.connect(os.path.join(os.environ["DATA_DIR"], "events.db"), isolation_level=None)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA synchronous = FULL")
database.execute(
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, kind TEXT, mailbox TEXT, thread TEXT, body BLOB)"
)
database.execute("CREATE INDEX by_mailbox ON events (mailbox, seq)")
database.execute("CREATE INDEX by_kind ON events (kind, seq)")
INSERT = "INSERT INTO events (event_id, kind, mailbox, thread, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"

app = FastAPI()


@app.post("/hooks/multimail")
async def take(request: Request):
    body = await request.body()
    told = request.headers.get("x-multimail-signature", "")
    if not hmac.compare_digest(told, hmac.new(SECRET, body, hashlib.sha256).hexdigest()):
        raise HTTPException(401, "wrong signature")
    event = json.loads(body)
    row = (event["event_id"], event["event_type"], event["mailbox"], event["thread_id"], body)
    return {"new": database.execute(INSERT, row).rowcount == 1}


serve(app)
