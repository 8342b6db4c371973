-- KEYS: the endpoint. ARGV: when, in ms. The first time stays. It does not expire: nobody has said that it is over.
redis.call("SET", KEYS[1], ARGV[1], "NX")
return true
