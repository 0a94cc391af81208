-- Whoever posts an event is asked whether an API's list has told of the same arrival before. Few sources have such a list, and of most
-- events no message has to be looked up among all others.
CREATE INDEX events_listed ON events (origin, message_id) WHERE auth = 'api';
