"""The official TypeScript clients, 1.x and 2.x, over stdio and HTTP, in each protocol that they speak; see ts/."""

import json
import os
import subprocess

import node
from house import BINARY, house


def main():
    with house() as running, node.stories() as place:
        at = {
            "binary": os.path.abspath(BINARY),
            "data_dir": running.data_dir,
            "mcp": running.at["mcp"],
            "token": running.token("mcp"),
        }
        subprocess.run([node.node(), f"{place}/stories.mjs", json.dumps(at)], check=True, timeout=300)


if __name__ == "__main__":
    main()
