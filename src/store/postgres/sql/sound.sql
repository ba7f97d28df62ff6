-- What this library writes, and nothing else.
(
    t.state BETWEEN 0 AND 2
    AND octet_length(t.slot) = 32
    AND octet_length(t.owner) = 16
    AND t.fence > 0
    AND t.attempt > 0
    AND t.lease_until IS NOT NULL
    AND t.expires_at IS NOT NULL
    AND (t.state = 2) = (t.record IS NOT NULL)
    AND coalesce(octet_length(t.record), 0) <= {max_record}
)
