-- accept(now, ref, request_key, digest, image, options, priority, queue_ttl_ms, execution_timeout_ms, result_ttl_ms,
--        max_queued, max_queued_tenant)
-- The image's bytes lie under their key already. Returns
--   {'ACCEPTED', now} | {'REPEATED', id} | {'REUSED', id} | {'FULL', queued} | {'QUOTA', queued} | {'NO_IMAGE'}.
local function accept(keys, args)
  local P, ref, request = keys[1], args[2], args[3]
  local at = clock(args[1])
  local function refuse(...)
    redis.call('DEL', P .. ':image:' .. ref)
    return {...}
  end
  if request ~= '' then
    local seen = redis.call('GET', request)
    if seen then
      local digest, id = string.match(seen, '^(%S+) (%S+)$')
      return refuse(digest == args[4] and 'REPEATED' or 'REUSED', id)
    end
  end
  local queued = redis.call('ZCARD', P .. ':queued')
  if queued >= tonumber(args[11]) then return refuse('FULL', queued) end
  local tenant = tenant_of(ref)
  local own = redis.call('ZCARD', P .. ':jobs:' .. tenant .. ':QUEUED')
  if own >= tonumber(args[12]) then return refuse('QUOTA', own) end
  -- Gone before its record came: an evicting broker must not turn it into a job that can never run.
  if redis.call('PERSIST', P .. ':image:' .. ref) == 0 then return refuse('NO_IMAGE') end

  redis.call('HSET', P .. ':job:' .. ref, 'revision', 0, 'attempt', 0, 'created_ms', at, 'request_key', request,
    'image', args[5], 'options', args[6], 'priority', args[7], 'execution_timeout_ms', args[9],
    'result_ttl_ms', args[10])
  if request ~= '' then redis.call('SET', request, args[4] .. ' ' .. id_of(ref)) end
  redis.call('ZADD', P .. ':jobs:' .. tenant, at, id_of(ref))
  redis.call('ZADD', P .. ':deadlines', at + args[8], ref)
  enqueue(P, ref, at)
  count(P, 'accepted')
  move(P, ref, nil, 'QUEUED', '', at)
  return {'ACCEPTED', at}
end
redis.register_function('accept@VERSION@', accept)
