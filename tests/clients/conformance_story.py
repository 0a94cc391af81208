"""The official conformance suite of MCP against our server and its fixtures (examples/conformance), for both eras.

Every scenario must pass.
"""

import os
import subprocess
import sys
import tempfile

import node

SUITE = "@modelcontextprotocol/conformance/dist/index.js"
REVISIONS = ["2025-11-25", "2026-07-28"]
SERVER = os.environ.get("CONFORMANCE", "target/debug/examples/conformance")


def main():
    server = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        assert url, f"{SERVER} ended before it was ready"
        for revision in REVISIONS:
            run = [node.node(), node.package(SUITE), "server", "--url", url, "--requirements", revision]
            with tempfile.TemporaryDirectory() as results:
                done = subprocess.run([*run, "-o", results], capture_output=True, text=True, timeout=600)
            if done.returncode != 0:
                sys.exit(f"{done.stdout[-6000:]}{done.stderr[-2000:]}\nconformance to {revision} does not hold")
            print("\n".join(line for line in done.stdout.splitlines() if "passed" in line.lower())[-600:])
            print(f"conforms to {revision}")
    finally:
        server.stdin.close()
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()


main()
