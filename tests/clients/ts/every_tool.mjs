// Every tool called, and a value of each result looked at.

import assert from 'node:assert/strict';

/** Takes foreign text out of its fence, which must be there whole. */
function unwrap(value, fence) {
  const [begin, end] = [`‹${fence}›`, `‹/${fence}›`];
  assert.ok(value.startsWith(begin) && value.endsWith(end), value);
  return value.slice(begin.length, -end.length);
}

/** One client's work with a mailbox of its own, so that all can be at it at once. */
export async function everyTool(agent, house, name, mailbox) {
  const { tools } = await agent.client.listTools();
  for (const tool of tools) assert.ok(tool.title && tool.annotations && tool.outputSchema, tool.name);

  const worker = { consumer: `tools-${name}`, mailbox, event_types: ['inbound'] };
  const first = await agent.call('wait_for_event', { ...worker, start: 'now', timeout_secs: 0 });
  assert.deepEqual([first.timed_out, first.events], [true, []]);
  const { mailboxes } = await agent.call('list_mailboxes', { limit: 20 });
  assert.ok(mailboxes.some((box) => box.address === mailbox));

  const event = await reading(agent, house, worker, first);
  await answering(agent, worker, event);
  await sending(agent, mailbox);
  await webhooks(agent, house, worker);

  await agent.refused('wait_for_event', { timeout: 1 }, 'timeout_secs');
  await agent.refused('read_email', { message_id: 'em_nowhere' }, 'check_inbox');
  await resources(agent, event);

  const left = tools.map((tool) => tool.name).filter((tool) => !agent.called.has(tool));
  assert.deepEqual(left, [], 'tools that were not called');
}

/** A mail comes in, and is found by every tool that reads. */
async function reading(agent, house, worker, first) {
  const { mailbox } = worker;
  const subject = `Order of ${worker.consumer}`;
  // One to whom an answer can go without a relay.
  await house.mailIn(mailbox, subject, 'Where is my order?\n', 'delivered@simulator.mailbell.test');
  const beats = [];
  const onprogress = ({ progress }) => beats.push(progress);
  const waited = await agent.call('wait_for_event', { ...first.next, timeout_secs: 20 }, { onprogress });
  const [event] = waited.events;
  assert.equal(waited.events.length, 1);
  assert.equal(unwrap(event.subject, waited.fence), subject);
  assert.deepEqual([event.event_type, event.mailbox, event.attempt], ['inbound', mailbox, 1]);
  assert.ok(waited.backlog.inbound >= 1);

  const listed = await agent.call('list_events', { message_id: event.message_id });
  assert.deepEqual(listed.events.map((one) => one.event_id), [event.event_id]);
  const inbox = await agent.call('check_inbox', { mailbox, unread_only: true, subject_contains: subject });
  assert.deepEqual(inbox.messages.map((one) => one.message_id), [event.message_id]);
  const read = await agent.call('read_email', { message_id: event.message_id });
  assert.equal(unwrap(read.body_text, read.fence).trim(), 'Where is my order?');
  const thread = await agent.call('get_thread', { thread_id: event.thread_id });
  assert.deepEqual([thread.messages.length, thread.handled], [1, false]);
  return { ...event, lease_token: waited.lease_token, subject };
}

/** The answer goes out under the lease, which the tag `handled` ends. */
async function answering(agent, worker, event) {
  const { lease_token } = event;
  const extended = await agent.call('ack_event', { lease_token, action: 'extend', lease_secs: 900 });
  assert.deepEqual([extended.action, extended.done], ['extend', [event.event_id]]);
  const reply = await agent.call('reply_email', { message_id: event.message_id, markdown: 'On its way.', lease_token });
  assert.equal(reply.thread_id, event.thread_id);
  const look = { after: reply.cursor, message_id: reply.message_id, event_types: ['delivery'], timeout_secs: 20 };
  const delivered = await agent.call('wait_for_event', look);
  assert.equal(delivered.events[0].recipient, 'delivered@simulator.mailbell.test');
  const tagged = await agent.call('tag_email', { message_id: event.message_id, tags: ['handled', 'order'], lease_token });
  assert.deepEqual([tagged.handled, tagged.acked], [true, [event.event_id]]);
  await agent.refused('ack_event', { lease_token }, 'lease');
  const tag = await agent.call('check_inbox', { mailbox: worker.mailbox, tag: 'order' });
  assert.deepEqual(tag.messages.map((one) => one.message_id), [event.message_id]);
}

/** What is sent, and what becomes of it. */
async function sending(agent, mailbox) {
  const letter = { mailbox, subject: 'Offer', markdown: '**Here** it is.' };
  const opened = { ...letter, to: 'opened@simulator.mailbell.test', idempotency_key: mailbox };
  const sent = await agent.call('send_email', opened);
  assert.equal((await agent.call('send_email', opened)).message_id, sent.message_id, 'one key, one message');

  const gone = 'hard-bounce@simulator.mailbell.test';
  const lost = await agent.call('send_email', { ...letter, to: [gone] });
  const look = { after: lost.cursor, message_id: lost.message_id, event_types: ['bounce'], timeout_secs: 20 };
  const [bounced] = (await agent.call('wait_for_event', look)).events;
  assert.deepEqual([bounced.bounce_code, bounced.bounce_type, bounced.tied], ['5.1.1', 'hard', 'session']);
  const retry = await agent.call('schedule_retry', { message_id: lost.message_id, recipient: gone, delay_secs: 3600 });
  assert.equal(retry.status, 'retried_once');

  const address = `gone-${mailbox}`;
  assert.equal((await agent.call('suppress_address', { address, reason: 'asked to be left alone' })).address, address);
  const { suppressions } = await agent.call('list_suppressions', { limit: 20 });
  assert.ok(suppressions.some((one) => one.address === address));
}

/** A webhook, from its making to its end. */
async function webhooks(agent, house, worker) {
  const { mailbox } = worker;
  const made = await agent.call('register_webhook', { mailbox, events: ['inbound'], description: 'for a story' });
  const { webhook_id } = made;
  assert.ok(!JSON.stringify(made).includes('whsec_'));
  const listed = await agent.call('list_webhooks', { limit: 20 });
  assert.ok(listed.webhooks.some((one) => one.webhook_id === webhook_id));

  await house.mailIn(mailbox, 'Twice', 'Told by two webhooks, stored once.\n');
  const twice = await agent.call('wait_for_event', { ...worker, timeout_secs: 20 });
  assert.equal(twice.events.length, 1);
  const acked = await agent.call('ack_event', { lease_token: twice.lease_token });
  assert.deepEqual(acked.done, [twice.events[0].event_id]);
  const over = async () => {
    const page = await agent.call('list_webhook_deliveries', { webhook_id, status: 'delivered' });
    return page.deliveries.find((one) => one.event_id === twice.events[0].event_id);
  };
  const delivery = await house.until(over, 'the delivery is over');
  const replay = await agent.call('replay_delivery', { delivery_id: delivery.delivery_id });
  assert.equal(replay.replay_of, delivery.delivery_id);
  assert.ok((await agent.call('wait_for_event', { ...worker, timeout_secs: 0 })).timed_out, 'stored once');
  const tested = await agent.call('test_webhook', { webhook_id });
  assert.deepEqual([tested.delivered, tested.response_status], [true, 200]);
  assert.equal((await agent.call('delete_webhook', { webhook_id })).webhook_id, webhook_id);

  // A host that is not on `webhooks.allow_hosts` is an operator's to allow.
  const held = await agent.call('register_webhook', { endpoint_url: 'https://example.com/hook', events: ['inbound'] });
  assert.equal(held.status, 'pending_approval');
}

/** The same by resources, and the prompts. */
async function resources(agent, event) {
  const { resourceTemplates } = await agent.client.listResourceTemplates();
  assert.ok(resourceTemplates.some((one) => one.uriTemplate === 'mailbell://messages/{message_id}'));
  for (const part of [`events/${event.seq}`, `threads/${event.thread_id}`, `messages/${event.message_id}`]) {
    assert.ok((await agent.read(`mailbell://${part}`)).includes(event.subject), part);
  }
  const { prompts } = await agent.client.listPrompts();
  assert.ok(prompts.some((prompt) => prompt.name === 'triage_inbound'));
  const { messages } = await agent.client.getPrompt({ name: 'triage_inbound', arguments: { event_id: event.event_id } });
  assert.ok(JSON.stringify(messages).includes(event.message_id), messages);
  const ref = { type: 'ref/resource', uri: 'mailbell://mailboxes/{address}/events' };
  const { completion } = await agent.client.complete({ ref, argument: { name: 'address', value: event.mailbox } });
  assert.deepEqual(completion.values, [event.mailbox]);
}
