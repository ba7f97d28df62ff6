-- Done, or held by another whose lease has not ended. A lease that ends too far ahead has ended: a
-- clock that stepped back must not lock a slot for hours.
CASE t.state
    WHEN 2 THEN t.expires_at > clock_timestamp()
    WHEN 1 THEN t.owner <> {owner}
        AND t.lease_until > clock_timestamp()
        AND t.lease_until <= clock_timestamp() + {max_lease}
    ELSE false
END
