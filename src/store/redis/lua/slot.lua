-- The slot as it is. What this library never writes is an error, never a free slot.
local key = KEYS[1]
local state, owner, fence, attempt, lease, record =
    unpack(redis.call('HMGET', key, 's', 'o', 'f', 'a', 'l', 'r'))

local function whole(text, digits)
    return text and #text <= digits and text:match('^%d+$') and true
end

local sound = (state == '0' or state == '1' or state == '2')
    and owner and #owner == 16
    and whole(fence, 19)
    and whole(attempt, 10) and tonumber(attempt) <= 4294967295
    and whole(lease, 15)
    and (state == '2') == (record ~= false)
    and (not record or #record <= 64)

if not sound and redis.call('EXISTS', key) == 1 then
    return redis.error_reply('UNREADABLE a slot cannot be understood')
end
