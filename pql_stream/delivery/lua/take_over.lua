-- KEYS: partition, owner's name. ARGV: owner, its name, kept_ms.
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[3])
redis.call("SET", KEYS[2], ARGV[2], "PX", ARGV[3])
return true
