-- How much room messages kept here take, counted along the way: to sum it up would be to read them all.
CREATE TABLE received_weight (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    messages   INTEGER NOT NULL,
    text_bytes INTEGER NOT NULL,
    file_bytes INTEGER NOT NULL
) STRICT;
INSERT INTO received_weight
SELECT 1, count(*), coalesce(sum(octet_length(body)), 0), (SELECT coalesce(sum(octet_length(bytes)), 0) FROM received_files)
FROM received_messages;

CREATE TRIGGER received_weight_of_new AFTER INSERT ON received_messages BEGIN
    UPDATE received_weight SET messages = messages + 1, text_bytes = text_bytes + octet_length(NEW.body);
END;
CREATE TRIGGER received_weight_of_changed AFTER UPDATE OF body ON received_messages BEGIN
    UPDATE received_weight SET text_bytes = text_bytes + octet_length(NEW.body) - octet_length(OLD.body);
END;
CREATE TRIGGER received_weight_of_removed AFTER DELETE ON received_messages BEGIN
    UPDATE received_weight SET messages = messages - 1, text_bytes = text_bytes - octet_length(OLD.body);
END;
CREATE TRIGGER received_weight_of_new_file AFTER INSERT ON received_files BEGIN
    UPDATE received_weight SET file_bytes = file_bytes + octet_length(NEW.bytes);
END;
CREATE TRIGGER received_weight_of_removed_file AFTER DELETE ON received_files BEGIN
    UPDATE received_weight SET file_bytes = file_bytes - octet_length(OLD.bytes);
END;

-- What was told is forgotten by when that was.
CREATE INDEX notice_letters_ended ON notice_letters (ended_at) WHERE ended_at IS NOT NULL;
