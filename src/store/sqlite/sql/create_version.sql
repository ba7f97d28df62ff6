CREATE TABLE IF NOT EXISTS {table}_version (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    version  INTEGER NOT NULL
) STRICT;

INSERT OR IGNORE INTO {table}_version VALUES (1, {version});
