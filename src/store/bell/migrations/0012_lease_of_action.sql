-- The lease under which a change was asked for: it runs on while the change waits for an operator.

ALTER TABLE actions ADD COLUMN lease TEXT; -- A token in claims; stale once another lease has overwritten it there.
CREATE INDEX actions_lease ON actions (lease) WHERE lease IS NOT NULL;
