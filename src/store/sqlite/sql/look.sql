-- ?1 slot
SELECT {sound}, state, max(lease_until - {now}, 0), expires_at > {now}, record
FROM {table}
WHERE slot = ?1
