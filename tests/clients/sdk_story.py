"""MultiMail's own Python SDK (both clients) walks every call it has, and its LangChain toolkit every tool.

Every answer of the walk is held to /v1/openapi.json. With OPENAPI=required a house without that document fails the story.
"""

import asyncio
import base64
import inspect
import json
import os
import smtplib
import sys
import tempfile
import time
import urllib.error
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path

from house import house

warnings.filterwarnings("ignore", category=FutureWarning, message=".*multimail PyPI package")

import httpx  # noqa: E402
import multimail  # noqa: E402
from langchain_multimail import MultiMailToolkit  # noqa: E402
from openapi import Document  # noqa: E402

PATIENCE_SECS = 20
FILE = b"caf\xc3\xa9\x00\xff"


class Walk:
    """One client's walk: what it called, what failed, and what was answered."""

    def __init__(self, client, who):
        self.client, self.who = client, who
        self.called, self.failures, self.answers = set(), {}, []
        if isinstance(client, multimail.AsyncMultiMail):

            async def hook(answer):
                await answer.aread()
                self.keep(answer)
        else:

            def hook(answer):
                answer.read()
                self.keep(answer)

        client._client.event_hooks = {"response": [hook]}

    def keep(self, answer):
        request = answer.request
        path = request.url.raw_path.decode().split("?")[0]
        kind = answer.headers.get("content-type", "")
        body = json.loads(answer.content) if kind.startswith("application/json") else answer.content
        self.answers.append((request.method, path, answer.status_code, kind, body))

    async def call(self, name, /, *arguments, check=lambda answer: True, **named):
        """The answer, or None where the call failed or lacks what an earlier one should have given."""
        self.called.add(name)
        if None in arguments:
            self.failures.setdefault(name, "an earlier call gave nothing to call it with")
            return None
        try:
            answer = getattr(self.client, name)(*arguments, **named)
            answer = await answer if inspect.isawaitable(answer) else answer
            assert check(answer), f"an odd answer: {str(answer)[:300]}"
            return answer
        except multimail.MultiMailError as refused:
            self.failures[name] = f"HTTP {refused.status_code}: {refused}"
        except (AssertionError, KeyError, TypeError, ValueError, httpx.TransportError) as odd:
            self.failures[name] = f"{type(odd).__name__}: {odd}"
        return None


def listed(running, mailbox, wanted):
    """The first message of the mailbox that `wanted` takes, once it is there."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_SECS:
        for email in running.api("GET", f"/v1/mailboxes/{mailbox}/emails?limit=100")["emails"]:
            if wanted(email):
                return email
        time.sleep(0.05)
    raise AssertionError("the message does not come")


def in_an_hour():
    return (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def calls_of(client):
    names = (name for name, value in inspect.getmembers(client, callable) if not name.startswith("_"))
    return set(names) - {"close"}


async def walk_sdk(client, operator, running):
    who = type(client).__name__
    walk = Walk(client, who)
    call = walk.call
    own = running.api("GET", "/v1/mailboxes")["mailboxes"][0]
    mailbox, address = own["id"], own["address"]

    await call("get_account", check=lambda it: it["id"])
    await call("update_account", name=f"House of {who}")
    await call("list_mailboxes", check=lambda all: any(it["id"] == mailbox for it in all))
    made = await call("create_mailbox", f"{who.lower()}@mailbell.test", who, check=lambda it: it["id"])
    made = made and made["id"]
    await call("update_mailbox", made, display_name=f"The {who}")
    await call("delete_mailbox", made)

    subject = f"A file for {who}"
    file = {"name": "a b.bin", "content_base64": base64.b64encode(FILE).decode(), "content_type": "application/x-test"}
    sent = await call(
        "send_email", mailbox, to=[address], subject=subject, markdown=f"**Here** it is, {who}.", attachments=[file],
        idempotency_key=f"walk-{who}", check=lambda it: it["id"] and it["thread_id"],
    )  # fmt: skip
    again = await call(
        "send_email", mailbox, to=[address], subject=subject, markdown=f"**Here** it is, {who}.", attachments=[file],
        idempotency_key=f"walk-{who}", check=lambda it: it["thread_id"],
    )  # fmt: skip
    assert not (sent and again) or sent["id"] == again["id"], (sent, again)
    came = listed(running, mailbox, lambda it: it["subject"] == subject and it["direction"] == "inbound")
    email = came["id"]
    await call("list_emails", mailbox, direction="inbound", check=lambda it: email in [one["id"] for one in it["emails"]])
    await call("get_email", mailbox, email, check=lambda it: "Here" in it["text_body"])
    await call("download_attachment", mailbox, email, "a b.bin", check=lambda bytes: bytes == FILE)
    await call("reply_email", mailbox, email, markdown=f"Thank you, {who}.", check=lambda it: it["thread_id"])
    await call("get_thread", mailbox, came["thread_id"], check=lambda it: it["message_count"] >= 1)
    await call("set_tags", mailbox, email, {"colour": "blue", "size": "small"})
    await call("get_tags", mailbox, email, check=lambda it: it["tags"]["colour"] == "blue")
    await call("delete_tag", mailbox, email, "size")
    await call("get_tags", mailbox, email, check=lambda it: "size" not in it["tags"])
    # The SDK cannot schedule, so there is nothing of its own to cancel.
    later = {"to": [address], "subject": "Later", "markdown": "Later.", "send_at": in_an_hour()}
    later = running.api("POST", f"/v1/mailboxes/{mailbox}/send", later)
    await call("cancel_email", mailbox, later["id"], check=lambda it: it["status"] == "cancelled")

    contact = await call("add_contact", f"{who}@a.test", name=f"Ann {who}", check=lambda it: it["id"])
    await call("list_contacts", q=who, check=lambda all: [it["name"] for it in all] == [f"Ann {who}"])
    await call("delete_contact", contact and contact["id"])
    await call("list_contacts", check=lambda all: all == [])

    await call("list_pending", check=lambda all: all == [])
    webhook = await call(
        "create_webhook", "http://127.0.0.1:9/hook", ["message.received", "message.bounced"], secret="a secret of its own",
        check=lambda it: it["signing_secret"] == "a secret of its own",
    )  # fmt: skip
    await call("list_webhooks", check=lambda all: webhook is None or webhook["id"] in [it["id"] for it in all])
    await call("delete_webhook", webhook and webhook["id"])

    await call("list_domains", check=lambda all: "mailbell.test" in [it["domain"] for it in all])
    domain = await call("add_domain", f"{who.lower()}.test", check=lambda it: it["id"])
    domain = domain and domain["id"]
    await call("verify_domain", domain, check=lambda it: it["mx_verified"] is None and it["dns_records"])
    guest = await call("create_mailbox", f"guest@{who.lower()}.test", who, check=lambda it: it["id"])
    guest = guest and guest["id"]
    await call("list_emails", guest, check=lambda it: it["emails"] == [])
    if guest:
        receives(running, guest, f"guest@{who.lower()}.test")
    await call("delete_mailbox", guest)

    running.api("POST", "/v1/suppression", {"address": f"gone+{who}@a.test", "reason": "manual"})
    gone = f"gone+{who}@a.test".lower()
    await call("list_suppressions", check=lambda all: gone in [it["email_address"].lower() for it in all])
    await call("get_usage", check=lambda it: it["emails_sent"] >= 1)
    await call("get_audit_log", limit=10, check=lambda all: [it for it in all if it["action"] == "events"])
    pages(running)
    await call("delete_domain", domain)
    await call("list_domains", check=lambda all: domain not in [it["id"] for it in all])
    assert rcpt(running, f"guest@{who.lower()}.test") == 550, "the domain is no longer ours"
    # It waits for a person in charge, who says no as yet.
    await call("delete_account")
    waits = walk.answers[-1][4]
    assert waits.get("status") == "pending_approval", waits
    with multimail.MultiMail(operator, base_url=running.at["api"]) as person:
        person.decide(waits["id"], "reject")
    return walk, came


def rcpt(running, address):
    """What a server that has mail for this address is told."""
    with smtplib.SMTP(*running.smtp, timeout=10) as peer:
        peer.ehlo("x.test")
        peer.mail("ann@a.test")
        return peer.rcpt(address)[0]


def receives(running, mailbox, address):
    """Mail for the address comes in from outside."""
    with smtplib.SMTP(*running.smtp, timeout=10) as peer:
        peer.sendmail("ann@a.test", [address], f"From: ann@a.test\r\nTo: {address}\r\nSubject: Welcome\r\n\r\nHello\r\n")
    listed(running, mailbox, lambda it: it["subject"] == "Welcome" and it["direction"] == "inbound")


def closes(key, operator, running):
    """The account is closed once a person in charge says so; the log goes on, and the next start is as the first."""
    with multimail.MultiMail(key, base_url=running.at["api"]) as client:
        client.delete_account()
        with multimail.MultiMail(operator, base_url=running.at["api"]) as person:
            waits = person.list_pending()
            assert [(it["request"]["method"], it["request"]["path"]) for it in waits] == [("DELETE", "/v1/account")]
            assert person.decide(waits[0]["id"], "approve")["status"] == "approved"
        began = time.monotonic()
        while client.list_mailboxes() or waits[0]["id"] not in told(running):
            assert time.monotonic() - began < PATIENCE_SECS, "the account is not closed"
            time.sleep(0.05)
        assert client.list_contacts() == [] and client.get_account()["storage_used_bytes"] == 0
        assert [it["action"] for it in client.get_audit_log(limit=100)], "the record stays"
    assert rcpt(running, "agent@mailbell.test") == 550
    running.stop()
    running.start()
    assert [it["address"] for it in running.api("GET", "/v1/mailboxes")["mailboxes"]] == ["agent@mailbell.test"]
    receives(running, "agent@mailbell.test", "agent@mailbell.test")


def told(running):
    """The actions whose outcome the log tells."""
    return [event.get("action_id") for event in running.events()]


def pages(running):
    """The record, the newest entry first and page by page, has neither gap nor repetition."""
    ids, cursor = [], ""
    while cursor is not None:
        page = running.api("GET", f"/v1/audit-log?limit=3&cursor={cursor}")
        ids += [int(entry["id"]) for entry in page["entries"]]
        cursor = page["cursor"]
    assert ids == list(range(ids[0], 0, -1)), ids


async def walk_as_operator(client, running):
    """What only a person in charge does: the same client, with the operator token as its key."""
    who = type(client).__name__
    walk = Walk(client, who)
    call = walk.call
    key = await call("create_api_key", f"of {who}", scopes=["read"], check=lambda it: it["api_key"])
    await call("list_api_keys", check=lambda all: key is None or key["id"] in [it["id"] for it in all])
    await call("revoke_api_key", key and key["id"])
    await call("remove_suppression", f"gone+{who}@a.test".lower())
    for action, status in [("reject", "rejected"), ("approve", "approved")]:
        waits = asked(running, "auto_bcc")
        await call("list_pending", check=lambda all: waits in [it["id"] for it in all])
        await call("decide", waits, action, reason="walked", check=lambda it: it["status"] == status)
    return walk


def asked(running, field):
    """The id of a change that waits for the operator. One like it that is under way would stand for both."""
    mailbox = running.api("GET", "/v1/mailboxes")["mailboxes"][0]
    held = running.api("PATCH", f"/v1/mailboxes/{mailbox['id']}", {field: mailbox["address"]})
    assert held["status"] == "pending_approval", held
    return held["id"]


def walk_tools(key, operator, running, came):
    toolkit = MultiMailToolkit(key, base_url=running.at["api"])
    walk = Walk(toolkit.client, "LangChain")
    mailbox = came["mailbox_id"]
    message = {"mailbox_id": mailbox, "email_id": came["id"]}
    try:
        running.api("POST", "/v1/contacts", {"name": "Zoe", "email": "zoe@a.test"})
    except urllib.error.HTTPError:
        pass  # `search_contacts` will tell.
    inputs = {
        "check_inbox": {"mailbox_id": mailbox},
        "read_email": message,
        "send_email": {"mailbox_id": mailbox, "to": ["agent@mailbell.test"], "subject": "Hi", "markdown": "A tool."},
        "reply_email": {**message, "markdown": "A tool answers."},
        "search_contacts": {"q": "zoe"},
        "list_pending": {},
        "get_thread": {"mailbox_id": mailbox, "thread_id": came["thread_id"]},
        "tag_email": {**message, "tags": {"by": "tool"}},
    }
    inputs["decide_email"] = {"email_id": asked(running, "auto_cc"), "action": "reject"}
    tools = {tool.name: tool for tool in toolkit.get_tools()}
    deciding = MultiMailToolkit(operator, base_url=running.at["api"])
    tools["decide_email"] = next(tool for tool in deciding.get_tools() if tool.name == "decide_email")
    assert set(tools) == set(inputs), sorted(tools)
    for name, arguments in inputs.items():
        try:
            text = tools[name].invoke(arguments)
            assert text and "?" not in text, text
            assert name != "search_contacts" or "zoe@a.test" in text, text
            assert name != "read_email" or "Here" in text, text
        except Exception as error:  # Whatever it is, the model would see it.
            walk.failures[name] = f"{type(error).__name__}: {error}"
    return walk


async def both(key, operator, running):
    at = running.at["api"]
    with multimail.MultiMail(key, base_url=at) as client, multimail.MultiMail(operator, base_url=at) as person:
        first, came = await walk_sdk(client, operator, running)
        walks = [first, await walk_as_operator(person, running)]
    async with multimail.AsyncMultiMail(key, base_url=at) as client, multimail.AsyncMultiMail(operator, base_url=at) as person:
        walks += [(await walk_sdk(client, operator, running))[0], await walk_as_operator(person, running)]
    for mine, persons in [walks[:2], walks[2:]]:
        missed = calls_of(mine.client) - mine.called - persons.called
        assert not missed, f"{mine.who} has calls that this story does not walk: {sorted(missed)}"
    return walks, came


def document(running):
    try:
        return Document(running.api("GET", "/v1/openapi.json"))
    except urllib.error.HTTPError as missing:
        assert os.environ.get("OPENAPI") != "required", f"/v1/openapi.json answers {missing.code}"
        print("sdk story: no /v1/openapi.json, so the answers are held to nothing")
        return None


def main():
    with tempfile.TemporaryDirectory() as kept, house("--operator-token-file", f"{kept}/operator") as running:
        key = running.token("api")
        operator = Path(kept, "operator").read_text().strip()
        walks, came = asyncio.run(both(key, operator, running))
        walks.append(walk_tools(key, operator, running, came))
        faults = [f"{walk.who}.{name}: {why}" for walk in walks for name, why in walk.failures.items()]
        held = document(running)
        answers = [answer for walk in walks for answer in walk.answers]
        if held is not None:
            faults += dict.fromkeys(fault for answer in answers for fault in held.faults(*answer))
        for fault in faults:
            print(f"  {fault}", file=sys.stderr)
        assert not faults, f"{len(faults)} things do not hold"
        closes(key, operator, running)
        calls = sum(len(walk.called) for walk in walks)
    print(f"sdk story: {calls} calls, 9 tools, {len(answers)} answers as documented")


if __name__ == "__main__":
    main()
