-- Rows of the ledger: what `Row` of ledger.py says, in 20 bytes and the detail (redis_rows.py has the layout).
-- A row is read once, changed as often as the batch asks, and written once, at the end. All are read before anything
-- is written, so a row of another version stops a script that has done nothing yet.

local PENDING, SENDING, DELIVERED, SUPERSEDED, UNKNOWN, REFUSED, PARKED = 0, 1, 2, 3, 4, 5, 6
local VERSION = 1
local LAYOUT, LAYOUT_BYTES = ">BBI4I6c8", 20
local NOBODY = string.rep("\0", 8)

local rows, changed = {}, {}

local function row_of(key)
  if rows[key] then
    return rows[key]
  end
  local row = {state = PENDING, in_doubt = false, noted = 0, copy = 0, at_ms = 0, owner = NOBODY, detail = ""}
  local text = redis.call("GET", key)
  if text then
    if #text < LAYOUT_BYTES or math.floor(string.byte(text) / 16) ~= VERSION then
      error("PQLROW")
    end
    local head, after
    head, row.noted, row.copy, row.at_ms, row.owner, after = struct.unpack(LAYOUT, text)
    row.state = head % 8
    row.in_doubt = head % 16 >= 8
    row.detail = string.sub(text, after)
  end
  rows[key] = row
  return row
end

local function is_over(row, copy)
  if row.state == DELIVERED or row.state == SUPERSEDED then
    return true
  end
  return row.copy > copy or (row.state == REFUSED and row.copy == copy)
end

local function write_rows(kept_ms)
  for key in pairs(changed) do
    local row = rows[key]
    local head = VERSION * 16 + (row.in_doubt and 8 or 0) + row.state
    local text = struct.pack(LAYOUT, head, row.noted, row.copy, row.at_ms, row.owner) .. row.detail
    redis.call("SET", key, text, "PX", kept_ms)
  end
end

-- Is the partition the owner's? One that nobody has becomes it.
local function holds(partition, owner, kept_ms)
  local holder = redis.call("GET", partition)
  if holder and holder ~= owner then
    return false
  end
  redis.call("SET", partition, owner, "PX", kept_ms)
  return true
end
