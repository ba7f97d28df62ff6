SELECT
    to_regclass('{table}') IS NOT NULL AS present,
    obj_description(to_regclass('{table}'), 'pg_class') AS version;
