// What a client is told without asking, a wait that it gives up, and one that outlives its own time limit.

import assert from 'node:assert/strict';

const CLIENT_TIMEOUT_MS = 20_000;
const LONG_SECS = 40;

/** A mail comes in by SMTP; the client is told, and reads what is there. */
export async function subscribed(agent, house, name, mailbox) {
  const uri = `mailbell://mailboxes/${mailbox}/events`;
  const heard = [];
  const end = await agent.subscribe(uri, (told) => heard.push(told));
  const subject = `Told ${name}`;
  await house.mailIn(mailbox, subject, 'Hello.\n');
  await house.until(() => heard.includes(uri), `${uri} is told of`);
  await house.until(async () => (await agent.read(uri)).includes(subject), `${subject} is in it`);
  assert.deepEqual([...new Set(heard)], [uri]);
  await end();
}

/** A wait that is given up ends, and neither it nor a lease is left: what comes next is with nobody. */
export async function cancelled(agent, house, name, mailbox) {
  const consumer = `cancel-${name}`;
  const first = await agent.call('wait_for_event', { consumer, mailbox, start: 'now', timeout_secs: 0 });
  assert.deepEqual(first.events, []);
  const gone = new AbortController();
  const begun = Promise.withResolvers();
  const waiting = agent.call('wait_for_event', { consumer, mailbox, timeout_secs: 50 }, {
    signal: gone.signal,
    onprogress: begun.resolve,
  });
  await begun.promise;
  gone.abort();
  await assert.rejects(waiting);
  // The record tells how each call ended, so the house has let go of this one.
  await house.until(() => house.cancelled(consumer), 'the wait is ended');

  const before = (await house.standing(consumer)).lag.inbound ?? 0;
  await house.mailIn(mailbox, `After ${name}`, 'Nobody waits for this.\n');
  const { leased, waiting: again } = await house.until(async () => {
    const standing = await house.standing(consumer);
    return standing.lag.inbound > before && standing;
  }, 'the mail is in the log');
  assert.deepEqual([leased, again], [0, 0]);
}

/** No answer for 40 s by a client that gives up after 20 s without a word. */
export async function longWait(agent) {
  const beats = [];
  const began = performance.now();
  const wait = { after: 'now', thread_id: 'thr_never', timeout_secs: LONG_SECS };
  const waited = await agent.call('wait_for_event', wait, {
    timeout: CLIENT_TIMEOUT_MS,
    resetTimeoutOnProgress: true,
    onprogress: ({ progress }) => beats.push(progress),
  });
  assert.ok(waited.timed_out && performance.now() - began >= (LONG_SECS - 1) * 1000);
  assert.ok(beats.length >= 4, `${beats}`);
  assert.deepEqual(beats, [...beats].sort((one, other) => one - other));
}
