-- KEYS: the endpoint. Gives 1 if it was disabled, else 0.
return redis.call("DEL", KEYS[1])
