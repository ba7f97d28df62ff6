-- ?1 slot, ?2 owner, ?3 lease, ?4 how long an idle slot is kept, ?5 the longest lease, in ms
INSERT INTO {table} (slot, state, owner, fence, attempt, lease_until, expires_at, record)
VALUES (?1, 1, ?2, 1, 1, {now} + ?3, {now} + ?4, x'')
ON CONFLICT (slot) DO UPDATE SET
    fence = CASE
        WHEN state = 1 AND owner = excluded.owner THEN fence
        ELSE fence + 1
    END,
    attempt = CASE
        WHEN state = 2 THEN 1
        WHEN state = 1 AND owner = excluded.owner THEN attempt
        ELSE min(attempt + 1, 4294967295)
    END,
    state = 1,
    owner = excluded.owner,
    lease_until = excluded.lease_until,
    expires_at = excluded.expires_at,
    record = x''
WHERE {sound} AND CASE state
    WHEN 0 THEN 1
    WHEN 1 THEN owner = excluded.owner OR lease_until <= {now} OR lease_until > {now} + ?5
    ELSE expires_at <= {now}
END
RETURNING fence, attempt
