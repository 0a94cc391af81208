-- How far agents may go is the bell wing's to keep, once, and not a mailbox's setting here.
ALTER TABLE mailbox_settings DROP COLUMN oversight_mode;

-- Hosts, with their ports, that an operator has let a webhook be sent to, though the settings do not list them.
CREATE TABLE approved_host (
    host TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
