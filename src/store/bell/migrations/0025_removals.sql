-- The ids of removed events are forgotten in the order of event_ids, many at once, and by their places: when those were removed is all
-- that is to be known of them, to an hour.

CREATE TABLE removals (
    first      INTEGER PRIMARY KEY, -- The first place that was removed within an hour of the clock.
    through    INTEGER NOT NULL,    -- The last.
    removed_at INTEGER NOT NULL     -- When that was, in Unix milliseconds.
) STRICT;
-- By the last of each 512 places, which takes no sorting, and by those that have no other after them.
INSERT OR REPLACE INTO removals (first, through, removed_at)
    SELECT max(seq - seq % 512, (SELECT min(seq) FROM removed_ids)), seq, removed_at
    FROM removed_ids r
    WHERE seq % 512 = 511 OR NOT EXISTS (SELECT 1 FROM removed_ids WHERE seq = r.seq + 1)
    ORDER BY seq;
DROP TABLE removed_ids;
