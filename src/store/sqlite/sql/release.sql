-- ?1 slot, ?2 owner, ?3 fence, ?4 how long an idle slot is kept, in ms
UPDATE {table}
SET state = 0, lease_until = 0, expires_at = {now} + ?4
WHERE slot = ?1 AND owner = ?2 AND fence = ?3 AND state = 1 AND {sound}
