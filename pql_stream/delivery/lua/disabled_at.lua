-- KEYS: the endpoint. Gives when it was disabled, in ms; false if it is not.
return redis.call("GET", KEYS[1])
