-- ARGV: owner, fence, lease, how long an open slot is kept; times in ms
if state ~= '1' or owner ~= ARGV[1] or fence ~= ARGV[2] then
    return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', key, 'l', string.format('%.0f', now + ARGV[3]))
redis.call('PEXPIRE', key, ARGV[4])
return 1
