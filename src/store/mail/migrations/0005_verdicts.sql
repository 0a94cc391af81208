-- What SPF, DKIM and DMARC found of a message; no row where nobody looked.
CREATE TABLE verdict (
    seq     INTEGER PRIMARY KEY REFERENCES message (seq) ON DELETE CASCADE,
    verdict TEXT NOT NULL               -- JSON, as the API shows it
) STRICT;
