-- KEYS: partition, list of repeats, their number, and row and parked of each.
-- ARGV: owner, kept_ms, and delivery, copy, state, whether it was there, detail of each.

local owner, kept_ms = ARGV[1], ARGV[2]

local function take_back(row, delivery)
  if row.noted == 0 then
    return
  end
  row.noted = row.noted - 1
  redis.call("LREM", KEYS[2], 1, delivery)
  if redis.call("EXISTS", KEYS[3]) == 1 then
    redis.call("DECR", KEYS[3])
  end
end

local function settle(key, parked, delivery, copy, state, was_there, detail)
  local row = rows[key]
  row.in_doubt = row.in_doubt or state == UNKNOWN
  if state == PENDING or state == UNKNOWN then
    row.state = row.in_doubt and UNKNOWN or PENDING
  else
    row.state = state
    redis.call("ZREM", parked, delivery)
  end
  if was_there then
    take_back(row, delivery)
  end
  row.copy, row.detail = math.max(row.copy, copy), detail
  changed[key] = true
end

for i = 4, #KEYS, 2 do
  row_of(KEYS[i])
end
local has_partition = redis.call("GET", KEYS[1]) == owner
local at = 3
for i = 4, #KEYS, 2 do
  local row, state = rows[KEYS[i]], tonumber(ARGV[at + 2])
  local may_write = has_partition or row.owner == owner or state == DELIVERED
  if may_write and row.state ~= DELIVERED then
    settle(KEYS[i], KEYS[i + 1], ARGV[at], tonumber(ARGV[at + 1]), state, ARGV[at + 3] == "1", ARGV[at + 4])
  end
  at = at + 5
end
write_rows(kept_ms)
return true
