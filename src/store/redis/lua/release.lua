-- ARGV: owner, fence, how long an open slot is kept in ms
if state ~= '1' or owner ~= ARGV[1] or fence ~= ARGV[2] then
    return 0
end
redis.call('HSET', key, 's', '0')
redis.call('PEXPIRE', key, ARGV[3])
return 1
