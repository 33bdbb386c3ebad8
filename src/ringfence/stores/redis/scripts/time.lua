local clock = redis.call('TIME'); local now = clock[1] + clock[2] / 1000000
