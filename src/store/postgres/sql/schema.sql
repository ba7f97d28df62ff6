CREATE TABLE {table} (
    slot bytea PRIMARY KEY,
    state smallint NOT NULL,        -- 0 released, 1 held, 2 done
    owner bytea NOT NULL,
    fence bigint NOT NULL,
    attempt integer NOT NULL,
    lease_until timestamptz NOT NULL,
    record bytea,                   -- only when done
    expires_at timestamptz NOT NULL
);
CREATE INDEX {index} ON {table} (expires_at);
COMMENT ON TABLE {table} IS '{version}';
