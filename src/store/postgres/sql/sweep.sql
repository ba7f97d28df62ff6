-- The clock of the statement finds its rows in the index, which the one that goes on cannot: every
-- row would be looked at.
DELETE FROM {table}
WHERE expires_at <= clock_timestamp() AND slot = ANY (ARRAY(
    SELECT t.slot FROM {table} AS t
    WHERE t.expires_at <= statement_timestamp() AND {sound}
    ORDER BY t.expires_at
    LIMIT {limit}
    FOR UPDATE SKIP LOCKED
))
RETURNING 1;
