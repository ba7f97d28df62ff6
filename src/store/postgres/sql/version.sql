-- What the table is, and what stands in the way of writing to it.
SELECT
    named.id IS NOT NULL AS present,
    obj_description(named.id, 'pg_class') AS version,
    pg_is_in_recovery() AS standby,
    current_setting('transaction_read_only')::boolean AS read_only,
    current_user::text AS role,
    (
        SELECT string_agg(needed.name, ', ')
        FROM (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS needed (name)
        WHERE NOT has_table_privilege(named.id, needed.name)
    ) AS missing
FROM (SELECT to_regclass('{table}')::oid) AS named (id);
