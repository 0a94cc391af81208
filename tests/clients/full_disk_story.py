"""On a full disk (a small tmpfs) the receiver answers 503 and SMTP 452; once there is room both go on, and nothing is lost."""

import hashlib
import hmac
import json
import os
import smtplib
import subprocess
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from house import house

SECRET = "the full disk's secret"
SIZE_MIB = 24


def post(running, number):
    body = json.dumps({
        "event_type": "delivery", "event_id": f"evt_{number}", "mailbox": "agent@mailbell.test", "message_id": f"em_{number}",
        "thread_id": "thr_1", "timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "recipient": "bob@customer.test", "smtp_response": "250 " + "x" * 3000,
    }).encode()  # fmt: skip
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return running.post_event("disk", body, {"X-MultiMail-Signature": signature, "Content-Type": "application/json"})


def hand_in(running):
    with smtplib.SMTP(*running.smtp, timeout=20) as smtp:
        smtp.ehlo()
        status, text = smtp.mail("zoe@customer.test")
        if status == 250:
            status, text = smtp.rcpt("agent@mailbell.test")
        if status == 250:
            status, text = smtp.data(b"Subject: room?\r\n\r\n" + b"y" * 20_000)
        return status, text


def main():
    with tempfile.TemporaryDirectory() as mount:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", mount], check=True)
        try:
            fill(mount)
        finally:
            subprocess.run(["umount", "-l", mount], check=True)


def fill(mount):
    os.environ["MAILBELL_MAIL__FREE_BYTES_MIN"] = str(2 << 20)
    with house(data_dir=f"{mount}/data") as running:
        running.run("source", "add", "disk", "--dialect", "multimail", "--secret-stdin", stdin=SECRET)
        assert post(running, 0) == 200
        assert hand_in(running)[0] == 250
        ballast = Path(mount) / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass
        taken, number = {0}, 0
        refused = False
        for number in range(1, 4000):
            status = post(running, number)
            assert status in (200, 503), status
            if status == 200:
                taken.add(number)
            else:
                refused = True
                break
        assert refused, "the disk never filled"
        status, text = hand_in(running)
        assert (status, text[:5]) == (452, b"4.3.1"), (status, text)
        assert running.process.poll() is None, "a full disk must not end mailbell"

        ballast.unlink()
        for number in range(5000, 5020):
            status = post(running, number)
            assert status == 200, f"there is room again, and the answer was {status}"
            taken.add(number)
        assert hand_in(running)[0] == 250
        kept = [event["event_id"] for event in running.events() if event["source"] == "disk"]
        assert sorted(kept) == sorted(f"evt_{number}" for number in taken), "what got a 200 is in the log, once"
    print(f"full disk story: {len(taken)} taken and kept, 503 and 452 while full")


if __name__ == "__main__":
    main()
