-- ?1 slot, ?2 owner, ?3 fence, ?4 lease, ?5 how long an idle slot is kept, in ms
UPDATE {table}
SET lease_until = {now} + ?4, expires_at = {now} + ?5
WHERE slot = ?1 AND owner = ?2 AND fence = ?3 AND state = 1 AND {sound}
