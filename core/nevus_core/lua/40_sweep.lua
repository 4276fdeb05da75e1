-- sweep(now, max_attempts, resend_ms, limit): everything whose time has come, at most `limit` of each kind.
-- Returns {resend, requeued, lost, timed_out, expired, purged}; `resend` lists ref, priority, ref, priority, ... of jobs
-- that need a message.
local function due(P, index, before, limit)
  return redis.call('ZRANGEBYSCORE', P .. index, '-inf', before, 'LIMIT', 0, limit)
end

local function sweep(keys, args)
  local P, limit = keys[1], args[4]
  local at = clock(args[1])
  local resend, requeued, lost, timed_out, expired, purged = {}, 0, 0, 0, 0, 0
  local function ring(ref)
    enqueue(P, ref, at)
    resend[#resend + 1] = ref
    resend[#resend + 1] = get(P, ref, 'priority')
  end

  for _, ref in ipairs(due(P, ':timeouts', at, limit)) do
    finish(P, ref, get(P, ref, 'state'), 'FAILED', at, 'failure', TIMED_OUT)
    timed_out = timed_out + 1
  end
  for _, ref in ipairs(due(P, ':leases', at, limit)) do
    local state, attempt = get(P, ref, 'state', 'attempt')
    release(P, ref)
    if state == 'CANCELLING' then
      finish(P, ref, state, 'CANCELLED', at)
    elseif tonumber(attempt) >= tonumber(args[2]) then
      finish(P, ref, state, 'FAILED', at, 'failure', LOST)
      lost = lost + 1
    else
      move(P, ref, state, 'QUEUED', '', at)
      count(P, 'requeued')
      requeued = requeued + 1
      ring(ref)
    end
  end
  for _, ref in ipairs(due(P, ':deadlines', at, limit)) do
    finish(P, ref, 'QUEUED', 'EXPIRED', at, 'failure', EXPIRED)
    expired = expired + 1
  end
  for _, ref in ipairs(due(P, ':queued', at - args[3], limit)) do ring(ref) end
  for _, ref in ipairs(due(P, ':expiry', at, limit)) do
    purge(P, ref)
    purged = purged + 1
  end
  redis.call('ZREMRANGEBYSCORE', P .. ':workers', '-inf', at)
  return {resend, requeued, lost, timed_out, expired, purged}
end
redis.register_function('sweep@VERSION@', sweep)
