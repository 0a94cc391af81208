"""What an agent does about mail that did not arrive. Runs like agent_loop.py, which it shares its connection with.

Soft (the address may work later): tags `soft-bounce` and `pending-retry`, and one more try in an hour.
Hard (it will not): tags `hard-bounce`, no more mail to the address where that is proved, and the operator is told.
"""

import argparse
import asyncio

from mcp import Client

from agent_loop import Mailbell, Refused, server, unfenced

RETRY_DELAY_SECS = 3600
# How a report is tied to what was sent. Anybody can forge a report that came by mail and names only headers or nothing, and
# so have an address suppressed that works.
PROOF = {"session", "envelope", "token"}


def tell_operator(event, fence, what):
    """THIS IS WHERE YOUR CHAT OR PAGER GOES. (`operator.notify` in config.toml has mailbell itself tell of hard bounces.)"""
    why = unfenced(event.get("diagnostic") or "", fence)
    print(f"hard bounce {event['bounce_code']} of {event['recipient']}: {what}. {why}", flush=True)


async def soft(mailbell, event, lease):
    tags = ["soft-bounce", "pending-retry"]
    await mailbell.call("tag_email", message_id=event["message_id"], tags=tags, lease_token=lease)
    # While it is not `final` the service goes on trying by itself, and a retry would only move its next try.
    if not event["final"]:
        print(f"soft bounce of {event['recipient']}: the service tries again by itself", flush=True)
        return
    retry = await mailbell.call(
        "schedule_retry", message_id=event["message_id"], recipient=event["recipient"],
        delay_secs=RETRY_DELAY_SECS, lease_token=lease,
    )  # fmt: skip
    print(f"soft bounce of {event['recipient']}: {retry['status']}, next at {retry.get('next_attempt_at')}", flush=True)


async def hard(mailbell, event, lease, fence):
    await mailbell.call("tag_email", message_id=event["message_id"], tags=["hard-bounce"], lease_token=lease)
    if event["suppressed"]:
        what = "suppressed already"
    elif event["suppress_advised"] and event["tied"] in PROOF:
        await mailbell.call("suppress_address", address=event["recipient"], reason="hard bounce", lease_token=lease)
        what = "suppressed now"
    else:
        what = "not suppressed, for this says nothing sure about the address"
    tell_operator(event, fence, what)


async def handle(mailbell, event, lease, fence):
    # A report that is tied to nothing that was sent changes nothing.
    if event.get("message_id") and event["recipient"]:
        if event["bounce_type"] == "soft":
            await soft(mailbell, event, lease)
        else:
            await hard(mailbell, event, lease, fence)
    await mailbell.call("ack_event", lease_token=lease, event_ids=[event["event_id"]])


async def work(mailbell, options):
    # A consumer of its own: it owns bounces and nothing else, and the loop that answers mail never sees them.
    wait = {
        "consumer": "bounces", "kinds": ["bounce"], "start": "earliest", "limit": 1,
        "timeout_secs": 0 if options.once else 45,
    }  # fmt: skip
    while True:
        waited = await mailbell.call("wait_for_event", **wait)
        wait = waited["next"]
        if not waited["events"] and options.once:
            return
        for event in waited["events"]:
            try:
                await handle(mailbell, event, waited["lease_token"], waited.get("fence"))
            except Refused as why:
                # Not acked, so it comes again when the lease is over; after five attempts it is set aside for the operator.
                print(f"left {event['event_id']}: {why}", flush=True)


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--http", metavar="URL", help="a running `mailbell serve`; its token comes from MAILBELL_TOKEN")
    parser.add_argument("--data-dir", help="the data directory of the `mailbell mcp` that is started")
    parser.add_argument("--once", action="store_true", help="end when nothing waits")
    options = parser.parse_args()
    async with Client(server(options)) as client:
        await work(Mailbell(client), options)


if __name__ == "__main__":
    asyncio.run(main())
