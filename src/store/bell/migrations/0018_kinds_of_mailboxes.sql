-- The kind before seq, which SQLite appends: the events of a mailbox, or of a domain, are read kind by kind, each from its own
-- place. With seq before the kind, a kind that a busy mailbox had long ago was looked for among all of its events.
DROP INDEX events_mailbox;
DROP INDEX events_domain;
CREATE INDEX events_mailbox ON events (mailbox, kind);
CREATE INDEX events_domain ON events (domain, kind);
