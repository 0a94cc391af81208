-- Where the log skipped places, so that a number of events can be counted back without them. The gaps that are there already were
-- skipped the same way, a million places at a time or more. They are looked for without sorting: there may be millions of rows, and
-- little memory.

CREATE TABLE skipped (
    after  INTEGER PRIMARY KEY, -- The last place that was given before.
    places INTEGER NOT NULL     -- How many were skipped.
) STRICT;
INSERT INTO skipped (after, places)
    SELECT last, next - last - 1
    FROM (
        SELECT r.seq AS last,
            coalesce((SELECT min(seq) FROM removed_ids WHERE seq > r.seq), (SELECT min(seq) FROM events)) AS next
        FROM removed_ids r
        WHERE NOT EXISTS (SELECT 1 FROM removed_ids WHERE seq = r.seq + 1)
    )
    WHERE next - last > 1000000;
INSERT INTO skipped (after, places)
    SELECT last, next - last - 1
    FROM (
        SELECT e.seq AS last, (SELECT min(seq) FROM events WHERE seq > e.seq) AS next
        FROM events e
        WHERE NOT EXISTS (SELECT 1 FROM events WHERE seq = e.seq + 1)
    )
    WHERE next - last > 1000000;
-- After the newest event, where none has come since.
INSERT INTO skipped (after, places)
    SELECT newest, given - newest
    FROM (
        SELECT max(coalesce((SELECT max(seq) FROM events), 0), (SELECT tail - 1 FROM log)) AS newest,
            (SELECT seq FROM sqlite_sequence WHERE name = 'events') AS given
    )
    WHERE given > newest;
