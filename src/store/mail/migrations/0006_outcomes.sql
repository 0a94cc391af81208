-- What became of a message for each recipient, so that the message itself can tell; and its own choice of tracking.

ALTER TABLE recipient ADD COLUMN delivered_at INTEGER;  -- the first delivery that was told, Unix milliseconds
ALTER TABLE recipient ADD COLUMN bounced_at   INTEGER;  -- the bounce that counts: hard before soft, then the latest
ALTER TABLE recipient ADD COLUMN bounce_type  TEXT CHECK (bounce_type IN ('hard', 'soft'));

ALTER TABLE outbound ADD COLUMN track_opens INTEGER CHECK (track_opens IN (0, 1));  -- NULL: as its mailbox has it
