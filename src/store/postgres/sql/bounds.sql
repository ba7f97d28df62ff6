-- A transaction that was paused must not lock the row for longer than a retry can wait. Shorter
-- bounds of the application's own stand.
SELECT set_config(name, {bound}::text, true)
FROM (VALUES ('lock_timeout'), ('idle_in_transaction_session_timeout')) AS bounds (name)
WHERE current_setting(name)::interval
    NOT BETWEEN interval '1 millisecond' AND interval '1 millisecond' * {bound};
