"""A private Postfix relays mail from outside into the SMTP and LMTP listeners; with `relay`, it is also the house's relay.

Needs root, postfix, swaks, and POSTFIX_SH, the script that sets a private Postfix up on loopback:

    postfix_story.py            what comes in
    postfix_story.py relay      also what goes out, and what becomes of it (about two minutes)
"""

import os
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from email.message import EmailMessage
from urllib.parse import quote

from house import house

SCRIPT = os.environ["POSTFIX_SH"]
# The script hands these domains to the two listeners.
DOMAINS = "mailbell.test,agents.test,lmtp.test"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def postfix(port, running):
    """Postfix on that port, in front of that house."""
    with tempfile.TemporaryDirectory() as directory:
        # Its daemons do not run as root.
        os.chmod(directory, 0o755)
        lmtp_port = running.at["lmtp"].rsplit(":", 1)[1]
        start = [SCRIPT, "start", directory, str(port), str(running.smtp[1]), lmtp_port]
        # Its daemons would hold a pipe open.
        with open(f"{directory}/start.log", "w+") as log:
            done = subprocess.run(["bash", *start], stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60)
            log.seek(0)
            assert done.returncode == 0, log.read()
        try:
            yield
        except BaseException:
            print(open(f"{directory}/mail.log").read()[-4000:], file=sys.stderr)
            raise
        finally:
            subprocess.run(["bash", SCRIPT, "stop", directory], check=False, capture_output=True, timeout=60)


def until(look, what, seconds=30):
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.1)


def emails(running, address):
    return running.api("GET", f"/v1/mailboxes/{quote(address)}/emails")["emails"]


def arrived(running, address, subject):
    """The email of that subject, once it is there."""
    return until(
        lambda: next((email for email in emails(running, address) if email["subject"] == subject), None),
        f"{subject!r} for {address}",
    )


def message(subject, to, text="Hello from outside.\n"):
    mail = EmailMessage()
    mail["From"] = "Zoë <zoe@outside.test>"
    mail["To"] = to
    mail["Subject"] = subject
    mail.set_content(text)
    return mail


def comes_in(running, port):
    for address in ["agent@agents.test", "agent@lmtp.test", "second@lmtp.test", "grüße@agents.test"]:
        running.run("mailbox", "add", address)

    # Over SMTP and over LMTP, to the byte that matters: a body with dots and long lines.
    text = "A line with a dot:\n.\n..two\n" + "x" * 900 + "\n"
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as outside:
        outside.send_message(message("by smtp", "agent@agents.test", text))
        outside.send_message(message("by lmtp", "agent@lmtp.test", text))
        # One mail for two mailboxes and nobody: Postfix hears of each by itself.
        to = ["agent@lmtp.test", "second@lmtp.test", "nobody@lmtp.test"]
        outside.send_message(message("three by lmtp", ", ".join(to)), from_addr="agent@agents.test", to_addrs=to)
        outside.send_message(message("häkchen ✓", "grüße@agents.test"), mail_options=["SMTPUTF8"])
    for address, subject in [("agent@agents.test", "by smtp"), ("agent@lmtp.test", "by lmtp")]:
        found = arrived(running, address, subject)
        shown = running.api("GET", f"/v1/mailboxes/{quote(address)}/emails/{found['id']}")
        assert shown["body_text"] == text.rstrip("\n"), shown
        assert shown["from"] == "zoe@outside.test", shown
    for address in ["agent@lmtp.test", "second@lmtp.test"]:
        arrived(running, address, "three by lmtp")
    arrived(running, "grüße@agents.test", "häkchen ✓")

    # Postfix's genuine report on the third of them comes back to its sender, and is readable there.
    report = arrived(running, "agent@agents.test", "Undelivered Mail Returned to Sender")
    shown = running.api("GET", f"/v1/mailboxes/agent@agents.test/emails/{report['id']}")
    assert "nobody@lmtp.test" in shown["body_text"] and "5.1.1" in shown["body_text"], shown["body_text"]

    # And with another client, a file attached.
    with tempfile.NamedTemporaryFile(suffix=".csv") as table:
        table.write(b"a,b\n1,2\n")
        table.flush()
        swaks = ["swaks", "--server", f"127.0.0.1:{port}", "--from", "zoe@outside.test", "--to", "agent@agents.test"]
        headers = ["--header", "Subject: by swaks", "--attach-type", "text/csv", "--attach", f"@{table.name}"]
        done = subprocess.run([*swaks, *headers], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    email = arrived(running, "agent@agents.test", "by swaks")
    assert [file["content_type"] for file in email["attachments"]] == ["text/csv"], email

    # Each mail was one event for each of its mailboxes.
    told = [event for event in running.events() if event["event_type"] == "inbound" and event["subject"] != report["subject"]]
    assert len(told) == 6, [(event["mailbox"], event["subject"]) for event in told]


def goes_out(running):
    def send(to):
        body = {"to": [to], "subject": f"to {to}", "markdown": "Hello."}
        return running.api("POST", "/v1/mailboxes/agent@agents.test/send", body)["id"]

    def told(message, kind, seconds):
        found = lambda: [e for e in running.events() if e.get("message_id") == message and e["event_type"] == kind]
        return until(found, f"a {kind} for {message}", seconds)

    ghost, bob, dead = (send(to) for to in ["ghost@dest.test", "bob@dest.test", "x@dead.test"])
    (bounce,) = told(ghost, "bounce", 30)
    assert (bounce["bounce_code"], bounce["bounce_type"], bounce["tied"]) == ("5.1.1", "hard", "envelope"), bounce
    assert bounce["recipient"] == "ghost@dest.test" and bounce["diagnostic"] and bounce["final"], bounce
    (delivery,) = told(bob, "delivery", 30)
    assert (delivery["recipient"], delivery["accepted_by"]) == ("bob@dest.test", "recipient"), delivery
    (soft,) = [event for event in told(dead, "bounce", 150) if event["final"]]
    assert soft["bounce_type"] == "soft" and soft["bounce_code"].startswith("4."), soft


def main():
    port, relay = free_port(), "relay" in sys.argv[1:]
    os.environ["MAILBELL_MAIL__DOMAINS"] = DOMAINS
    if relay:
        os.environ["MAILBELL_MAIL__RELAY__HOST"] = "127.0.0.1"
        os.environ["MAILBELL_MAIL__RELAY__PORT"] = str(port)
    with house() as running, postfix(port, running):
        comes_in(running, port)
        if relay:
            goes_out(running)
    print(f"postfix story: relayed in by SMTP and LMTP{', and out' if relay else ''}")


if __name__ == "__main__":
    main()
