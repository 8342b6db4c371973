-- KEYS: list of repeats, their number. Gives both.
return {redis.call("GET", KEYS[2]), redis.call("LRANGE", KEYS[1], 0, -1)}
