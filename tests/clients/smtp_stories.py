"""Python's smtplib hands in mail of several kinds; each becomes exactly one event whose subject and snippet are right."""

import smtplib
import time
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from house import house


def message(subject, to="agent@mailbell.test"):
    mail = EmailMessage()
    mail["From"] = "Zoë Example <zoe@customer.test>"
    mail["To"] = to
    mail["Subject"] = subject
    mail["Message-ID"] = f"<{abs(hash((subject, to)))}@customer.test>"
    return mail


def hand_in(running, mail, to=("agent@mailbell.test",)):
    with smtplib.SMTP(*running.smtp, timeout=60) as smtp:
        refused = smtp.send_message(mail, from_addr="zoe@customer.test", to_addrs=list(to))
        assert refused == {}, refused


def inbound(running, count):
    """The events, once there are as many as expected; mail reaches the log within moments of its 250."""
    deadline = time.monotonic() + 15
    while True:
        events = [event for event in running.events() if event["event_type"] == "inbound"]
        if len(events) >= count:
            return events
        assert time.monotonic() < deadline, f"{len(events)} of {count} events came"
        time.sleep(0.05)


def main():
    with house() as running:
        running.run("mailbox", "add", "second@mailbell.test")
        expected = []

        mail = message("Invoice with attachments")
        mail.set_content("Please find the invoice attached.\n")
        mail.add_attachment(b"%PDF-1.7 not really", maintype="application", subtype="pdf", filename="Rechnung Nº 7.pdf")
        mail.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="table.csv")
        hand_in(running, mail)
        expected.append(("Invoice with attachments", "Please find the invoice attached."))

        mail = MIMEMultipart("alternative")
        for name, value in message("Only HTML 🎉").items():
            if name.lower() not in ("content-type", "mime-version", "content-transfer-encoding"):
                mail[name] = value
        html = "<html><head><style>p{color:red}</style></head><body><p>Hello <b>agent</b>,</p><p>see you.</p></body></html>"
        mail.attach(MIMEText(html, "html", "utf-8"))
        hand_in(running, mail)
        expected.append(("Only HTML 🎉", "Hello agent, see you."))

        mail = MIMEText("こんにちは、世界。ご注文ありがとうございます。", "plain", "iso-2022-jp")
        mail["From"] = "zoe@customer.test"
        mail["To"] = "agent@mailbell.test"
        from email.header import Header

        mail["Subject"] = Header("ご注文の確認", "iso-2022-jp")
        hand_in(running, mail)
        expected.append(("ご注文の確認", "こんにちは、世界。ご注文ありがとうございます。"))

        mail = message("Twenty megabytes")
        mail.set_content("The file is attached.\n")
        mail.add_attachment(bytes(range(256)) * 4096 * 14, maintype="application", subtype="octet-stream", filename="big.bin")
        assert len(mail.as_bytes()) > 19_500_000
        hand_in(running, mail)
        expected.append(("Twenty megabytes", "The file is attached."))

        events = inbound(running, len(expected))
        assert [(event["subject"], event["snippet"]) for event in events] == expected, events
        for event in events:
            assert event["mailbox"] == "agent@mailbell.test" and event["from"] == "zoe@customer.test", event

        # What came as files is listed with name, type and size.
        mailbox = next(box for box in running.api("GET", "/v1/mailboxes")["mailboxes"] if box["address"].startswith("agent@"))
        first = running.api("GET", f"/v1/mailboxes/{mailbox['id']}/emails/{events[0]['message_id']}")
        files = [(file["name"], file["content_type"], file["size"]) for file in first["attachments"]]
        assert files == [("Rechnung Nº 7.pdf", "application/pdf", 19), ("table.csv", "text/csv", 8)], files

        # A snippet ends at 200 characters.
        mail = message("Long")
        mail.set_content("é" * 500)
        hand_in(running, mail)
        assert inbound(running, 5)[4]["snippet"] == "é" * 200

        # One mail to two mailboxes is two events.
        mail = message("For both", "agent@mailbell.test, second@mailbell.test")
        mail.set_content("Same for each.")
        hand_in(running, mail, ("agent@mailbell.test", "second@mailbell.test"))
        both = inbound(running, 7)[5:]
        assert sorted(event["mailbox"] for event in both) == ["agent@mailbell.test", "second@mailbell.test"], both
        assert len({event["event_id"] for event in both}) == 2

        # Never a relay, and never for a stranger.
        for recipient, code in [("nobody@mailbell.test", b"5.1.1"), ("somebody@elsewhere.test", b"5.")]:
            with smtplib.SMTP(*running.smtp) as smtp:
                smtp.ehlo()
                smtp.mail("zoe@customer.test")
                status, text = smtp.rcpt(recipient)
                assert status == 550 and text.startswith(code), (status, text)

        # Over the limit: refused by its size alone, and at the end of the data.
        with smtplib.SMTP(*running.smtp) as smtp:
            smtp.ehlo()
            assert smtp.esmtp_features["size"] == "26214400", smtp.esmtp_features
            status, text = smtp.mail("zoe@customer.test", ["SIZE=26214401"])
            assert (status, text[:5]) == (552, b"5.3.4"), (status, text)
        assert len(inbound(running, 7)) == 7, "each mail is one event"
    print("smtp stories: 7 mails, 7 events")


if __name__ == "__main__":
    main()
