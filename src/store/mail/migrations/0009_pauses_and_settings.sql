-- Owed to a webhook that is off: its time goes on, and no line knows of it until the webhook is on again.
ALTER TABLE delivery ADD COLUMN paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1));
DROP INDEX delivery_pending;
CREATE INDEX delivery_pending ON delivery (line_id, seq) WHERE state = 'pending' AND paused = 0;
CREATE INDEX delivery_paused ON delivery (expires_at) WHERE state = 'pending' AND paused = 1;

-- 1: a report on another message, which told what it reports by an event of its own.
ALTER TABLE message ADD COLUMN report INTEGER NOT NULL DEFAULT 0 CHECK (report IN (0, 1));

ALTER TABLE mailbox_settings ADD COLUMN webhook_id TEXT;             -- what `webhook_url` made; its row has the URL
ALTER TABLE mailbox_settings ADD COLUMN oversight_webhook_url TEXT;
ALTER TABLE mailbox_settings ADD COLUMN default_gate_timing TEXT;    -- gate_first or schedule_first
ALTER TABLE mailbox_settings ADD COLUMN scheduling_enabled INTEGER NOT NULL DEFAULT 1 CHECK (scheduling_enabled IN (0, 1));
ALTER TABLE mailbox_settings ADD COLUMN ai_disclosure INTEGER NOT NULL DEFAULT 0 CHECK (ai_disclosure IN (0, 1));
ALTER TABLE mailbox_settings ADD COLUMN mcp_configured INTEGER NOT NULL DEFAULT 1 CHECK (mcp_configured IN (0, 1));
