-- Within a savepoint a row has the number of that, and not of its transaction.
UPDATE {table} AS t
SET state = 2, record = {record}, expires_at = clock_timestamp() + {retain}
WHERE t.slot = {slot} AND t.owner = {owner} AND t.fence = {fence} AND t.state = 1 AND {sound}
RETURNING true AS applied, t.fence, t.attempt,
    t.xmin::text::bigint <> txid_current() % 4294967296 AS nested;
