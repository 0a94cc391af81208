// The use case's handler in Express, made durable with better-sqlite3: the answer is sent after the commit.

import { createHmac, timingSafeEqual } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.NODE_MODULES, "here.js"));
const express = require("express");
const Database = require("better-sqlite3");

const database = new Database(join(process.env.DATA_DIR, "events.db"));
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.exec(`
  CREATE TABLE events (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, kind TEXT, mailbox TEXT, thread TEXT, body BLOB);
  CREATE INDEX by_mailbox ON events (mailbox, seq);
  CREATE INDEX by_kind ON events (kind, seq);
`);
const insert = database.prepare(
  "INSERT INTO events (event_id, kind, mailbox, thread, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
);

const app = express();
app.post("/hooks/multimail", express.raw({ type: "*/*" }), (request, response) => {
  const expected = Buffer.from(createHmac("sha256", process.env.WEBHOOK_SECRET).update(request.body).digest("hex"));
  const told = Buffer.from(request.get("x-multimail-signature") ?? "");
  if (told.length !== expected.length || !timingSafeEqual(told, expected)) {
    return response.status(401).json({ error: "wrong signature" });
  }
  const event = JSON.parse(request.body);
  const { changes } = insert.run(event.event_id, event.event_type, event.mailbox, event.thread_id, request.body);
  response.json({ new: changes === 1 });
});

const server = app.listen(0, "127.0.0.1", 1024, () => {
  console.log(`http://127.0.0.1:${server.address().port}/hooks/multimail`);
});
process.on("SIGTERM", () => process.exit(0));
