"""Makes the pictures of the documentation: a house filled with life-like mail, and its console in Chromium; and a recording of
the terminal, as an animated SVG.

    MAILBELL=target/release/mailbell python docs/images/make.py

It needs what tests/clients/console_story.py needs, and for the recording svg-term-cli 2 (npm) on the PATH.
Look at what it made before you keep it."""

import asyncio
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import smtplib
import socketserver
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from email.message import EmailMessage

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "clients"))

from console_story import CHROMIUM, Browser  # noqa: E402
from house import BINARY, house  # noqa: E402
from mcp import Client  # noqa: E402
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client  # noqa: E402
from mcp_stories import call  # noqa: E402
from playwright.async_api import async_playwright  # noqa: E402

AGENT = "agent@mailbell.test"
GONE = "orders@lakeside.example"
COLUMNS, ROWS = 108, 30
SCENE_SECS = 45

MAIL = [
    ("Zoë Marsh", "zoe@harbour.example", "Where is order 4711?", "Hello, it was to come on Tuesday. Could you look?\n"),
    ("Ravi Patel", "ravi@northwind.example", "Invoice 2291 has the wrong address", "Please send it again, to Mill Road 12.\n"),
    ("Mia Fischer", "mia@bergwerk.example", "Returning the blue lamp", "The switch is loose. How do I send it back?\n"),
    ("Lucía Vidal", "lucia@olivar.example", "Opening hours in August", "Are you open on the 15th?\n"),
    ("Tom Okafor", "tom@brightside.example", "Thank you!", "The chair came today, and it is lovely.\n"),
]
ANSWERS = {
    "Where is order 4711?": "It left us on Monday and is with the carrier now: **tomorrow before noon**.",
    "Invoice 2291 has the wrong address": "Here it is once more, to Mill Road 12.",
    "Returning the blue lamp": "With the label below you can hand it in at any shop. The money comes back within three days.",
}


class Relay(socketserver.ThreadingTCPServer):
    """A mail server for the whole world, which takes everything but mail to one address that is gone."""

    allow_reuse_address = daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.say("220 relay.example ESMTP")
            while line := self.rfile.readline().decode("ascii", "replace").strip():
                match line.upper().split(":")[0].split()[0]:
                    case "RCPT" if GONE in line:
                        self.say("550 5.1.1 the mailbox is not there any more")
                    case "DATA":
                        self.say("354 go on")
                        while self.rfile.readline().strip() != b".":
                            pass
                        self.say("250 2.0.0 taken")
                    case "QUIT":
                        return self.say("221 2.0.0 bye")
                    case _:
                        self.say("250 2.0.0 fine")

        def say(self, line):
            self.wfile.write(f"{line}\r\n".encode())


def hand_in(running, name, address, subject, text):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = f"{name} <{address}>", AGENT, subject
    mail.set_content(text)
    with smtplib.SMTP(*running.smtp) as smtp:
        smtp.send_message(mail)


async def work(client, count):
    """An agent at work on what comes: it reads, answers what it can, and marks all but the last as handled."""
    for number in range(count):
        waited = await call(client, "wait_for_event", {"consumer": "support", "kinds": ["inbound"], "limit": 1, "timeout_secs": 20})
        (event,), lease = waited["events"], waited["lease_token"]
        message = await call(client, "read_email", {"message_id": event["message_id"]})
        for subject, answer in ANSWERS.items():
            if subject in message["subject"]:
                await call(client, "reply_email", {"message_id": event["message_id"], "markdown": answer, "lease_token": lease})
        if number < count - 1:
            await call(client, "tag_email", {"message_id": event["message_id"], "tags": ["handled"], "lease_token": lease})


async def console():
    relay = Relay(("127.0.0.1", 0), Relay.Handler)
    threading.Thread(target=relay.serve_forever, daemon=True).start()
    os.environ |= {"MAILBELL_MAIL__RELAY__HOST": "127.0.0.1", "MAILBELL_MAIL__RELAY__PORT": str(relay.server_address[1])}
    with tempfile.TemporaryDirectory() as directory:
        word = str(pathlib.Path(directory) / "word")
        with house("--operator-token-file", word, data_dir=directory) as running:
            http = create_mcp_http_client(headers={"Authorization": f"Bearer {running.token('mcp')}"})
            async with async_playwright() as playwright, Client(streamable_http_client(running.at["mcp"], http_client=http)) as client:
                chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                size = {"width": 1280, "height": 900}
                browser = await Browser(running, await chromium.new_context(color_scheme="light", viewport=size)).open()
                await browser.log_in()
                for mail in MAIL[:2]:
                    hand_in(running, *mail)
                await work(client, 2)
                letter = {"to": GONE, "subject": "Your order is ready", "markdown": "It can be fetched from **Friday** on."}
                await call(client, "send_email", letter)
                for mail in MAIL[2:]:
                    hand_in(running, *mail)
                await work(client, 3)
                running.run("mode", "gated_send", "--operator-token-file", word)
                offer = {"to": "lucia@olivar.example", "subject": "Re: Opening hours in August",
                         "markdown": "We are closed on the 15th, and open from **8 to 13** on the 16th.\n\nSee you then!"}  # fmt: skip
                held = await call(client, "send_email", offer)
                while not any(event["event_type"] == "bounce" for event in running.events()):
                    await asyncio.sleep(0.1)
                await browser.go("now")
                await browser.page.get_by_text("Live: what fires").wait_for(timeout=20_000)
                await browser.page.screenshot(path=HERE / "now.png")
                await browser.go(f"approvals/{held['action_id']}")
                await browser.page.screenshot(path=HERE / "approvals.png", full_page=True)
                browser.clean()
                await chromium.close()
    relay.shutdown()


SCENE = r"""
say() { printf '\033[32m$\033[0m '; for word in $1; do printf '%s ' "$word"; sleep 0.12; done; echo; sleep 0.3; }
sleep 0.5
say "mailbell demo"
mailbell demo
sleep 3
clear
say "mailbell serve &"
mailbell serve > ready 2> log &
until [ -s ready ]; do sleep 0.1; done
say "python agent_loop.py &        # waits"
python agent_loop.py &
sleep 2.5
say "mailbell try inbound --from delivered@simulator.mailbell.test --text 'Where is order 4711?'"
mailbell try inbound --from delivered@simulator.mailbell.test --text 'Where is order 4711?'
sleep 2.5
say "mailbell events"
mailbell events | cut -c 12-19,24-
sleep 4
kill $(jobs -p) 2> /dev/null
"""


def recording():
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        (home / "bin").mkdir()
        (home / "bin" / "mailbell").symlink_to(pathlib.Path(BINARY).resolve())
        (home / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -W ignore "$@"\n')
        (home / "bin" / "python").chmod(0o755)
        shutil.copy(ROOT / "examples" / "python" / "agent_loop.py", home)
        (home / "scene.sh").write_text(SCENE)
        listeners = ["MCP", "HOOKS", "API", "SMTP", "LMTP", "CONSOLE"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAILBELL_")}
        environment |= {f"MAILBELL_{name}__ADDR": "127.0.0.1:0" for name in listeners}
        environment |= {"HOME": str(home), "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "TERM": "xterm-256color", "TMPDIR": "/tmp"}
        environment.pop("MAILBELL", None)
        cast = home / "demo.cast"
        record(["bash", "scene.sh"], cast, home, environment)
        size = ["--width", str(COLUMNS), "--height", str(ROWS)]
        command = ["svg-term", "--in", str(cast), "--out", str(HERE / "demo.svg"), "--window", "--no-cursor", *size]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=SCENE_SECS)


def record(command, cast, folder, environment):
    """What a command writes to a terminal, and when, in the form of asciinema."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    began = time.monotonic()
    lines = [json.dumps({"version": 2, "width": COLUMNS, "height": ROWS})]
    try:
        while (at := time.monotonic() - began) < SCENE_SECS:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                said = os.read(ours, 65536)
            except OSError:  # The last one who had the terminal is gone.
                break
            lines.append(json.dumps([round(time.monotonic() - began, 3), "o", said.decode(errors="replace")]))
        assert at < SCENE_SECS, f"the scene went on for over {SCENE_SECS} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)
    cast.write_text("\n".join(lines) + "\n")


def main():
    made = sys.argv[1:] or ["console", "recording"]
    if "console" in made:
        asyncio.run(console())
    if "recording" in made:
        recording()
    for picture in sorted(HERE.glob("*.[ps][nv]g")):
        print(f"{picture.name}: {picture.stat().st_size} bytes")


if __name__ == "__main__":
    main()
