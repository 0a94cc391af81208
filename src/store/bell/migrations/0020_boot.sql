-- The boot of the machine in which the latest keeper's term began. What was written last may be seen before it is on the disk, and a
-- power loss may take it: the first term of another boot skips some places, so that none is given twice.
CREATE TABLE boot (
    only    INTEGER PRIMARY KEY CHECK (only = 1), -- There is one row.
    boot_id TEXT NOT NULL
) STRICT;
