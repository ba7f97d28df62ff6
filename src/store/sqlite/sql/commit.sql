-- ?1 slot, ?2 owner, ?3 fence, ?4 record, ?5 retention in ms
UPDATE {table}
SET state = 2, lease_until = 0, expires_at = {now} + ?5, record = ?4
WHERE slot = ?1 AND owner = ?2 AND fence = ?3 AND state IN (1, 2) AND {sound}
