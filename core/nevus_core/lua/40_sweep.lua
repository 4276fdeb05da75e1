-- sweep(now, sweeper, lock_ms, max_attempts, lost_ms, limit, leases, form): everything whose time has come, at most `limit` of
-- each kind, by one sweeper at a time. `leases` is '0' while the broker has just been away and took the heartbeats with it.
-- A job that needs a message gets it here, in the step that makes it wait: `form` with @ID@, @TAG@, @REF@ and @QUEUE@ filled in
-- ('': none). Returns {sent, requeued, lost, timed_out, expired, purged, damaged}, or {} where another sweeper is at it; `sent`
-- lists ref, queue, ref, queue, ... of those jobs.
local function due(P, index, before, limit)
  return redis.call('ZRANGEBYSCORE', P .. index, '-inf', before, 'LIMIT', 0, limit)
end

local function end_lease(P, ref, at, max_attempts)
  local job = read(P, ref, 'queue_ttl_ms')
  if job.state == 'CANCELLING' then
    finish(P, job, 'CANCELLED', at)
    return nil
  end
  if tonumber(job.attempt) >= max_attempts then
    finish(P, job, 'FAILED', at, 'failure', LOST)
    return 'lost'
  end
  move(P, job, 'QUEUED', '', at, {'queue', 'suspect', 'deadline_ms', at + job.queue_ttl_ms})
  release(P, job)
  redis.call('ZADD', P .. ':queued:suspect', at, ref)
  redis.call('ZADD', P .. ':deadlines', at + job.queue_ttl_ms, ref)
  count(P, 'requeued')
  return 'requeued'
end

-- Jobs of a queue whose message is gone: the queue's list is empty, or jobs that were sent later have been claimed. Both
-- only where the message is older than `lost_ms`, for one on its way to a thread is in no list either.
local function without_message(P, queue, at, lost_ms, limit)
  local before = at - lost_ms
  if redis.call('LLEN', messages(P, queue)) > 0 then
    before = math.min(before, tonumber(redis.call('HGET', P .. ':reached', queue) or 0) - lost_ms)
  end
  return due(P, ':queued:' .. queue, before, limit)
end

local function sweep(keys, args)
  local P, limit = keys[1], args[6]
  local at = clock(args[1])
  local holder = redis.call('GET', P .. ':sweeper')
  if holder and holder ~= args[2] then return {} end
  redis.call('SET', P .. ':sweeper', args[2], 'PX', args[3])

  local sent, done = {}, {requeued = 0, lost = 0, timed_out = 0, expired = 0, purged = 0, damaged = 0}
  local function ring(ref, queue)
    if args[8] ~= '' then
      local id = 'again ' .. at .. ' ' .. ref
      local words = {['@ID@'] = id, ['@TAG@'] = id, ['@REF@'] = ref, ['@QUEUE@'] = P .. '.' .. queue}
      redis.call('LPUSH', messages(P, queue), (string.gsub(args[8], '@%u+@', words)))
    end
    sent[#sent + 1] = ref
    sent[#sent + 1] = queue
  end
  -- A record that can't be moved (somebody changed it by hand) must not stop the sweeping of all others.
  local function each(index, act)
    for _, ref in ipairs(due(P, index, at, limit)) do
      if not pcall(act, ref) then
        for _, clock_of in ipairs({index, ':deadlines', ':leases', ':timeouts'}) do redis.call('ZREM', P .. clock_of, ref) end
        done.damaged = done.damaged + 1
      end
    end
  end
  each(':timeouts', function(ref)
    finish(P, read(P, ref), 'FAILED', at, 'failure', TIMED_OUT)
    done.timed_out = done.timed_out + 1
  end)
  if args[7] == '1' then
    each(':leases', function(ref)
      local outcome = end_lease(P, ref, at, tonumber(args[4]))
      if outcome then done[outcome] = done[outcome] + 1 end
      if outcome == 'requeued' then ring(ref, 'suspect') end
    end)
  end
  each(':deadlines', function(ref)
    finish(P, read(P, ref), 'EXPIRED', at, 'failure', EXPIRED)
    done.expired = done.expired + 1
  end)
  for _, queue in ipairs(QUEUES) do
    for _, ref in ipairs(without_message(P, queue, at, args[5], limit)) do
      if get(P, ref, 'state') then
        redis.call('ZADD', P .. ':queued:' .. queue, at, ref)
        ring(ref, queue)
      else
        redis.call('ZREM', P .. ':queued:' .. queue, ref)
      end
    end
  end
  each(':letters', function(ref) drop_letter(P, read(P, ref) or {ref = ref}) end)
  each(':expiry', function(ref)
    purge(P, ref)
    done.purged = done.purged + 1
  end)
  redis.call('ZREMRANGEBYSCORE', P .. ':workers', '-inf', at)
  return {sent, done.requeued, done.lost, done.timed_out, done.expired, done.purged, done.damaged}
end
redis.register_function('sweep@VERSION@', sweep)
