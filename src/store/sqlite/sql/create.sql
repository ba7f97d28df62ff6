CREATE TABLE IF NOT EXISTS {table} (
    slot        BLOB    NOT NULL PRIMARY KEY CHECK (length(slot) = 32),
    state       INTEGER NOT NULL,
    owner       BLOB    NOT NULL,
    fence       INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    record      BLOB    NOT NULL,
    CHECK ({sound})
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS {table}_expires_at ON {table} (expires_at);
