"""The bundle for Claude Desktop: unpacked, and started as its manifest says, the official client finds the tools that it names.
The tarball is what `cargo binstall` looks for, and every file of the release has the sum that is written down.

Needs the files of packaging/release (KIT, else target/release-kit), and node with the packages that made the bundle
(TOOLS, else target/release-tools), whose own code says what command a manifest means.
"""

import asyncio
import glob
import hashlib
import json
import os
import subprocess
import tarfile
import tempfile
import tomllib
from pathlib import Path

from mcp import Client, StdioServerParameters

KIT = Path(os.environ.get("KIT", "target/release-kit"))
TOOLS = Path(os.environ.get("TOOLS", "target/release-tools"))
MCPB = TOOLS.absolute() / "node_modules/@anthropic-ai/mcpb"

# As Claude Desktop does: the manifest, where it was unpacked, and what the person chose.
COMMAND_OF = """
import { readFileSync } from "node:fs";
const [mcpb, place, chosen] = process.argv.slice(1);
const { getMcpConfigForManifest } = await import(`${mcpb}/dist/index.js`);
const manifest = JSON.parse(readFileSync(`${place}/manifest.json`));
const config = await getMcpConfigForManifest({ manifest, extensionPath: place, systemDirs: { HOME: "/nowhere" },
  userConfig: JSON.parse(chosen), pathSeparator: "/" });
console.log(JSON.stringify(config));
"""


def sums():
    lines = (KIT / "SHA256SUMS").read_text().splitlines()
    files = {name: sum for sum, name in (line.split("  ", 1) for line in lines)}
    there = {path.name for path in KIT.iterdir()} - {"SHA256SUMS"}
    assert set(files) == there, set(files) ^ there
    for name, sum in files.items():
        assert hashlib.sha256((KIT / name).read_bytes()).hexdigest() == sum, name
    return files


def tarball(package):
    """What `cargo binstall` makes of the metadata is in the release, and the tarball has the program where it looks."""
    host = next(line for line in subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout.splitlines()
                if line.startswith("host: ")).split()[1]  # fmt: skip
    names = {"name": package["name"], "version": package["version"], "target": host, "bin": "mailbell", "binary-ext": ""}

    def filled(template):
        for key, value in {**names, "archive-suffix": ".tar.gz"}.items():
            template = template.replace("{ %s }" % key, value)
        return template

    binstall = package["metadata"]["binstall"]
    with tarfile.open(KIT / filled(binstall["pkg-url"]).rsplit("/", 1)[1]) as archive:
        program = archive.getmember(filled(binstall["bin-dir"]))
        assert program.isfile() and program.mode == 0o755 and program.uid == 0, program
        held = archive.extractfile(program).read()
        # Nothing of the machine that it was built on stands in it.
        for path in {os.getcwd(), os.path.expanduser("~/.cargo")}:
            assert path.encode() not in held, f"{path} stands in the binary"
        bom = json.load(archive.extractfile(f"{program.name.rsplit('/', 1)[0]}/sbom.cdx.json"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.5"), bom
    with open("Cargo.lock", "rb") as lock:
        locked = {(one["name"], one["version"]) for one in tomllib.load(lock)["package"]}
    assert os.getcwd() not in json.dumps(bom), "the SBOM names the work tree"
    listed = {(one["name"], one["version"]) for one in bom["components"]}
    assert listed <= locked and {"tokio", "rmcp", "sqlx", "axum"} <= {name for name, _ in listed}, listed - locked
    return len(listed)


async def tools(place, data_dir):
    chosen = json.dumps({"data_dir": data_dir})
    asked = ["node", "--input-type=module", "-e", COMMAND_OF, str(MCPB), place, chosen]
    config = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    assert config["command"].startswith(place) and data_dir in config["args"], config
    async with Client(StdioServerParameters(command=config["command"], args=config["args"])) as client:
        return [(tool.name, tool.title) for tool in (await client.list_tools()).tools]


def main():
    files = sums()
    with open("Cargo.toml", "rb") as manifest:
        package = tomllib.load(manifest)["package"]
    listed = tarball(package)
    (bundle,) = glob.glob(f"{KIT}/*.mcpb")
    with tempfile.TemporaryDirectory() as place:
        subprocess.run([TOOLS / "node_modules/.bin/mcpb", "unpack", bundle, f"{place}/bundle"], check=True, capture_output=True)
        manifest = json.loads(Path(f"{place}/bundle/manifest.json").read_text())
        assert manifest["version"] == package["version"]
        found = asyncio.run(tools(f"{place}/bundle", f"{place}/data"))
        named = [(tool["name"], tool["description"]) for tool in manifest["tools"]]
        assert sorted(found) == sorted(named), (found, named)
        assert Path(f"{place}/data/bell.db").exists(), "it works on the directory that was chosen"
    entry = json.loads((KIT / "server.json").read_text())["packages"][0]
    name = os.path.basename(bundle)
    assert entry["fileSha256"] == files[name] and entry["identifier"].endswith(f"/{name}"), entry
    print(f"bundle story: {len(found)} tools by the manifest's command, {listed} crates in the SBOM, {len(files)} sums hold")


if __name__ == "__main__":
    main()
