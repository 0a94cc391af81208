"""The Inspector's CLI over stdio and HTTP, in each protocol: what it lists, calls, reads and gets."""

import json
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

import node
from house import BINARY, house, unwrap

INSPECTOR = "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
ERAS = ["legacy", "modern"]


class Inspector:
    """One way to the house. Each call is a process of its own, and so a client of its own."""

    def __init__(self, home, target, flags, era):
        self.home, self.target = home, target
        self.flags = [*flags, "--protocol-era", era, "--format", "json", "-q"]

    def run(self, method, *arguments):
        command = [node.node(), node.package(INSPECTOR), "--cli", *self.target, *self.flags, "--method", method, *arguments]
        # What it would write beside its results goes where this story ends.
        places = {"HOME": self.home, "MCP_CATALOG_PATH": f"{self.home}/catalog.json"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **places})
        assert done.returncode == 0, f"{method} {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        answer = json.loads(done.stdout)
        return answer.get("result", answer)

    def call(self, tool, **arguments):
        result = self.run("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
        assert not result.get("isError"), result
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"], result
        return result["structuredContent"]


def story(inspector, name, message_id):
    tools = inspector.run("tools/list", "--strict")["tools"]
    assert {"wait_for_event", "read_email", "send_email"} <= {tool["name"] for tool in tools}, tools

    waited = inspector.call("wait_for_event", after="earliest", event_types=["inbound"], timeout_secs=20)
    assert [event["message_id"] for event in waited["events"]] == [message_id], waited
    assert unwrap(waited["events"][0]["subject"], waited["fence"]) == "Inspected", waited
    read = inspector.call("read_email", message_id=message_id)
    assert unwrap(read["body_text"], read["fence"]).strip() == "Look here.", read
    tagged = inspector.call("tag_email", message_id=message_id, tags=[name])
    assert name in json.dumps(tagged["tags"]), tagged

    resources = inspector.run("resources/list")["resources"]
    assert "mailbell://events" in [one["uri"] for one in resources], resources
    templates = inspector.run("resources/templates/list")["resourceTemplates"]
    assert "mailbell://messages/{message_id}" in [one["uriTemplate"] for one in templates], templates
    (content,) = inspector.run("resources/read", "--uri", f"mailbell://messages/{message_id}")["contents"]
    assert "Look here." in content["text"], content

    prompts = inspector.run("prompts/list")["prompts"]
    assert "triage_inbound" in [one["name"] for one in prompts], prompts
    asked = ["--prompt-name", "triage_inbound", "--prompt-args", f"event_id={waited['events'][0]['event_id']}"]
    assert message_id in json.dumps(inspector.run("prompts/get", *asked)["messages"])
    print(f"inspector: {name}: {len(tools)} tools, resources and prompts")


def main():
    node.installed()
    with house() as running, tempfile.TemporaryDirectory() as home, ThreadPoolExecutor() as stories:
        running.run("try", "inbound", "--subject", "Inspected", "--text", "Look here.\n")
        ways = {
            "stdio": ([os.path.abspath(BINARY), "mcp", "--data-dir", running.data_dir], []),
            "http": ([running.at["mcp"]], ["--transport", "http", "--header", f"Authorization: Bearer {running.token('mcp')}"]),
        }
        first = Inspector(home, *ways["stdio"], "legacy")
        waited = first.call("wait_for_event", after="earliest", event_types=["inbound"], timeout_secs=20)
        message_id = waited["events"][0]["message_id"]
        told = [
            stories.submit(story, Inspector(home, *way, era), f"{name}-{era}", message_id)
            for name, way in ways.items()
            for era in ERAS
        ]
        assert len(told) == 4 and [one.result() for one in told] == [None] * 4


if __name__ == "__main__":
    main()
