UPDATE {table} AS t
SET state = 0, lease_until = clock_timestamp(), expires_at = clock_timestamp() + {keep_fence}
WHERE t.slot = {slot} AND t.owner = {owner} AND t.fence = {fence} AND t.state = 1 AND {sound}
RETURNING true AS applied, t.fence, t.attempt;
