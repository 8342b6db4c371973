-- KEYS: row and parked of each. ARGV: what the keys of rows and of owners' names begin with.
-- Gives for each: row, first parked delivery, name of the row's owner; false where there is none.

local row_prefix, name_prefix = ARGV[1], ARGV[2]
local heads, found = {}, {}

-- A delivery whose row is gone, expired or evicted, must not hold its lead back for ever.
local function head_of(parked)
  if heads[parked] == nil then
    local head = redis.call("ZRANGE", parked, 0, 0)[1]
    while head and redis.call("EXISTS", row_prefix .. head) == 0 do
      redis.call("ZREM", parked, head)
      head = redis.call("ZRANGE", parked, 0, 0)[1]
    end
    heads[parked] = head or false
  end
  return heads[parked]
end

for i = 1, #KEYS, 2 do
  local row = row_of(KEYS[i])
  found[#found + 1] = redis.call("GET", KEYS[i])
  found[#found + 1] = head_of(KEYS[i + 1])
  found[#found + 1] = row.owner ~= NOBODY and redis.call("GET", name_prefix .. row.owner)
end
return found
