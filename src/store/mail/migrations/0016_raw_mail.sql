-- The raw bytes of small messages, written in the transaction of their message; larger ones, and those from before, are
-- files. Two messages with the same bytes share a row.
CREATE TABLE raw (
    id    INTEGER PRIMARY KEY,
    name  TEXT NOT NULL UNIQUE,         -- the SHA-256 in hexadecimal, as in message.blob
    bytes BLOB NOT NULL
) STRICT;

-- They go with the last message that has them, however that goes.
CREATE TRIGGER raw_of_removed AFTER DELETE ON message BEGIN
    DELETE FROM raw WHERE name = OLD.blob AND NOT EXISTS (SELECT 1 FROM message WHERE blob = OLD.blob);
END;
CREATE TRIGGER raw_of_rewritten AFTER UPDATE OF blob ON message WHEN NEW.blob <> OLD.blob BEGIN
    DELETE FROM raw WHERE name = OLD.blob AND NOT EXISTS (SELECT 1 FROM message WHERE blob = OLD.blob);
END;
