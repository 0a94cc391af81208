"""Two houses whose agents answer every mail at once: the exchange ends by itself, and nothing is lost on the way."""

import json
import os
import socket
import time
import urllib.error
from contextlib import contextmanager

from house import house

# Longer than any exchange that ends; what would not end goes on for hours.
PATIENCE_SECS = 30
QUIET_SECS = 3


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def neighbour(domain, own_port, other_port):
    """A house of that domain whose relay is the other house's listener."""
    settings = {
        "MAILBELL_MAIL__DOMAINS": domain,
        "MAILBELL_SMTP__HOSTNAME": domain,
        "MAILBELL_MAIL__RELAY__HOST": "127.0.0.1",
        "MAILBELL_MAIL__RELAY__PORT": str(other_port),
    }
    os.environ.update(settings)
    try:
        with house("--smtp-addr", f"127.0.0.1:{own_port}", without="smtp") as running:
            yield running
    finally:
        for name in settings:
            os.environ.pop(name, None)


def mailbox_of(running):
    return running.api("GET", "/v1/mailboxes")["mailboxes"][0]


def answer_all(running, answered):
    """Replies to each inbound mail that was not replied to yet; answers with how many replies were taken and refused."""
    taken = refused = 0
    mailbox = mailbox_of(running)
    for mail in running.api("GET", f"/v1/mailboxes/{mailbox['id']}/emails?direction=inbound&limit=100")["emails"]:
        if mail["id"] in answered:
            continue
        answered.add(mail["id"])
        try:
            running.api("POST", f"/v1/mailboxes/{mailbox['id']}/reply/{mail['id']}", {"markdown": "Thank you, and?"})
            taken += 1
        except urllib.error.HTTPError as refusal:
            said = json.load(refusal)["error"]
            assert "Auto-Submitted" in said, said
            refused += 1
    return taken, refused


def main():
    ports = free_port(), free_port()
    with neighbour("left.test", ports[0], ports[1]) as left, neighbour("right.test", ports[1], ports[0]) as right:
        mailbox = mailbox_of(left)
        first = {"to": ["agent@right.test"], "subject": "Shall we talk?", "markdown": "I answer everything."}
        left.api("POST", f"/v1/mailboxes/{mailbox['id']}/send", first)
        answered, replies, refusals = (set(), set()), 0, 0
        began = quiet = time.monotonic()
        while time.monotonic() - quiet < QUIET_SECS:
            assert time.monotonic() - began < PATIENCE_SECS, f"{replies} replies, and still going"
            for running, seen in ((left, answered[0]), (right, answered[1])):
                taken, refused = answer_all(running, seen)
                replies, refusals = replies + taken, refusals + refused
                if taken or refused:
                    quiet = time.monotonic()
            time.sleep(0.1)
        assert (replies, refusals) == (1, 1), f"one answer, and the answer to it refused: {replies}, {refusals}"
        kinds = [event["event_type"] for event in left.events()]
        assert kinds.count("delivery") == 1 and kinds.count("inbound") == 1, kinds
    print("two houses story: one mail, one reply, and the reply to the reply was refused")


if __name__ == "__main__":
    main()
