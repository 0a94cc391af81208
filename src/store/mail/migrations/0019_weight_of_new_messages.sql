-- What stores messages adds their weight itself, once for all that it stores: with a trigger for each row, SQLite puts all rows of
-- a statement, texts and all, into a table of its own first.
DROP TRIGGER weight_of_new_message;
