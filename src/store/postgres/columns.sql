t.state, t.owner, t.fence, t.attempt, t.record,
t.expires_at > clock_timestamp() AS kept,
CASE
    WHEN t.lease_until > clock_timestamp() AND t.lease_until <= clock_timestamp() + {max_lease}
    THEN (extract(epoch FROM t.lease_until - clock_timestamp()) * 1000)::bigint
    ELSE 0
END AS lease_left,
{sound} AS sound
