-- KEYS: partition, and row and parked of each. ARGV: owner, kept_ms, and delivery, copy, place of each.
-- Gives false if the partition is somebody else's.

local owner, kept_ms = ARGV[1], ARGV[2]

for i = 2, #KEYS, 2 do
  row_of(KEYS[i])
end
if not holds(KEYS[1], owner, kept_ms) then
  return false
end
local at = 3
for i = 2, #KEYS, 2 do
  local row, copy = rows[KEYS[i]], tonumber(ARGV[at + 1])
  if not is_over(row, copy) then
    row.in_doubt = row.in_doubt or row.state == SENDING
    row.state, row.copy = PARKED, copy
    changed[KEYS[i]] = true
    redis.call("ZADD", KEYS[i + 1], ARGV[at + 2], ARGV[at])
    redis.call("PEXPIRE", KEYS[i + 1], kept_ms)
  end
  at = at + 3
end
write_rows(kept_ms)
return true
