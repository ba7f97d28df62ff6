-- Bytes as hex, because what a session makes of them in text is up to its settings.
SELECT
    false AS applied, t.state, encode(t.owner, 'hex') AS owner, t.fence, t.attempt,
    encode(t.record, 'hex') AS record,
    t.expires_at > clock_timestamp() AS kept,
    CASE
        WHEN t.lease_until <= clock_timestamp() THEN 0
        WHEN t.lease_until > clock_timestamp() + {max_lease} THEN 0
        ELSE (extract(epoch FROM t.lease_until - clock_timestamp()) * 1000)::bigint
    END AS lease_left
FROM {table} AS t
WHERE t.slot = {slot};
