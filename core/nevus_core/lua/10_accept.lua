-- accept(now, ref, request_key, digest, image, options, size_bytes, priority, queue_ttl_ms, execution_timeout_ms,
--        result_ttl_ms, letter_ttl_ms, max_queued, max_queued_tenant, max_bytes, max_bytes_tenant, model, message)
-- The image's bytes lie under their key already; the Celery message goes into its queue with the record, or neither does
-- (none is sent where it is ''). Returns
--   {'ACCEPTED', now} | {'REPEATED', id} | {'REUSED', id} | {'NO_IMAGE'}
--   | {'QUEUE_FULL', queued} | {'QUEUE_QUOTA', queued} | {'STORE_FULL', bytes} | {'STORE_QUOTA', bytes}.
local function accept(keys, args)
  local P, ref, request, size = keys[1], args[2], args[3], tonumber(args[7])
  local at, tenant = clock(args[1]), tenant_of(args[2])
  local function refuse(...)
    redis.call('DEL', P .. ':image:' .. ref)
    return {...}
  end
  -- Said before, and the answer did not arrive. The image has just been written again, with an expiry: it stays as long
  -- as it would have.
  local created, state = get(P, ref, 'created_ms', 'state')
  if created then
    local kept = next(MOVES[state]) or redis.call('ZSCORE', P .. ':letters', ref)
    redis.call(kept and 'PERSIST' or 'DEL', P .. ':image:' .. ref)
    return {'ACCEPTED', tonumber(created)}
  end
  if request ~= '' then
    local seen = redis.call('GET', request)
    if seen then
      local digest, id = string.match(seen, '^(%S+) (%S+)$')
      return refuse(digest == args[4] and 'REPEATED' or 'REUSED', id)
    end
  end
  local waiting = redis.call('ZCARD', P .. ':deadlines')
  local own = redis.call('ZCARD', P .. ':jobs:' .. tenant .. ':QUEUED')
  if waiting >= tonumber(args[13]) then return refuse('QUEUE_FULL', waiting) end
  if own >= tonumber(args[14]) then return refuse('QUEUE_QUOTA', own) end
  local bytes, own_bytes = unpack(redis.call('HMGET', P .. ':bytes', '*', tenant))
  if (tonumber(bytes) or 0) + size > tonumber(args[15]) then return refuse('STORE_FULL', bytes or 0) end
  if (tonumber(own_bytes) or 0) + size > tonumber(args[16]) then return refuse('STORE_QUOTA', own_bytes or 0) end
  -- Gone before its record came: an evicting broker must not turn it into a job that can never run.
  if redis.call('PERSIST', P .. ':image:' .. ref) == 0 then return refuse('NO_IMAGE') end

  local queue = args[8]
  move(P, {ref = ref, revision = 0, created_ms = at}, 'QUEUED', '', at, {
    'attempt', 0, 'created_ms', at, 'request_key', request, 'image', args[5], 'options', args[6], 'size_bytes', size,
    'counted', 1, 'priority', queue, 'queue', queue, 'queue_ttl_ms', args[9], 'deadline_ms', at + args[9],
    'execution_timeout_ms', args[10],
    'result_ttl_ms', args[11], 'letter_ttl_ms', args[12], 'model', args[17],
  })
  if request ~= '' then redis.call('SET', request, args[4] .. ' ' .. id_of(ref)) end
  redis.call('ZADD', P .. ':jobs:' .. tenant, at, id_of(ref))
  redis.call('ZADD', P .. ':deadlines', at + args[9], ref)
  redis.call('ZADD', P .. ':queued:' .. queue, at, ref)
  weigh(P, tenant, size)
  count(P, 'accepted')
  if args[18] ~= '' then redis.call('LPUSH', messages(P, queue), args[18]) end
  return {'ACCEPTED', at}
end
redis.register_function('accept@VERSION@', accept)
