-- ARGV: owner, lease, how long an open slot is kept, longest lease to believe; times in ms
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if state == '2' then
    return { 'done', record }
end

local mine = state == '1' and owner == ARGV[1]
if state == '1' and not mine then
    local left = tonumber(lease) - now
    if left > 0 and left <= tonumber(ARGV[4]) then
        return { 'held', string.format('%.0f', left) }
    end
end

if not state then
    fence, attempt = '1', '1'
elseif not mine then
    -- First, because it is what can fail: nothing is written then.
    redis.call('HINCRBY', key, 'f', 1)
    -- As text: a number of Lua would round a large fence.
    fence = redis.call('HGET', key, 'f')
    attempt = string.format('%.0f', math.min(tonumber(attempt) + 1, 4294967295))
end
redis.call('HSET', key, 's', '1', 'o', ARGV[1], 'f', fence, 'a', attempt,
    'l', string.format('%.0f', now + ARGV[2]))
redis.call('PEXPIRE', key, ARGV[3])
return { 'granted', fence, attempt }
