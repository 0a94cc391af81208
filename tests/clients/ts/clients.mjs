// The two generations of the official client behind one face, over stdio and HTTP.

import assert from 'node:assert/strict';
import { Client as ModernClient, StreamableHTTPClientTransport as ModernHttp } from '@modelcontextprotocol/client';
import { StdioClientTransport as ModernStdio } from '@modelcontextprotocol/client/stdio';
import { Client as EarlierClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as EarlierStdio } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as EarlierHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CallToolResultSchema, ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';

const WHO = { name: 'mailbell-stories', version: '1' };

// What this house's own results may hold without being asked for more.
const RESULT_CHARS_MAX = 8000;

/** Each client, each way: the package and its mode, and the protocol that it must have come to. */
export const WAYS = [
  { client: 'sdk', way: 'stdio', protocol: '2025-11-25' },
  { client: 'sdk', way: 'http', protocol: '2025-11-25' },
  { client: 'client', mode: 'legacy', way: 'stdio', protocol: '2025-11-25' },
  { client: 'client', mode: 'legacy', way: 'http', protocol: '2025-11-25' },
  { client: 'client', mode: 'auto', way: 'stdio', protocol: '2026-07-28' },
  { client: 'client', mode: 'auto', way: 'http', protocol: '2026-07-28' },
];

function transport(house, { client, way }) {
  const [Stdio, Http] = client === 'sdk' ? [EarlierStdio, EarlierHttp] : [ModernStdio, ModernHttp];
  if (way === 'stdio') {
    return new Stdio({ command: house.binary, args: ['mcp', '--data-dir', house.data_dir] });
  }
  return new Http(new URL(house.mcp), { requestInit: { headers: { Authorization: `Bearer ${house.token}` } } });
}

/** A client that is connected by `way`, and knows which of the tools were called. */
export class Agent {
  called = new Set();

  static async connect(house, way) {
    const agent = new Agent();
    agent.earlier = way.client === 'sdk';
    const link = transport(house, way);
    if (agent.earlier) {
      agent.client = new EarlierClient(WHO);
      // Over HTTP the transport is told of the version by the client; over stdio nobody keeps it.
      link.setProtocolVersion ??= () => {};
      const keep = link.setProtocolVersion.bind(link);
      link.setProtocolVersion = (version) => keep((agent.protocol = version));
    } else {
      agent.client = new ModernClient(WHO, { versionNegotiation: { mode: way.mode } });
    }
    await agent.client.connect(link);
    agent.protocol ??= agent.client.getNegotiatedProtocolVersion();
    assert.equal(agent.protocol, way.protocol);
    return agent;
  }

  /** Calls a tool, whatever comes of it. `options` are the client's: signal, timeout, onprogress. */
  async asked(tool, args, options) {
    this.called.add(tool);
    const params = { name: tool, arguments: args };
    const result = this.earlier
      ? await this.client.callTool(params, CallToolResultSchema, options)
      : await this.client.callTool(params, options);
    const text = result.content.filter((block) => block.type === 'text').map((block) => block.text).join('');
    return { result, text };
  }

  /** Calls a tool and sees that it worked; answers with what it says. */
  async call(tool, args = {}, options = {}) {
    const { result, text } = await this.asked(tool, args, options);
    const shown = `${tool}(${JSON.stringify(args)}): ${text}`;
    assert.ok(!result.isError, shown);
    assert.ok([...text].length <= RESULT_CHARS_MAX, shown);
    assert.deepEqual(JSON.parse(text), result.structuredContent, shown);
    return result.structuredContent;
  }

  /** Calls a tool and sees that it refuses in a sentence with these words. */
  async refused(tool, args, ...words) {
    const { result, text } = await this.asked(tool, args);
    assert.ok(result.isError, `${tool}(${JSON.stringify(args)}) was taken: ${text}`);
    for (const word of words) assert.ok(text.includes(word), `it does not say ${word}: ${text}`);
  }

  /** Has `heard` told of each URI that is to be read again, until the function that this answers with is called. */
  async subscribe(uri, heard) {
    if (this.earlier) {
      this.client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => heard(params.uri));
    } else {
      this.client.setNotificationHandler('notifications/resources/updated', ({ params }) => heard(params.uri));
    }
    if (this.protocol < '2026') {
      await this.client.subscribeResource({ uri });
      return () => this.client.unsubscribeResource({ uri });
    }
    const subscription = await this.client.listen({ resourceSubscriptions: [uri] });
    assert.deepEqual(subscription.honoredFilter.resourceSubscriptions, [uri]);
    return () => subscription.close();
  }

  async read(uri) {
    return (await this.client.readResource({ uri })).contents[0].text;
  }

  close() {
    return this.client.close();
  }
}
