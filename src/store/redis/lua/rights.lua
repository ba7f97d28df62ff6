-- The commands of the steps that this user may not run. A server before Redis 7 cannot tell.
local lacking, key = {}, KEYS[1]
local needed = {
    { 'TIME' },
    { 'EXISTS', key },
    { 'HGET', key, 'f' },
    { 'HMGET', key, 'f' },
    { 'HSET', key, 'f', '1' },
    { 'HINCRBY', key, 'f', '1' },
    { 'PEXPIRE', key, '1' },
}
for _, command in ipairs(redis.acl_check_cmd and needed or {}) do
    if not redis.acl_check_cmd(unpack(command)) then
        table.insert(lacking, command[1])
    end
end
return lacking
