-- Messages that came by webhooks: their files, what still lies with their provider, and the key to it.

ALTER TABLE received_messages ADD COLUMN reply TEXT;   -- What the text says beyond what it quotes.
ALTER TABLE received_messages ADD COLUMN with_id TEXT; -- The provider's id of the message, where its API has more of it.
ALTER TABLE received_messages ADD COLUMN whole INTEGER NOT NULL DEFAULT 1; -- 0: the text still lies with the provider.

CREATE TABLE received_files (
    message INTEGER NOT NULL REFERENCES received_messages (id) ON DELETE CASCADE,
    place   INTEGER NOT NULL, -- Among the message's files, from 0.
    bytes   BLOB NOT NULL,    -- Decoded.
    PRIMARY KEY (message, place)
) STRICT;

ALTER TABLE sources ADD COLUMN api_key TEXT; -- For asking the provider's API.
