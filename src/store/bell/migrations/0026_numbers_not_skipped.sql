-- Where messages are is kept for so many of them, counted back from the newest one's number: that skips no numbers any more, and those
-- that were skipped since are given after all.
UPDATE sqlite_sequence SET seq = coalesce((SELECT max(id) FROM message_mailboxes), 0) WHERE name = 'message_mailboxes';
