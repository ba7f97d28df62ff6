-- Bytes as hex, because what a session makes of them in text is up to its settings.
t.state, encode(t.owner, 'hex') AS owner, t.fence, t.attempt, encode(t.record, 'hex') AS record,
t.expires_at > clock_timestamp() AS kept,
CASE
    WHEN t.lease_until > clock_timestamp() AND t.lease_until <= clock_timestamp() + {max_lease}
    THEN (extract(epoch FROM t.lease_until - clock_timestamp()) * 1000)::bigint
    ELSE 0
END AS lease_left,
{sound} AS sound
