"""The mailbox one already has, on Dovecot: IDLE wakes an agent; killed servers and houses, 500 mails and a new UIDVALIDITY
make each mail one event; bounces are bounces; and the mailbox stays as it was."""

import asyncio
import getpass
import glob
import imaplib
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from email.message import EmailMessage

from mcp import Client, StdioServerParameters

from house import BINARY, House, unwrap
from mcp_stories import call

USER, PASSWORD = "ann@example.test", "app-password-1"
PATIENCE_SECS = 60

CONFIG = """
base_dir = {root}/run
state_dir = {root}/run
log_path = {root}/dovecot.log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
ssl = yes
ssl_cert = <{root}/cert.pem
ssl_key = <{root}/key.pem
disable_plaintext_auth = yes
mail_location = maildir:{root}/mail
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={root}/home
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
  }}
}}
service anvil {{
  chroot =
}}
"""

BOUNCE = """From: MAILER-DAEMON@mx.example.test\r
To: {user}\r
Subject: Undelivered Mail Returned to Sender\r
Message-ID: <bounce-1@mx.example.test>\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r
\r
--b\r
Content-Type: text/plain\r
\r
Your message could not be delivered.\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example.test\r
\r
Final-Recipient: rfc822; ghost@nowhere.test\r
Action: failed\r
Status: 5.1.1\r
Diagnostic-Code: smtp; 550 5.1.1 no such user\r
--b\r
Content-Type: message/rfc822\r
\r
From: {user}\r
To: ghost@nowhere.test\r
Subject: Hello\r
Message-ID: <sent-1@example.test>\r
\r
Hello?\r
--b--\r
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, found, secs=PATIENCE_SECS):
    end = time.monotonic() + secs
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {secs} s")


class Dovecot:
    """An instance of its own, as a user without rights, on loopback ports."""

    def __init__(self, root):
        self.root, self.plain, self.tls = root, free_port(), free_port()
        self.owner = pwd.getpwnam("nobody" if os.geteuid() == 0 else getpass.getuser())
        version = subprocess.run(["dovecot", "--version"], capture_output=True, text=True).stdout
        assert version.startswith("2.3."), f"this story knows how Dovecot 2.3 is set up, and this is {version}"
        self.certificates()
        group = subprocess.run(["id", "-gn", self.owner.pw_name], capture_output=True, text=True).stdout.strip()
        with open(f"{root}/dovecot.conf", "w") as config:
            config.write(
                CONFIG.format(root=root, user=self.owner.pw_name, group=group, plain=self.plain, tls=self.tls, password=PASSWORD)
            )
        for directory in ("run", "home", "mail/cur", "mail/new", "mail/tmp"):
            os.makedirs(f"{root}/{directory}")
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", self.owner.pw_name, root], check=True)
        self.start()

    def certificates(self):
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=self.root, check=True, capture_output=True)

        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=story CA", "-keyout", "ca.key", "-out", "ca.pem")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "csr.pem")
        with open(f"{self.root}/ext", "w") as ext:
            ext.write("subjectAltName=DNS:localhost\n")
        openssl("x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-extfile", "ext", "-out", "cert.pem")

    def start(self):
        self.process = subprocess.Popen(
            ["dovecot", "-F", "-c", f"{self.root}/dovecot.conf"],
            user=self.owner.pw_uid if os.geteuid() == 0 else None,
            group=self.owner.pw_gid if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        until("Dovecot listens", self.listens)

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.tls)) == 0

    def kill(self):
        """With its whole group, as a power cut does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def client(self):
        context = ssl.create_default_context(cafile=f"{self.root}/ca.pem")
        imap = imaplib.IMAP4_SSL("localhost", self.tls, ssl_context=context)
        imap.login(USER, PASSWORD)
        return imap

    def append(self, mail):
        imap = self.client()
        done, said = imap.append("INBOX", None, None, bytes(mail) if not isinstance(mail, bytes) else mail)
        assert done == "OK", said
        imap.logout()

    def drop(self, name, mail):
        """Puts a mail into the maildir behind the server's back, whether it runs or not."""
        temporary, final = f"{self.root}/mail/tmp/{name}", f"{self.root}/mail/new/{name}"
        with open(temporary, "wb") as file:
            file.write(bytes(mail).replace(b"\r\n", b"\n"))
        os.chown(temporary, self.owner.pw_uid, self.owner.pw_gid)
        os.rename(temporary, final)

    def renumber(self):
        """Has the server forget all UIDs, and begin with another UIDVALIDITY."""
        for file in glob.glob(f"{self.root}/mail/dovecot*"):
            os.remove(file) if os.path.isfile(file) else shutil.rmtree(file)

    def state(self):
        """UIDVALIDITY, and each message's flags but for what a session makes of them."""
        imap = self.client()
        imap.select("INBOX", readonly=True)
        validity = imap.response("UIDVALIDITY")[1][0]
        _, rows = imap.uid("FETCH", "1:*", "(FLAGS)")
        imap.logout()
        flags = {row.split(b"FLAGS (")[1].replace(b"\\Recent", b"").split(b")")[0].strip() for row in rows if row}
        return validity, len([row for row in rows if row]), flags


def mail(subject, text="Hello from outside.\n", **headers):
    message = EmailMessage()
    message["From"] = "Zoë <zoe@customer.test>"
    message["To"] = USER
    message["Subject"] = subject
    message["Message-ID"] = f"<{subject.replace(' ', '-')}@customer.test>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


def told(running, name="work"):
    return [event for event in running.events() if event["source"] == f"imap:{name}"]


def subjects(running):
    return sorted(event["subject"] for event in told(running) if event["event_type"] == "inbound")


def add(running, dovecot, name, *flags, port=None):
    return running.run(
        "source", "add", name, "--host", "localhost", "--port", str(port or dovecot.tls), "--ca-file", f"{dovecot.root}/ca.pem",
        "--user", USER, "--secret-stdin", *flags, stdin=PASSWORD + "\n",
    )  # fmt: skip


def read_lately(running, name="work"):
    return "all is well" in running.run("source", "show", name)


async def an_agent_wakes(running, dovecot):
    server = StdioServerParameters(command=BINARY, args=["mcp", "--data-dir", running.data_dir])
    async with Client(server) as client:
        first = await call(client, "wait_for_event", {"start": "now", "timeout_secs": 0})
        waiting = asyncio.create_task(call(client, "wait_for_event", {**first["next"], "timeout_secs": 30}))
        await asyncio.sleep(0.5)
        sent = time.monotonic()
        await asyncio.to_thread(dovecot.append, mail("Where is my order", "It was due on Monday.\n"))
        woken = await waiting
        print(f"woken {1000 * (time.monotonic() - sent):.0f} ms after APPEND began")
        (event,), fence = woken["events"], woken["fence"]
        assert event["source"] == "imap:work" and event["auth"] == "api" and event["mailbox"] == USER, event
        assert unwrap(event["subject"], fence) == "Where is my order" and event["event_type"] == "inbound", event

        inbox = await call(client, "check_inbox", {"mailbox": USER})
        assert [one["message_id"] for one in inbox["messages"]] == [event["message_id"]], inbox
        assert USER in [one["address"] for one in (await call(client, "list_mailboxes"))["mailboxes"]]
        email = await call(client, "read_email", {"message_id": event["message_id"]})
        assert unwrap(email["body_text"], email["fence"]).strip() == "It was due on Monday.", email

        answer = mail("Re order", "Any news?\n", In_Reply_To="<Where-is-my-order@customer.test>")
        await asyncio.to_thread(dovecot.append, answer)
        again = await call(client, "wait_for_event", {"after": woken["cursor"], "timeout_secs": 30})
        assert again["events"][0]["thread_id"] == event["thread_id"], again
        thread = await call(client, "get_thread", {"thread_id": event["thread_id"]})
        assert thread["message_count"] == 2 and thread["handled"] is False, thread
        tagged = await call(client, "tag_email", {"message_id": event["message_id"], "tags": ["handled"], "lease_token": woken["lease_token"]})
        assert tagged["handled"] and tagged["acked"] == [event["event_id"]], tagged
        left = await call(client, "check_inbox", {"mailbox": USER, "unhandled_only": True})
        assert len(left["messages"]) == 1, left

        await asyncio.to_thread(dovecot.append, BOUNCE.format(user=USER).encode())
        bounce = (await call(client, "wait_for_event", {"event_types": ["bounce"], "timeout_secs": 30, "after": again["cursor"]}))["events"][0]
        assert bounce["recipient"] == "ghost@nowhere.test" and bounce["bounce_code"] == "5.1.1", bounce
        assert bounce["bounce_type"] == "hard" and bounce["reason"] == "user_unknown" and bounce["final"], bounce
        assert bounce["tied"] == "none" and not bounce["suppressed"], bounce
        assert (await call(client, "list_suppressions"))["suppressions"] == []
        away = mail("Away", "Back on Monday.\n", Auto_Submitted="auto-replied")
        await asyncio.to_thread(dovecot.append, away)
        auto = (await call(client, "wait_for_event", {"event_types": ["inbound"], "timeout_secs": 30, "after": again["cursor"]}))["events"][0]
        assert auto["auto"] is True, auto


def five_hundred(running, dovecot):
    dovecot.kill()
    until("the trouble is told", lambda: "not read since" in running.run("source", "show", "work"))
    doctor = subprocess.run([BINARY, "doctor", "--data-dir", running.data_dir], capture_output=True, text=True).stdout
    assert "warning imap" in doctor and "work, INBOX is not read since" in doctor, doctor
    for number in range(500):
        dovecot.drop(f"{number}.story", mail(f"while away {number}"))
    dovecot.start()
    # The house is killed while it catches up, twice, and the server once.
    until("some are there", lambda: len(told(running)) > 20)
    running.process.kill()
    running.process.wait()
    some = len(told(running))
    running.start()
    until("more are there", lambda: len(told(running)) > some)
    dovecot.kill()
    dovecot.start()
    running.process.kill()
    running.process.wait()
    running.start()
    expected = sorted(f"while away {number}" for number in range(500))
    until("all are there", lambda: len([one for one in subjects(running) if one.startswith("while")]) >= 500, 120)
    assert [one for one in subjects(running) if one.startswith("while")] == expected


def a_new_validity(running, dovecot):
    before, (validity, count, _) = subjects(running), dovecot.state()
    dovecot.kill()
    dovecot.renumber()
    dovecot.drop("new-1.story", mail("after the change 1"))
    dovecot.start()
    until("the new one is told", lambda: "after the change 1" in subjects(running))
    dovecot.append(mail("after the change 2"))
    until("and the next", lambda: "after the change 2" in subjects(running))
    after = dovecot.state()
    assert after[0] != validity and after[1] == count + 2, (after, validity, count)
    assert subjects(running) == sorted([*before, "after the change 1", "after the change 2"])


def other_ways_in(running, dovecot):
    told_off = subprocess.run(
        [BINARY, "source", "add", "far", "--host", "imap.example.test", "--security", "none", "--user", USER, "--secret-stdin", "--data-dir", running.data_dir],
        input="x", capture_output=True, text=True,
    )  # fmt: skip
    assert told_off.returncode != 0 and "only to a server on loopback" in told_off.stderr, told_off
    imap = dovecot.client()
    imap.create("Reports")
    imap.logout()
    said = add(running, dovecot, "second", "--security", "starttls", "--folder", "INBOX", "--folder", "Reports", "--mark-seen", "--address", "reports@example.test", "--message-bytes-max", "2048", port=dovecot.plain)
    assert "marked as seen" in said, said
    tested = running.run("source", "test", "second")
    assert "IDLE" in tested and "Reports: would be watched; 0 message(s)" in tested, tested
    until("both folders are read", lambda: running.run("source", "show", "second").count("all is well") == 2)
    imap = dovecot.client()
    imap.append("Reports", None, None, bytes(mail("A report")))
    until("it is told", lambda: [event for event in told(running, "second") if event["subject"] == "A report"])
    imap.append("Reports", None, None, bytes(mail("A long one", "x" * 70 + "\n" + "y\n" * 2000)))
    (large,) = until("so is the other", lambda: [event for event in told(running, "second") if event["subject"] == "A long one"])
    assert large["snippet"] == "" and large["mailbox"] == "reports@example.test", large

    def seen():
        imap.select("Reports", readonly=True)
        return b"\\Seen" in imap.uid("FETCH", "1", "(FLAGS)")[1][0]

    until("it is marked as seen, as the operator allows", seen)
    imap.logout()
    running.run("source", "remove", "second")
    assert "second" not in running.run("source", "list")


def main():
    root = tempfile.mkdtemp(prefix="mailbell-imap-")
    data_dir = tempfile.mkdtemp()
    os.chmod(root, 0o755)
    dovecot = Dovecot(root)
    running = None
    log = open(os.path.join(root, "log"), "w+")
    try:
        dovecot.append(mail("long ago"))
        time.sleep(1.1)  # INTERNALDATE has whole seconds: what came in the second of `source add` counts as new.
        running = House(data_dir, log=log)
        assert "app password" in add(running, dovecot, "work")
        tested = running.run("source", "test", "work")
        assert "INBOX: would be watched; 1 message(s) in it" in tested, tested
        until("the mailbox is read", lambda: read_lately(running))
        asyncio.run(an_agent_wakes(running, dovecot))
        five_hundred(running, dovecot)
        a_new_validity(running, dovecot)
        assert dovecot.state()[2] == {b""}, "a flag was changed in the mailbox"
        assert "long ago" not in subjects(running)
        other_ways_in(running, dovecot)
        # A wrong password is told, not hammered; the right one is used at once.
        running.run("source", "rotate", "work", "--secret-stdin", stdin="wrong\n")
        until("the refusal is told", lambda: "refuses the login" in running.run("source", "show", "work"))
        running.run("source", "rotate", "work", "--secret-stdin", stdin=PASSWORD + "\n")
        dovecot.append(mail("after the rotation"))
        until("it reads again", lambda: "after the rotation" in subjects(running))
        running.stop()
        log.seek(0)
        assert "set up wrongly" not in log.read(), "a watched mailbox is no source of webhooks that is set up wrongly"
        print(f"imap story: {len(told(running))} events of the mailbox, each once")
    finally:
        if running:
            running.process.kill()
        dovecot.kill()
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(data_dir, ignore_errors=True)


if __name__ == "__main__":
    main()
