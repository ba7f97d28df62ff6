SELECT false AS applied, {columns}
FROM {table} AS t
WHERE t.slot = {slot};
