-- The upsert decides. The condition before it spares those who would lose anyway a write and a
-- flush, and keeps them from waiting for a row that a handler's transaction has locked.
INSERT INTO {table} AS t
    (slot, state, owner, fence, attempt, lease_until, record, expires_at)
SELECT
    {slot}, 1, {owner}, 1, 1,
    clock_timestamp() + {lease}, NULL, clock_timestamp() + {keep_fence}
WHERE NOT EXISTS (SELECT FROM {table} AS t WHERE t.slot = {slot} AND {taken})
ON CONFLICT (slot) DO UPDATE SET
    state = 1,
    owner = excluded.owner,
    fence = CASE
        WHEN t.state = 1 AND t.owner = excluded.owner THEN t.fence
        ELSE t.fence + 1
    END,
    attempt = CASE
        WHEN t.state = 1 AND t.owner = excluded.owner THEN t.attempt
        WHEN t.state = 2 THEN 1
        ELSE least(t.attempt, 2147483646) + 1
    END,
    lease_until = clock_timestamp() + {lease},
    record = NULL,
    expires_at = clock_timestamp() + {keep_fence}
WHERE {sound} AND NOT {taken}
RETURNING true AS applied, t.fence, t.attempt;
