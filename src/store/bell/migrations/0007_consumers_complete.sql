-- Consumers, complete: threads in order, pauses before a retry, and what an operator is shown of who is at what.
--
-- Of a free row, lease_boot and lease_deadline_millis now say until when it is not handed out; null: at once.

ALTER TABLE claims ADD COLUMN thread_id TEXT;  -- Of the event: while a row is open, nothing later of its thread is handed out.
ALTER TABLE claims ADD COLUMN client TEXT;     -- What the holder's program calls itself.
ALTER TABLE claims ADD COLUMN since INTEGER;   -- Unix milliseconds: since when it is leased or parked; for people, not for deadlines.
-- Of parked: an agent escalated it, it was handed out too often without an ack, or the operator set it aside.
ALTER TABLE claims ADD COLUMN parked_by TEXT CHECK (parked_by IN ('agent', 'attempts', 'operator'));

UPDATE claims SET thread_id = (SELECT thread_id FROM events WHERE events.seq = claims.seq) WHERE state <> 'acked';
UPDATE claims SET parked_by = 'agent' WHERE state = 'parked';

CREATE INDEX claims_thread ON claims (consumer, thread_id, seq) WHERE state IN ('free', 'leased');
CREATE INDEX claims_parked ON claims (consumer, seq) WHERE state = 'parked';
