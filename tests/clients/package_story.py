"""The Debian package in a clean Debian: it installs, its unit verifies, and what the unit runs takes a mail and is all green to
`doctor`, under systemd and without it; the containers' commands do the same behind Postfix. Then it is removed and purged,
and nothing is left.

Needs root, debootstrap and the files of packaging/release (KIT, else target/release-kit).
"""

import contextlib
import glob
import json
import os
import re
import shlex
import shutil
import smtplib
import socket
import subprocess
import time
import urllib.request
from email.message import EmailMessage
from pathlib import Path

import yaml

from machine import OUTSIDE, alone, booted, clean_machine, network_of_our_own

KIT = Path(os.environ.get("KIT", "target/release-kit"))
PLACE = Path(os.environ.get("PACKAGE_PLACE", "target/package-story")).absolute()
DOCKER = Path("packaging/docker")
# `systemd-analyze security` counts from 0 to 10; less is better.
EXPOSURE_MAX = 2.0
COME_SECS = 60

# What docs/install.md tells the operator to say.
DATA = ["--data-dir", "/var/lib/mailbell"]
CONFIG = ["--config", "/etc/mailbell/config.toml"]


def until(found, what):
    deadline = time.monotonic() + COME_SECS
    while not (value := found()):
        assert time.monotonic() < deadline, f"{what() if callable(what) else what}, within {COME_SECS} s"
        time.sleep(0.1)
    return value


class House:
    """A house on a machine, as its user's commands find it."""

    def __init__(self, machine, data, environment=None):
        self.machine, self.data, self.environment = machine, data, environment

    def mailbell(self, *arguments, codes=(0,)):
        options = {"user": "mailbell", "environment": self.environment, "codes": codes, "errors": None}
        return self.machine.run("mailbell", *arguments, *self.data, **options)

    def doctor(self, *arguments):
        """How many checks there were; each must be green."""
        told = json.loads(self.mailbell("doctor", "--json", *arguments, codes=(0, 1, 3)))
        uneasy = [check for check in told["checks"] if check["state"] != "ok"]
        assert told["ok"] and uneasy == [], uneasy
        return len(told["checks"])

    def event(self, kind, **fields):
        """The event of that kind with those fields, once it is there."""
        events = lambda: [json.loads(line) for line in self.mailbell("events", "--json").splitlines()]
        fits = lambda event: event["event_type"] == kind and fields.items() <= event.items()
        return until(lambda: next(filter(fits, events()), None), f"no {kind} with {fields} came")

    def send(self, to):
        token = self.mailbell("token", "show", "api").strip()
        mailbox = self.mailbell("mailbox", "list").split()[0]
        body = json.dumps({"to": [to], "subject": "out", "markdown": "Hello."}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:7413/v1/mailboxes/{mailbox}/send", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@contextlib.contextmanager
def serving(machine, command, environment=None):
    """The command, as a service manager or an engine runs it: as its user, and told when it is ready."""
    machine.run("install", "-d", "-m", "700", "-o", "mailbell", "-g", "mailbell", "/var/lib/mailbell")
    at, log = machine.at("run/notify"), PLACE / "serve.log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, log.open("w") as written:
        manager.bind(str(at))
        at.chmod(0o666)
        manager.settimeout(COME_SECS)
        environment = {**(environment or {}), "HOME": "/var/lib/mailbell", "NOTIFY_SOCKET": "/run/notify"}
        command = machine.command(*command, user="mailbell", environment=environment)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=written)
        try:
            with contextlib.suppress(TimeoutError):
                assert manager.recv(100).strip() == b"READY=1"
            assert json.loads(process.stdout.readline() or "{}").get("ready"), log.read_text()
            yield
            process.terminate()
            assert process.wait(timeout=5) == 0, "it must end cleanly within 5 s of SIGTERM"
        finally:
            process.kill()
            process.wait()
            at.unlink()


def hand_in(port, subject, to):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Zoë <zoe@customer.test>", to, subject
    mail.set_content("Hello.\n")
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        smtp.send_message(mail)


def install(machine, deb):
    shutil.copy(deb, machine.at("root/mailbell.deb"))
    machine.run("apt-get", "update", "-q")
    apt = ["apt-get", "install", "-qy", "--no-install-recommends"]
    machine.run(*apt, "/root/mailbell.deb")
    # What looks at the unit and runs it, and who relays: that one is not to be started here, as in an image.
    policy = machine.at("usr/sbin/policy-rc.d")
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    machine.run(*apt, "systemd", "postfix")
    policy.unlink()

    assert machine.run("mailbell", "--version").split()[1] == deb.name.split("_")[1]
    assert machine.run("stat", "-c", "%U %a", "/etc/mailbell/config.toml").split() == ["root", "644"]
    for path in ["man/man1/mailbell.1.gz", "man/man1/mailbell-serve.1.gz", "bash-completion/completions/mailbell",
                 "zsh/vendor-completions/_mailbell", "doc/mailbell/copyright", "doc/mailbell/sbom.cdx.json",
                 "doc/mailbell/default.toml", "doc/mailbell/docs/install.md"]:  # fmt: skip
        assert machine.at(f"usr/share/{path}").exists(), path


def unit_of(machine):
    """The unit's settings, of those that stand several times the last; and how exposed it is."""
    path = "/lib/systemd/system/mailbell.service"
    said = machine.run("systemd-analyze", "verify", "--man=no", path)
    assert "mailbell" not in said, said
    said = machine.run("systemd-analyze", "security", "--offline=true", path)
    exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1])
    assert exposure < EXPOSURE_MAX, said
    lines = machine.at(path).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")), exposure


def without_systemd(machine, unit):
    """What the unit runs, on a machine whose first process is something else."""
    house, command = House(machine, DATA), shlex.split(unit["ExecStart"])
    with serving(machine, command):
        hand_in(7425, "without systemd", "agent@mailbell.test")
        house.event("inbound", subject="without systemd")
        green = house.doctor(*CONFIG)
    config = machine.at("etc/mailbell/config.toml")
    kept = config.read_text()
    config.write_text("[mail]\ndomain = 1\n")
    machine.run(*command, user="mailbell", codes=[int(unit["RestartPreventExitStatus"])])
    config.write_text(kept)
    return green


def under_systemd(machine):
    """The unit itself, with all that it forbids. It started with the machine, and goes with the package."""
    house = House(machine, DATA)
    state = lambda what: machine.run("systemctl", "show", "-P", what, "mailbell").strip()
    log = lambda: machine.run("journalctl", "-u", "mailbell", "--no-pager", codes=(0, 1))
    until(lambda: state("ActiveState") == "active", log)
    filtered = machine.run("grep", "Seccomp:", f"/proc/{state('MainPID')}/status").split()
    assert filtered == ["Seccomp:", "2"], filtered
    hand_in(7425, "under systemd", "agent@mailbell.test")
    # What was there before is there still.
    for subject in ["without systemd", "under systemd"]:
        house.event("inbound", subject=subject)
    house.doctor(*CONFIG)
    killed = state("MainPID")
    machine.run("systemctl", "kill", "--signal=KILL", "mailbell")
    until(lambda: state("ActiveState") == "active" and state("MainPID") not in (killed, "0"), log)
    house.event("inbound", subject="under systemd")
    refused = machine.run("journalctl", "-q", "-u", "mailbell", "--no-pager", "--grep", "permitted|denied|read-only", codes=(0, 1))
    assert refused == "", refused

    machine.run("systemctl", "stop", "mailbell")
    assert (state("ActiveState"), state("Result")) == ("inactive", "success"), log()
    config = machine.at("etc/mailbell/config.toml")
    kept = config.read_text()
    config.write_text("[mail]\ndomain = 1\n")
    machine.run("systemctl", "start", "mailbell", codes=(1,))
    config.write_text(kept)
    assert (state("ActiveState"), state("NRestarts")) == ("failed", "0"), "what no restart mends is not restarted"
    machine.run("systemctl", "start", "mailbell")

    machine.run("apt-get", "remove", "-qy", "mailbell")
    assert state("ActiveState") == "inactive" and not machine.at("usr/bin/mailbell").exists()
    assert machine.at("var/lib/mailbell/bell.db").exists() and config.exists(), "removing leaves data and settings"
    machine.run("apt-get", "purge", "-qy", "mailbell")
    left = [str(path) for place in ["etc", "usr", "var"] for path in machine.at(place).rglob("*mailbell*")]
    assert left == [], left


def image_of(dockerfile):
    """The variables and the command of an image, as its Dockerfile has them."""
    text = dockerfile.read_text().replace("\\\n", " ")
    last = text[text.rindex("FROM ") :]
    variables = dict(pair.split("=", 1) for line in re.findall(r"^ENV (.*)$", last, re.M) for pair in line.split())
    return variables, json.loads(re.search(r"^CMD (.*)$", last, re.M)[1])


@contextlib.contextmanager
def postfix(machine, environment):
    _, command = image_of(DOCKER / "postfix/Dockerfile")
    log = PLACE / "postfix.log"

    def greets():
        with contextlib.suppress(OSError, smtplib.SMTPException), smtplib.SMTP("127.0.0.1", 25, timeout=10):
            return True
        assert running.poll() is None, log.read_text()

    with log.open("w") as written:
        command = machine.command(*command, environment=environment)
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=written, stderr=written)
        try:
            until(greets, log.read_text)
            yield
        finally:
            subprocess.run(machine.command("postfix", "stop"), capture_output=True)
            running.kill()
            running.wait()


def as_containers(machine):
    """What the containers of the compose file run, in the network that they share, with the variables that they have."""
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    given = {"MAIL_DOMAIN": "agents.test", "MAIL_HOSTNAME": "mail.agents.test"}
    fill = lambda pairs: {key: re.sub(r"\$\{(\w+)[^}]*\}", lambda name: given[name[1]], text) for key, text in pairs.items()}
    variables, command = image_of(DOCKER / "Dockerfile")
    variables |= fill(services["mailbell"]["environment"])
    for file, name in [("healthy", "healthy"), ("postfix/configure", "configure-postfix")]:
        shutil.copy(DOCKER / file, machine.at(f"usr/local/bin/{name}"))
    kept, aside = machine.at("var/lib/mailbell"), machine.at("var/lib/aside")
    kept.rename(aside)

    house = House(machine, [], variables)
    # No DNS answers here, so that Postfix is told of one domain that there is none.
    machine.run("postconf", "-e", "transport_maps = inline:{ {nosuch.invalid = error:5.1.2 no such domain} }")
    with serving(machine, command, variables):
        machine.run("healthy")
        with postfix(machine, fill(services["postfix"]["environment"])):
            hand_in(25, "through Postfix", "agent@agents.test")
            house.event("inbound", subject="through Postfix")
            # A stranger hears at once that somebody is not there, and is no relay's guest.
            for to, code in [("nobody@agents.test", 550), ("somebody@elsewhere.test", 554)]:
                with smtplib.SMTP(OUTSIDE, 25, timeout=60, source_address=(OUTSIDE, 0)) as smtp:
                    smtp.ehlo()
                    smtp.mail("zoe@customer.test")
                    status, text = smtp.rcpt(to)
                    assert status == code, (to, status, text)
            # What goes out is Postfix's, and what it says of that comes back.
            house.send("ghost@nosuch.invalid")
            house.event("bounce", recipient="ghost@nosuch.invalid")
        house.doctor()
    machine.run("healthy", codes=[1])
    shutil.rmtree(kept)
    aside.rename(kept)


def main():
    alone()
    (deb,) = map(Path, glob.glob(f"{KIT}/mailbell_*.deb"))
    began = time.monotonic()
    with clean_machine(PLACE) as machine:
        made = time.monotonic()
        install(machine, deb)
        unit, exposure = unit_of(machine)
        installed = time.monotonic()
        network_of_our_own()
        green = without_systemd(machine, unit)
        as_containers(machine)
        with booted(machine, PLACE) as running:
            under_systemd(running)
    print(
        f"package story: exposure {exposure}, {green} checks of doctor all green, under systemd too; Postfix in and out; purged "
        f"clean (the chroot took {made - began:.0f} s, installing {installed - made:.0f} s, the rest {time.monotonic() - installed:.0f} s)"
    )


if __name__ == "__main__":
    main()
