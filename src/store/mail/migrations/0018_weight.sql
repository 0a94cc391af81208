-- How much there is, counted along the way: to sum it up would be to walk it all.
CREATE TABLE weight (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    message_bytes INTEGER NOT NULL,     -- of the raw bytes of all messages
    suppressions  INTEGER NOT NULL
) STRICT;
INSERT INTO weight
SELECT 1, coalesce(sum(size_bytes), 0), (SELECT count(*) FROM suppression) FROM message;

CREATE TRIGGER weight_of_new_message AFTER INSERT ON message BEGIN
    UPDATE weight SET message_bytes = message_bytes + NEW.size_bytes;
END;
CREATE TRIGGER weight_of_changed_message AFTER UPDATE OF size_bytes ON message BEGIN
    UPDATE weight SET message_bytes = message_bytes + NEW.size_bytes - OLD.size_bytes;
END;
CREATE TRIGGER weight_of_removed_message AFTER DELETE ON message BEGIN
    UPDATE weight SET message_bytes = message_bytes - OLD.size_bytes;
END;
CREATE TRIGGER weight_of_new_suppression AFTER INSERT ON suppression BEGIN
    UPDATE weight SET suppressions = suppressions + 1;
END;
CREATE TRIGGER weight_of_removed_suppression AFTER DELETE ON suppression BEGIN
    UPDATE weight SET suppressions = suppressions - 1;
END;
