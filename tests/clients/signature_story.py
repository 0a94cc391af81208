"""A body signed by openssl and posted by curl is taken; with one byte changed it is 401."""

import subprocess
import tempfile
from pathlib import Path

from house import house

SECRET = "a secret of the story's own, long enough"


def post(running, body, digest, source="openssl"):
    done = subprocess.run(
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"X-MultiMail-Signature: {digest}",
         "-H", "Content-Type: application/json", "--data-binary", f"@{body}", f"{running.at['hooks']}/hooks/{source}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


def main():
    with house() as running, tempfile.TemporaryDirectory() as folder:
        running.run("source", "add", "openssl", "--dialect", "multimail", "--secret-stdin", stdin=SECRET)
        assert "openssl" in running.run("source", "list")
        body = Path(folder) / "body.json"
        body.write_text(
            '{"event_type":"bounce","event_id":"evt_openssl","mailbox":"agent@mailbell.test","message_id":"em_1",'
            '"thread_id":"thr_1","timestamp":"' + now() + '","recipient":"bob@nowhere.test","bounce_code":"5.1.1",'
            '"diagnostic":"550 5.1.1 no such user"}'
        )
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-hmac", SECRET, str(body)], capture_output=True, text=True, check=True
        )
        digest = done.stdout.split()[-1]
        assert post(running, body, digest) == 200
        assert post(running, body, f"sha256={digest}") == 200, "the other spelling, and a duplicate"
        assert post(running, body, digest, "nobody") == 404
        changed = Path(folder) / "changed.json"
        changed.write_bytes(body.read_bytes().replace(b"bob@", b"rob@"))
        assert post(running, changed, digest) == 401
        assert post(running, body, "") == 401
        (event,) = [event for event in running.events() if event["source"] == "openssl"]
        assert (event["bounce_code"], event["bounce_type"]) == ("5.1.1", "hard"), event
        running.run("source", "remove", "openssl")
        assert post(running, body, digest) == 404
    print("signature story: openssl's signature is taken, a changed byte is not")


def now():
    from datetime import datetime, timezone

    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


if __name__ == "__main__":
    main()
