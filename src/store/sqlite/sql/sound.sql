(
    typeof(state) = 'integer' AND state IN (0, 1, 2)
    AND typeof(owner) = 'blob' AND length(owner) = 16
    AND typeof(fence) = 'integer' AND fence BETWEEN 1 AND 9223372036854775806
    AND typeof(attempt) = 'integer' AND attempt BETWEEN 1 AND 4294967295
    AND typeof(lease_until) = 'integer' AND lease_until >= 0
    AND typeof(expires_at) = 'integer' AND expires_at >= 0
    AND typeof(record) = 'blob' AND length(record) <= 64
)
