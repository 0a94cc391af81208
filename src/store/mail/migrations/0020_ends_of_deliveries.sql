-- A delivery's end on the running time is set when it is made, and not by writing it again at the worker's next look: a day, and what may
-- have passed since the look before.
UPDATE delivery SET expires_at = (SELECT millis FROM running_time WHERE id = 1) + 86400000 + 90000
WHERE state = 'pending' AND expires_at IS NULL;
DROP INDEX delivery_unlooked;
