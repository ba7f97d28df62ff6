-- Takes the lock of a writer, so that a database that only looks writable is found out. What changes
-- nothing is not written to the disk: whether that has room is for a claim to find.
UPDATE {table}_version SET version = version RETURNING version
