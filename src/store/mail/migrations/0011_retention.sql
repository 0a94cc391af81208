-- Which message has a raw file: what no message has is removed.
CREATE INDEX message_by_blob ON message (blob);
