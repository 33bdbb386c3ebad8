-- Copies of what the database has said about an owner. Of each owner there is a
-- generation: 'G', the server's identity, a nonce; or, while somebody is changing
-- something of the owner, 'T' and how many are. Under a name there is a copy, 'C', or a
-- lease, 'L', each with the nonce of the generation that it belongs to.
local GENERATION_LASTS = 330000 -- milliseconds: longer than what belongs to it
local LEASE_LASTS = 30000

-- Returns the nonce of the generation, nil if there is none of this server in this
-- life, or false if somebody is changing something.
local function generation_of(key, identity)
  local kept = redis.call('GET', key)
  if not kept then
    return nil
  end
  if string.sub(kept, 1, 1) == 'T' then
    return false
  end
  local is_ours = #kept == 25 and string.sub(kept, 2, 9) == identity
  return is_ours and string.sub(kept, 10) or nil
end

-- Returns 'C' or 'L' and what follows it, if it belongs to the generation: eight bytes
-- at least.
local function kept_under(name, generation)
  local kept = redis.call('GET', name)
  if kept and #kept >= 25 and string.sub(kept, 2, 17) == generation then
    return string.sub(kept, 1, 1), string.sub(kept, 18)
  end
end

-- Returns the generation and a lease. Several who ask at once share one, else none of
-- them would ever come to keep what is asked for all the time.
local function lease(generation_key, name, identity, generation, nonce)
  if not generation then
    generation = nonce
  end
  redis.call('SET', generation_key, 'G' .. identity .. generation, 'PX', GENERATION_LASTS)
  local kind, shared = kept_under(name, generation)
  if kind == 'L' then
    return generation, shared
  end
  redis.call('SET', name, 'L' .. generation .. nonce, 'PX', LEASE_LASTS)
  return generation, nonce
end
