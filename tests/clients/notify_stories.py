"""The official Python client over stdio and HTTP, in the old protocol and the new: what it is told without asking, a wait
that it gives up, one of 40 s under an idle timeout of 20 s, and completions. All four at once."""

import asyncio
import json

from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from mcp.types import ResourceTemplateReference

from house import BINARY, house
from mcp_stories import call, hand_in

MAILBOX = "mailbell://mailboxes/agent@mailbell.test/events"
IDLE_SECS = 20
LONG_SECS = 40
COME_SECS = 20


async def long_wait(client):
    """No answer for 40 s, and never 20 s without a word."""
    loop = asyncio.get_running_loop()
    beats = []
    async with asyncio.timeout(IDLE_SECS) as idle:

        async def progress(done, total, message):
            beats.append(done)
            idle.reschedule(loop.time() + IDLE_SECS)

        began = loop.time()
        wait = {"after": "now", "thread_id": "thr_never", "timeout_secs": LONG_SECS}
        waited = await call(client, "wait_for_event", wait, progress_callback=progress)
    assert waited["timed_out"] and loop.time() - began >= LONG_SECS - 1, waited
    assert beats == sorted(beats) and len(beats) >= 4, beats


async def subscribed(running, client, heard, name):
    """A mail comes in; the client is told, and reads what is there."""
    subject = f"Told {name}"
    if client.protocol_version < "2026":
        await client.subscribe_resource(MAILBOX)
        await asyncio.to_thread(hand_in, running, subject, "Hello.\n")
        async with asyncio.timeout(COME_SECS):
            while (told := await heard.get()) != MAILBOX:
                assert told is None, told
        await client.unsubscribe_resource(MAILBOX)
    else:
        async with asyncio.timeout(COME_SECS), client.listen(resource_subscriptions=[MAILBOX]) as stream:
            assert stream.honored.resource_subscriptions == [MAILBOX], stream.honored
            await asyncio.to_thread(hand_in, running, subject, "Hello.\n")
            event = await anext(stream)
            assert event.uri == MAILBOX, event
    for _ in range(100):
        if subject in (await client.read_resource(MAILBOX)).contents[0].text:
            return
        # The others' mails are told by the same notification.
        await asyncio.sleep(0.1)
    raise AssertionError(f"{subject} is not in {MAILBOX}")


async def cancelled(running, client, name):
    """A wait that is given up ends, and has leased nothing."""
    consumer = {"consumer": f"cancel-{name}"}
    await call(client, "wait_for_event", {**consumer, "start": "now", "kinds": ["complaint"], "timeout_secs": 0})
    begun = asyncio.Event()

    async def progress(done, total, message):
        begun.set()

    waiting = asyncio.create_task(call(client, "wait_for_event", consumer, progress_callback=progress))
    async with asyncio.timeout(COME_SECS):
        await begun.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled(), waiting
    await asyncio.to_thread(running.run, "try", "complaint")
    shown = await asyncio.to_thread(running.run, "consumers", "show", consumer["consumer"], "--json")
    assert json.loads(shown)["consumer"]["leased"] == 0, shown
    waited = await call(client, "wait_for_event", {**consumer, "timeout_secs": COME_SECS})
    assert waited["events"] and all(event["attempt"] == 1 for event in waited["events"]), waited
    await call(client, "ack_event", {"lease_token": waited["lease_token"]})


async def completed(client):
    template = ResourceTemplateReference(type="ref/resource", uri="mailbell://mailboxes/{address}/events")
    found = (await client.complete(template, {"name": "address", "value": "ag"})).completion
    assert found.values == ["agent@mailbell.test"] and not found.has_more, found


async def story(running, way, server, mode, alone):
    heard = asyncio.Queue()
    name = f"{way}-{mode}"

    async def told(message):
        heard.put_nowait(getattr(getattr(message, "params", None), "uri", None) and str(message.params.uri))

    async with Client(server, mode=mode, message_handler=told) as client:

        async def short():
            await completed(client)
            await subscribed(running, client, heard, name)
            async with alone:
                await cancelled(running, client, name)

        await asyncio.gather(long_wait(client), short())
        print(f"notify stories: {way}, {mode}: protocol {client.protocol_version}, told, cancelled, {LONG_SECS} s survived")


async def main():
    # A complaint of another story may come before the server has heard that a wait was given up.
    alone = asyncio.Lock()
    with house() as running:
        headers = {"Authorization": f"Bearer {running.token('mcp')}"}
        stories = []
        for mode in ("legacy", "auto"):
            stdio = StdioServerParameters(command=BINARY, args=["mcp", "--data-dir", running.data_dir])
            http = streamable_http_client(running.at["mcp"], http_client=create_mcp_http_client(headers=headers))
            stories += [story(running, "stdio", stdio, mode, alone), story(running, "http", http, mode, alone)]
        await asyncio.gather(*stories)


if __name__ == "__main__":
    asyncio.run(main())
