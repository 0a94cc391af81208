-- The console asks which deliveries told of a message's events, however long ago that was.
CREATE INDEX delivery_of_event ON delivery (event_id, seq);
