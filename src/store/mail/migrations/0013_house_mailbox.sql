-- The mailbox from which the house writes to its operator. It is nobody's: no list shows it, and nothing is told of it.
ALTER TABLE mailbox ADD COLUMN of_house INTEGER NOT NULL DEFAULT 0 CHECK (of_house IN (0, 1));
