-- ARGV: owner, fence, record, how long it is kept in ms
if owner ~= ARGV[1] or fence ~= ARGV[2] then
    return 0
end
if state == '1' then
    redis.call('HSET', key, 's', '2', 'r', ARGV[3])
    redis.call('PEXPIRE', key, ARGV[4])
    return 1
end
-- Done by an earlier try of the same holder, or released.
return state == '2' and 1 or 0
