UPDATE {table} AS t
SET lease_until = clock_timestamp() + {lease}, expires_at = clock_timestamp() + {keep_fence}
WHERE t.slot = {slot} AND t.owner = {owner} AND t.fence = {fence} AND t.state = 1 AND {sound}
RETURNING true AS applied, t.fence, t.attempt;
