"""The use case's handler with a "fast key-value store" for the ids it has seen, as that page advises.

With KEEP_EVENTS the events go into a stream as well, and Redis is told to write every command to the disk; without it nothing lasts.
"""

import hashlib
import hmac
import json
import os

import redis.asyncio
from fastapi import FastAPI, HTTPException, Request

from serving import serve

SECRET = os.environ["WEBHOOK_SECRET"].encode()
KEEP_EVENTS = "KEEP_EVENTS" in os.environ
SEEN_SECS = 7 * 24 * 3600

# Its default pool refuses instead of waiting where more ask at once than it has connections.
store = redis.asyncio.Redis(unix_socket_path=os.environ["REDIS_SOCKET"], max_connections=1000)
app = FastAPI()


@app.post("/hooks/multimail")
async def take(request: Request):
    body = await request.body()
    told = request.headers.get("x-multimail-signature", "")
    if not hmac.compare_digest(told, hmac.new(SECRET, body, hashlib.sha256).hexdigest()):
        raise HTTPException(401, "wrong signature")
    event = json.loads(body)
    new = await store.set("seen:" + event["event_id"], 1, nx=True, ex=SEEN_SECS)
    if new and KEEP_EVENTS:
        await store.xadd("events", {"body": body})
    return {"new": bool(new)}


serve(app)
