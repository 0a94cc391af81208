"""A clean Debian to install things in: a chroot, which can also be booted, with systemd as its first process.

All that is mounted, and its network, are of the process that calls `alone`, and end with it.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

SUITE = "bookworm"
MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
CLEAN = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
# The devices that a container has.
DEVICES = ["null", "zero", "full", "random", "urandom", "tty"]
# Another address than loopback's, as a port that is published has.
OUTSIDE = "192.0.2.1"
BOOT_SECS = 60

# In namespaces of its own, and in a cgroup of the second version of which nobody else makes use.
BOOT = """
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs tmp; mount -t tmpfs -o mode=755 tmpfs dev
shift
for name in "$@"; do touch "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
mkdir dev/pts dev/shm run/old
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
pivot_root . run/old
umount -l /run/old
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=multi-user.target
"""


class Machine:
    def __init__(self, root):
        self.root = Path(root)
        self.enter = ["chroot", str(root)]

    def command(self, *arguments, user=None, environment=None):
        variables = [f"{key}={value}" for key, value in {**CLEAN, **(environment or {})}.items()]
        who = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if user else []
        return [*self.enter, "/usr/bin/env", "-i", *variables, *who, *arguments]

    def run(self, *arguments, codes=(0,), errors=subprocess.STDOUT, **options):
        done = subprocess.run(
            self.command(*arguments, **options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
            timeout=600,
        )  # fmt: skip
        assert done.returncode in codes, f"{' '.join(arguments)}: {done.returncode}\n{done.stdout[-4000:]}"
        return done.stdout

    def at(self, path):
        return self.root / path.lstrip("/")


def alone():
    """Starts the program again in a mount namespace of its own."""
    if "--alone" not in sys.argv:
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv, "--alone"])


def network_of_our_own():
    """From here on this process and those it starts have a network in which every port is free."""
    CLONE_NEWNET = 0x40000000
    SIOCSIFADDR, SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8916, 0x8914, 0x1, 0x40
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    address = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(OUTSIDE))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING))
        fcntl.ioctl(control, SIOCSIFADDR, address)


@contextlib.contextmanager
def clean_machine(place):
    """Debian as debootstrap makes it, which is kept in `place` for the next time; and a copy of it, which is not."""
    base, root, whole = place / SUITE, place / "root", place / "whole"
    if not whole.exists():
        shutil.rmtree(base, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
        bootstrap = ["debootstrap", "--variant=minbase", SUITE, str(base), MIRROR]
        done = subprocess.run(bootstrap, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1200)
        assert done.returncode == 0, done.stdout[-2000:]
        whole.touch()
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "-a", str(base), str(root)], check=True)
    try:
        for kind, at in [("proc", "proc"), ("sysfs", "sys"), ("tmpfs", "run")]:
            subprocess.run(["mount", "-t", kind, kind, str(root / at)], check=True)
        for name in DEVICES:
            (root / "dev" / name).touch()
            subprocess.run(["mount", "--bind", f"/dev/{name}", str(root / "dev" / name)], check=True)
        for name in ["resolv.conf", "hosts"]:
            shutil.copy(f"/etc/{name}", root / "etc" / name)
        yield Machine(root)
    finally:
        for mount in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if mount.split()[1].startswith(f"{root}/"):
                subprocess.run(["umount", "-l", mount.split()[1]], check=True)
    shutil.rmtree(root)


@contextlib.contextmanager
def booted(machine, place):
    """The machine with systemd running in it."""
    cgroups = place / "cgroup"
    cgroups.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "cgroup2", "none", str(cgroups)], check=True)
    own = cgroups / f"mailbell-story-{os.getpid()}"
    own.mkdir()
    apart = ["unshare", "--cgroup", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc"]
    first = subprocess.Popen(
        ["sh", "-ec", 'echo $$ >"$0"; exec "$@"', f"{own}/cgroup.procs", *apart, "bash", "-ec", BOOT, "boot",
         str(machine.root), *DEVICES],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    running = Machine(machine.root)
    try:
        deadline = time.monotonic() + BOOT_SECS
        while True:
            inside = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
            if inside and Path(f"/proc/{inside[0]}/comm").read_text() == "systemd\n":
                running.enter = ["nsenter", "--target", inside[0], "--mount", "--pid", "--cgroup", "--uts", "--ipc"]
                said = subprocess.run(
                    running.command("systemctl", "is-system-running"), capture_output=True, text=True, timeout=BOOT_SECS
                )
                if said.stdout.strip() in ("running", "degraded"):
                    break
            assert first.poll() is None and time.monotonic() < deadline, "systemd does not come up"
            time.sleep(0.1)
        yield running
    finally:
        first.kill()
        first.wait()
        deadline = time.monotonic() + 10
        while own.exists():
            for directory, _, _ in os.walk(own, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
            assert time.monotonic() < deadline, f"{own} is still in use"
            time.sleep(0.05)
        subprocess.run(["umount", str(cgroups)], check=True)
