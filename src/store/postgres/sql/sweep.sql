DELETE FROM {table}
WHERE expires_at <= clock_timestamp() AND slot = ANY (ARRAY(
    SELECT t.slot FROM {table} AS t
    WHERE t.expires_at <= clock_timestamp() AND {sound}
    ORDER BY t.expires_at
    LIMIT {limit}
    FOR UPDATE SKIP LOCKED
))
RETURNING 1;
