-- KEYS: partition, list of repeats, their number, owner's name, and a row each.
-- ARGV: owner, its name, at_ms, how many to list, kept_ms, and of each: delivery, copy, whether to note a repeat.
-- Gives a letter each: first, again, none; false if the partition is somebody else's.

local owner, at_ms, kept_ms = ARGV[1], tonumber(ARGV[3]), ARGV[5]
local listed_max = tonumber(ARGV[4])

local function note(row, delivery)
  row.noted = math.min(row.noted + 1, 255)
  redis.call("RPUSH", KEYS[2], delivery)
  redis.call("LTRIM", KEYS[2], -listed_max, -1)
  redis.call("INCR", KEYS[3])
  redis.call("PEXPIRE", KEYS[2], kept_ms)
  redis.call("PEXPIRE", KEYS[3], kept_ms)
end

local function claim(key, delivery, copy, notes)
  local row = row_of(key)
  if is_over(row, copy) then
    return "n"
  end
  if row.state == SENDING and row.owner == owner and row.at_ms == at_ms then
    return row.in_doubt and "a" or "f"
  end
  row.in_doubt = row.in_doubt or row.state == SENDING
  row.state, row.owner, row.at_ms, row.copy, row.detail = SENDING, owner, at_ms, copy, ""
  changed[key] = true
  if row.in_doubt and notes then
    note(row, delivery)
  end
  return row.in_doubt and "a" or "f"
end

for i = 5, #KEYS do
  row_of(KEYS[i])
end
if not holds(KEYS[1], owner, kept_ms) then
  return false
end
redis.call("SET", KEYS[4], ARGV[2], "PX", kept_ms)
local grants = {}
for i = 5, #KEYS do
  local at = 3 * i - 9
  grants[#grants + 1] = claim(KEYS[i], ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2] == "1")
end
write_rows(kept_ms)
return table.concat(grants)
