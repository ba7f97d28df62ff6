-- A write, so that a database that only looks writable is found out.
UPDATE {table}_version SET version = version RETURNING version
