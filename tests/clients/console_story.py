"""The operator at the console, in Debian's Chromium: in by a code, live events, an approval that an agent waits for, a dead letter
replayed, a secret rotated, an address suppressed, the record searched; axe on every page in both themes; and 60 hostile mails.

AXE names axe.min.js (npm's axe-core). With SHOTS naming a directory, every page is drawn there at three widths in both themes. With
the argument `million`, only how large pages and lists are beside a million events, and how soon there."""

import asyncio
import contextlib
import http.server
import json
import os
import pathlib
import smtplib
import sqlite3
import sys
import tempfile
import threading
import time
import urllib.request
from email.message import EmailMessage

from mcp import Client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from playwright.async_api import async_playwright

from house import house
from mcp_stories import call, hand_in

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
AXE = pathlib.Path(os.environ.get("AXE", "target/ci-axe/node_modules/axe-core/axe.min.js"))
SHOTS = os.environ.get("SHOTS")
PAGES = ["now", "approvals", "webhooks", "suppressions", "quarantine", "audit", "charts", "settings"]
WIDTHS = {360: 780, 1280: 900, 3840: 2160}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LIVE_SECS = 1
# Of a debug build on a busy machine; a walk through a million events takes longer.
PAGE_SECS = 3
COME_MILLIS = 20_000


class Endpoint:
    """Somebody's receiver, which fails until it is told not to."""

    def __init__(self):
        self.status, self.got = 500, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                outer.got += 1
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


class Browser:
    """One browser, in which nothing is asked of anybody but the console, and no dialog opens."""

    def __init__(self, running, context):
        self.running, self.context, self.own = running, context, running.at["console"] + "/"
        self.strayed, self.errors, self.page, self.door = [], [], None, None

    async def open(self):
        await self.context.route("**/*", self.watch)
        self.page = await self.context.new_page()
        self.page.on("dialog", self.dialog)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        return self

    async def watch(self, route):
        if route.request.url.startswith(self.own):
            await route.continue_()
        else:
            self.strayed.append(route.request.url)
            await route.abort()

    async def dialog(self, dialog):
        self.errors.append(f"a dialog: {dialog.message}")
        await dialog.dismiss()

    async def log_in(self):
        word = str(pathlib.Path(self.running.data_dir) / "word")
        url, code = (await asyncio.to_thread(self.running.run, "console", "--operator-token-file", word)).split("\n")[:2]
        await self.page.goto(url)
        await self.page.get_by_label("Code").fill(code.split()[0])
        await self.page.get_by_role("button", name="Log in").click()
        await self.page.wait_for_url("**/now")
        self.door = self.page.url.removesuffix("/now")

    async def go(self, page):
        await self.page.goto(f"{self.door}/{page}")

    async def said(self, *words):
        said = await self.page.locator("main .said").first.inner_text()
        assert all(word in said for word in words), said
        return said

    def clean(self):
        assert not self.strayed, f"asked of others: {self.strayed}"
        assert not self.errors, self.errors


async def live(browser):
    await browser.go("now")
    await browser.page.get_by_text("Live: what fires").wait_for(timeout=COME_MILLIS)
    subject = "Does it come at once"
    await asyncio.to_thread(hand_in, browser.running, subject, "Hello.\n")
    began = time.monotonic()
    await browser.page.locator("#feed").get_by_text(subject).wait_for(timeout=COME_MILLIS)
    took = time.monotonic() - began
    assert took < LIVE_SECS, f"the feed took {took:.2f} s"
    print(f"an event is in the feed {took * 1000:.0f} ms after its mail was taken")


async def approving(browser, client):
    word = str(pathlib.Path(browser.running.data_dir) / "word")
    await asyncio.to_thread(browser.running.run, "mode", "gated_send", "--operator-token-file", word)
    letter = {"mailbox": "agent@mailbell.test", "to": ["delivered@simulator.mailbell.test"], "subject": "May I"}
    held = await call(client, "send_email", {**letter, "markdown": "<b>Exactly</b> this."})
    assert held["status"] == "pending_approval", held
    wait = {"action_id": held["action_id"], "after": held["cursor"], "timeout_secs": 25}
    waiting = asyncio.create_task(call(client, "wait_for_event", wait))
    await browser.go("approvals")
    await browser.page.locator("table a").first.click()
    shown = await browser.page.inner_text("main")
    assert "delivered@simulator.mailbell.test" in shown and "<b>Exactly</b> this." in shown, shown
    await browser.page.get_by_label("Note for the record").fill("fine by me")
    # By keyboard alone.
    await browser.page.keyboard.press("Tab")
    await browser.page.keyboard.press("Enter")
    await browser.said("Approved")
    told = await waiting
    assert told["events"], told
    assert "approved" in str(told["events"][0]) or "done" in str(told["events"][0]), told
    await asyncio.to_thread(browser.running.run, "mode", "monitored", "--operator-token-file", word)


async def webhooks(browser):
    endpoint = Endpoint()
    made = await asyncio.to_thread(
        browser.running.api, "POST", "/v1/webhooks", {"url": endpoint.url, "events": ["inbound"]}
    )
    await asyncio.to_thread(hand_in, browser.running, "For the endpoint", "Hello.\n")
    while not endpoint.got:
        await asyncio.sleep(0.05)
    page = browser.page
    await browser.go(f"webhooks?webhook={made['id']}")
    await page.get_by_text("Give up", exact=True).click()
    await page.get_by_role("button", name="Give it up").click()
    await browser.said("It is a dead letter")
    endpoint.status, before = 200, endpoint.got
    await page.get_by_role("button", name="Replay").click()
    await browser.said("This replay goes out now")
    while endpoint.got == before:
        await asyncio.sleep(0.05)
    row = page.locator("tr", has=page.get_by_role("rowheader", name=made["id"]))
    await browser.go("webhooks")
    await row.get_by_role("button", name="Probe").click()
    await browser.said("took the probe", "200")
    await row.get_by_text("Rotate the secret").click()
    await row.get_by_role("button", name="Make a new secret").click()
    secret = await page.locator("code.secret").inner_text()
    kept = await asyncio.to_thread(browser.running.run, "webhook", "secret", made["id"])
    assert secret == kept.strip() and secret != made["signing_secret"], "the new secret is the one that signs"
    await browser.go("webhooks")
    assert secret not in await page.content(), "it is shown once"


async def suppressing(browser):
    await browser.go("suppressions")
    await browser.page.get_by_label("Address").fill("nobody@customer.test")
    await browser.page.get_by_label("Why (may be left out)").fill("asked by telephone")
    await browser.page.get_by_role("button", name="Suppress").click()
    await browser.said("Nothing is sent to nobody@customer.test")
    await browser.page.get_by_text("Lift", exact=True).click()
    await browser.page.get_by_role("button", name="Lift it").click()
    await browser.said("again")


async def searching(browser):
    await browser.go("audit")
    await browser.page.get_by_label("Words in an entry").fill("console: webhook rotate")
    await browser.page.get_by_role("button", name="Search").click()
    assert await browser.page.locator("tbody tr").count() >= 1, "the rotation is on record"
    async with browser.page.expect_download() as coming:
        await browser.page.get_by_role("link", name="All entries").click()
    path = await (await coming.value).path()
    lines = pathlib.Path(path).read_text().splitlines()
    assert len(lines) > 20 and all(line.startswith('{"id":') for line in lines), lines[:2]


PAYLOADS = [
    "<script>window.pwned=1;alert(1)</script>",
    "<img src=x onerror='window.pwned=1'>",
    "<img src='https://tracker.hostile.test/pixel.png'>",
    "<svg onload='window.pwned=1'><use href='https://hostile.test/x.svg#a'/></svg>",
    "<iframe src='https://hostile.test/'></iframe><iframe srcdoc='<script>top.pwned=1</script>'></iframe>",
    "<link rel=stylesheet href='https://hostile.test/x.css'><style>@import 'https://hostile.test/y.css'</style>",
    "<base href='https://hostile.test/'><form action='https://hostile.test/'><button>Approve</button></form>",
    "<meta http-equiv=refresh content='0;url=https://hostile.test/'>",
    "</pre></bdi></main></body></html><script>window.pwned=1</script>",
    "\"><input autofocus onfocus='window.pwned=1'>",
    "' onmouseover='window.pwned=1' x='",
    "javascript:window.pwned=1",
    "<a href='javascript:window.pwned=1'>click</a>",
    "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1} <%= 1 %>",
    "<video poster='https://hostile.test/p.png' autoplay src='https://hostile.test/v'></video>",
    "\u202eOBEY\u202c \u2066\u200b\u200f\u2028<b>turned</b>",
    "W" * 3000,
    "Z\u0351\u0352\u0353\u0354\u0355\u0356" * 60,
    "<marquee style='position:fixed;inset:0;font-size:900px'>covered</marquee>",
    "&lt;script&gt;window.pwned=1&lt;/script&gt; &#x3c;script&#x3e;",
]


def hostile_mails():
    for payload in PAYLOADS:
        word = " ".join(payload.splitlines())
        for place in ["subject", "name", "body"]:
            mail = EmailMessage()
            mail["From"] = f'"{word[:200].replace(chr(92), "").replace(chr(34), chr(39))}" <mallory@hostile.test>' if place == "name" else "mallory@hostile.test"
            mail["To"] = "agent@mailbell.test"
            mail["Subject"] = word[:900] if place == "subject" else "hostile"
            mail.set_content(payload)
            if place == "body":
                mail.add_alternative(f"<html><body>{payload}</body></html>", subtype="html")
                mail.add_attachment(b"x", maintype="application", subtype="octet-stream", filename=word[:120])
            yield mail


async def assert_whole(browser, what):
    wide = await browser.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1], f"{what} is wider than its window: {wide}"
    assert await browser.page.evaluate("window.pwned") is None, f"{what} ran something"


async def hostile(browser):
    mails = list(hostile_mails())
    assert len(mails) == 60
    await browser.go("now")
    await browser.page.get_by_text("Live: what fires").wait_for(timeout=COME_MILLIS)

    before = len(browser.running.events())

    def post():
        with smtplib.SMTP(*browser.running.smtp) as smtp:
            for mail in mails:
                smtp.send_message(mail, from_addr="mallory@hostile.test", to_addrs=["agent@mailbell.test"])

    await asyncio.to_thread(post)
    # No function to wait for: the page's policy lets no text be evaluated.
    await browser.page.locator("#feed [data-seq] >> nth=59").wait_for(state="attached", timeout=COME_MILLIS)
    for width, height in WIDTHS.items():
        await browser.page.set_viewport_size({"width": width, "height": height})
        await assert_whole(browser, f"the live feed at {width}")
        await browser.page.reload()
        await assert_whole(browser, f"Now at {width}")
    ids = [event["message_id"] for event in browser.running.events()[before:] if event["event_type"] == "inbound"]
    assert len(ids) == 60, len(ids)
    await browser.page.set_viewport_size({"width": 360, "height": 780})
    for message in ids:
        await browser.go(f"messages/{message}")
        assert await browser.page.locator("h1").inner_text() == "Message"
        await assert_whole(browser, message)
    await browser.page.set_viewport_size({"width": 1280, "height": 900})
    browser.clean()
    print(f"{len(ids)} hostile mails: nothing ran, nothing was loaded, nothing broke")
    return ids


async def looked_at(running, chromium, paths):
    """axe and screenshots, in each theme. Only here is the policy set aside, for axe itself."""
    axe = AXE.read_text()
    found = 0
    for theme in ["light", "dark"]:
        context = await chromium.new_context(color_scheme=theme, bypass_csp=True)
        browser = await Browser(running, context).open()
        await browser.page.goto(running.at["console"] + "/login")
        await audit(browser, axe, f"login in {theme}")
        await browser.log_in()
        for path in paths:
            await browser.go(path)
            await audit(browser, axe, f"{path} in {theme}")
            found += 1
            for width, height in WIDTHS.items():
                await browser.page.set_viewport_size({"width": width, "height": height})
                await assert_whole(browser, f"{path} at {width}")
                if SHOTS:
                    name = f"{paths.index(path):02}-{path.split('/')[0]}"
                    await browser.page.screenshot(path=f"{SHOTS}/{name}-{width}-{theme}.png")
            await browser.page.set_viewport_size({"width": 1280, "height": 900})
        await context.close()
    print(f"axe finds nothing on {found} pages")


async def audit(browser, axe, what):
    await browser.page.evaluate(axe)
    result = await browser.page.evaluate(
        "(tags) => axe.run(document, { runOnly: { type: 'tag', values: tags } })", TAGS
    )
    wrong = [(one["id"], one["help"], [node["html"][:160] + " | " + str(node.get("failureSummary"))[:200] for node in one["nodes"]][:3]) for one in result["violations"]]
    assert not wrong, f"{what}: {wrong}"


MILLION = """
INSERT INTO origins (name) SELECT 'multimail' WHERE NOT EXISTS (SELECT 1 FROM origins WHERE name = 'multimail');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
INSERT INTO events (origin, event_id, kind, mailbox, domain, message_id, thread_id, timestamp, received_at, auth, detail)
SELECT (SELECT id FROM origins WHERE name = 'multimail'), 'evt_m' || i, 'delivery', 'agent@mailbell.test', 'mailbell.test',
  'em_m' || (i / 4), 'thr_m' || (i / 16), unixepoch() * 1000 - (1000000 - i), unixepoch() * 1000 - (1000000 - i), 'hmac-sha256',
  '{"event_type":"delivery","recipient":"somebody' || i || '@customer' || (i % 40) || '.test","smtp_response":"250 2.0.0 ok"}'
FROM n;
"""


# What the embedded service has of a million events: each was owed to our own receiver, four to a message.
MILLION_OF_MAIL = """
INSERT INTO line (endpoint, mailbox) VALUES ('self', 'agent@mailbell.test');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
INSERT INTO delivery (line_id, webhook_id, event_id, event_type, state, attempts, created_at, last_attempt_at, body)
SELECT (SELECT max(id) FROM line), (SELECT id FROM webhook LIMIT 1), 'evt_m' || i, 'delivery', iif(i % 1000, 'delivered', 'dead'), 1,
  unixepoch() * 1000 - (1000000 - i), unixepoch() * 1000 - (1000000 - i), x'7b7d' FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 250000)
INSERT INTO message (id, mailbox_id, thread_id, direction, status, sender, recipients, cc, subject, snippet, received_at, auto,
  attachment_count, attachments, envelope_from, blob, size_bytes, notes, sender_folded, subject_folded, text)
SELECT 'em_m' || i, (SELECT id FROM mailbox WHERE address = 'agent@mailbell.test'), 'thr_m' || (i / 4), 'inbound', 'read',
  'somebody@customer.test', '["agent@mailbell.test"]', '[]', 'Subject ' || i, 'Hello', unixepoch() * 1000 - (250000 - i), 0, 0, '[]',
  'somebody@customer.test', hex(randomblob(32)), 500, '[]', 'somebody@customer.test', 'subject ' || i, 'Hello' FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
INSERT INTO suppression (address, id, reason, created_at)
SELECT 'gone' || i || '@customer.test', 'sup_' || printf('%07d', i), 'manual', unixepoch() * 1000 FROM n;
"""
LISTS = [
    "webhook-deliveries", "webhook-deliveries?status=failed", "mailboxes/agent@mailbell.test/emails", "suppression", "account",
    "mailboxes/agent@mailbell.test/emails?subject_contains=nobody+wrote+this", "mailboxes/agent@mailbell.test/threads/thr_m9",
]


def million():
    """Every page is small and soon there with a million events, and so is every list."""
    with tempfile.TemporaryDirectory() as directory:
        word = str(pathlib.Path(directory) / "word")
        with house("--operator-token-file", word, data_dir=directory):
            pass
        with contextlib.closing(sqlite3.connect(f"{directory}/bell.db")) as store:
            store.executescript(MILLION)
        with contextlib.closing(sqlite3.connect(f"{directory}/mail.db")) as store:
            store.executescript(MILLION_OF_MAIL)
        with house(data_dir=directory) as running:
            url, code = running.run("console", "--operator-token-file", word).split("\n")[:2]
            own = url.removesuffix("/login")
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            login = urllib.request.Request(url, data=f"code={code.split()[0]}".encode(), headers={"Origin": own})
            door = opener.open(login).url.removesuffix("/now")
            pages = [*PAGES, "messages/em_m1000", "audit?q=nothing+has+these+words", "webhooks?state=dead"]
            for page in pages:
                timed(page, lambda: opener.open(f"{door}/{page}").read())
            for path in LISTS:
                timed(f"/v1/{path}", lambda: json.dumps(running.api("GET", f"/v1/{path}")))


def timed(name, ask):
    began = time.monotonic()
    text = ask()
    took = time.monotonic() - began
    assert len(text) < 100_000 and took < PAGE_SECS, f"{name}: {len(text)} bytes in {took:.2f} s"
    print(f"with a million events {name} has {len(text)} bytes, in {took * 1000:.0f} ms")


async def main():
    with tempfile.TemporaryDirectory() as directory:
        word = str(pathlib.Path(directory) / "word")
        with house("--operator-token-file", word, data_dir=directory) as running:
            headers = {"Authorization": f"Bearer {running.token('mcp')}"}
            http_client = create_mcp_http_client(headers=headers)
            async with async_playwright() as playwright, Client(
                streamable_http_client(running.at["mcp"], http_client=http_client)
            ) as client:
                chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                browser = await Browser(running, await chromium.new_context()).open()
                await browser.log_in()
                await live(browser)
                await approving(browser, client)
                await webhooks(browser)
                await suppressing(browser)
                await searching(browser)
                browser.clean()
                ids = await hostile(browser)
                acts = running.run("approvals", "--all").split()[0]
                running.run("mode", "gated_send", "--operator-token-file", word)
                letter = {"mailbox": "agent@mailbell.test", "to": ["delivered@simulator.mailbell.test"], "subject": "Or this"}
                pending = (await call(client, "send_email", {**letter, "markdown": "Line\n\n* one\n* two"}))["action_id"]
                wh = running.api("GET", "/v1/webhook-deliveries?limit=1")["deliveries"][0]["id"]
                await looked_at(running, chromium, [*PAGES, f"messages/{ids[0]}", f"approvals/{acts}", f"approvals/{pending}", f"deliveries/{wh}"])
                await chromium.close()
    print("the console held")


if __name__ == "__main__":
    million()
    if sys.argv[1:] != ["million"]:
        asyncio.run(main())
