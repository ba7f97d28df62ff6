-- ?1 how many rows at most
DELETE FROM {table}
WHERE slot IN (
    SELECT slot FROM {table} WHERE expires_at <= {now} AND {sound} ORDER BY expires_at LIMIT ?1
)
