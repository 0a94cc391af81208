// The official TypeScript clients against a house that runs: node stories.mjs '{"binary", "data_dir", "mcp", "token"}'.

import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Agent, WAYS } from './clients.mjs';
import { everyTool } from './every_tool.mjs';
import { cancelled, longWait, subscribed } from './waiting.mjs';

const COME_MS_MAX = 60_000;

/** The house, and what its operator does at a terminal. */
class House {
  constructor(at) {
    Object.assign(this, at);
  }

  async run(...args) {
    return (await promisify(execFile)(this.binary, [...args, '--data-dir', this.data_dir])).stdout;
  }

  /** One mail, by SMTP. */
  async mailIn(to, subject, text, from = 'zoe@customer.test') {
    await this.run('try', 'inbound', '--to', to, '--from', from, '--subject', subject, '--text', text);
  }

  /** What the operator is told of a consumer. */
  async standing(consumer) {
    return JSON.parse(await this.run('consumers', 'show', consumer, '--json')).consumer;
  }

  /** Whether the record tells of a wait of this consumer that was cancelled. */
  async cancelled(consumer) {
    const record = await this.run('audit', '--json', '--tool', 'wait_for_event', '--what', 'result');
    const results = record.split('\n').filter(Boolean).map((line) => JSON.parse(line).entry);
    return results.some((one) => one.arguments.consumer === consumer && one.error?.includes('cancelled'));
  }

  /** Asks until there is a yes. */
  async until(asked, what) {
    for (const began = performance.now(); performance.now() - began < COME_MS_MAX; await pause(100)) {
      const answer = await asked();
      if (answer) return answer;
    }
    throw new Error(`it is not so within ${COME_MS_MAX} ms: ${what}`);
  }
}

async function story(house, way) {
  const name = [way.client, way.mode, way.way].filter(Boolean).join('-');
  const boxes = ['tools', 'told', 'cancel'].map((what) => `${what}-${name}@mailbell.test`);
  for (const box of boxes) await house.run('mailbox', 'add', box);
  const agent = await Agent.connect(house, way);
  await Promise.all([
    longWait(agent),
    everyTool(agent, house, name, boxes[0]),
    subscribed(agent, house, name, boxes[1]),
    cancelled(agent, house, name, boxes[2]),
  ]);
  await agent.close();
  console.log(`typescript: ${name}, protocol ${agent.protocol}: ${agent.called.size} tools, told, cancelled, 40 s survived`);
}

const house = new House(JSON.parse(process.argv[2]));
await Promise.all(WAYS.map((way) => story(house, way)));
