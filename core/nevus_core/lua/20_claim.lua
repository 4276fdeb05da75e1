-- claim(now, ref, worker, lease_ms, alone, models, claim): QUEUED to RUNNING with the next attempt and a lease. A suspect (its worker
-- died) is given only to a worker that does nothing beside it (`alone` is '1'), a job only to a worker that holds its
-- model (`models` is '|name@version|name@version|'). `claim` is a name for this call: made again because its answer did not
-- arrive, it is answered as before, while a second message for the job finds it taken.
-- Returns {'CLAIMED', attempt, created_ms, at, image, options} | {'GONE'} | {'EXPIRED'} | {'TAKEN', state} | {'SUSPECT'}
--   | {'OTHER'}.
local function claim(keys, args)
  local P, ref = keys[1], args[2]
  local at = clock(args[1])
  local state, queue, created, image, options, timeout, model, claimed =
    get(P, ref, 'state', 'queue', 'created_ms', 'image', 'options', 'execution_timeout_ms', 'model', 'claim')
  if not state then return {'GONE'} end
  if state == 'RUNNING' and claimed == args[7] then
    local attempt, started = get(P, ref, 'attempt', 'started_ms')
    return {'CLAIMED', tonumber(attempt), tonumber(created), tonumber(started), image, options}
  end
  if state ~= 'QUEUED' then return {'TAKEN', state} end
  if not string.find(args[6], '|' .. model .. '|', 1, true) then return {'OTHER'} end
  if queue == 'suspect' and args[5] ~= '1' then return {'SUSPECT'} end
  local deadline = redis.call('ZSCORE', P .. ':deadlines', ref)
  if deadline and at >= tonumber(deadline) then
    finish(P, ref, 'QUEUED', 'EXPIRED', at, 'failure', EXPIRED)
    return {'EXPIRED'}
  end
  local sent = tonumber(redis.call('ZSCORE', P .. ':queued:' .. queue, ref))
  if sent > tonumber(redis.call('HGET', P .. ':reached', queue) or 0) then
    redis.call('HSET', P .. ':reached', queue, sent)
  end
  release(P, ref)
  local attempt = redis.call('HINCRBY', P .. ':job:' .. ref, 'attempt', 1)
  redis.call('HSET', P .. ':job:' .. ref, 'worker', args[3], 'claim', args[7], 'started_ms', at)
  redis.call('ZADD', P .. ':leases', at + args[4], ref)
  redis.call('ZADD', P .. ':timeouts', at + timeout, ref)
  move(P, ref, 'QUEUED', 'RUNNING', 'DECODING', at)
  return {'CLAIMED', attempt, tonumber(created), at, image, options}
end
redis.register_function('claim@VERSION@', claim)

-- advance(now, ref, attempt, stage, regions): the next stage, with the regions if they are known now ('' if not).
-- Returns 'OK' | 'CANCELLING' | 'FENCED'.
local function advance(keys, args)
  local P, ref = keys[1], args[2]
  local state = held(P, ref, args[3])
  if not state then return 'FENCED' end
  if state == 'CANCELLING' then return 'CANCELLING' end
  move(P, ref, 'RUNNING', 'RUNNING', args[4], clock(args[1]), 'regions', args[5] ~= '' and args[5] or nil)
  return 'OK'
end
redis.register_function('advance@VERSION@', advance)

-- settle(now, ref, attempt, state, field, value, artifacts): the outcome of the attempt that holds the job. `artifacts`
-- names the pictures stored just before, as "attempt:kind attempt:kind". Returns 'OK' | 'FENCED'.
local function settle(keys, args)
  local P, ref = keys[1], args[2]
  -- Said before, and the answer did not arrive: the same outcome of the same attempt is no late answer.
  local told, attempt = get(P, ref, 'state', 'attempt')
  if told == args[4] and attempt == args[3] then return 'OK' end
  local state = held(P, ref, args[3])
  if not state then
    for artifact in string.gmatch(args[7], '[^ ]+') do
      redis.call('DEL', P .. ':artifact:' .. ref .. ':' .. artifact)
    end
    return 'FENCED'
  end
  if args[7] ~= '' then redis.call('HSET', P .. ':job:' .. ref, 'artifacts', args[7]) end
  finish(P, ref, state, args[4], clock(args[1]), args[5] ~= '' and args[5] or nil, args[6])
  return 'OK'
end
redis.register_function('settle@VERSION@', settle)

local function retire(P, worker)
  redis.call('DEL', P .. ':worker:' .. worker)
  redis.call('ZREM', P .. ':workers', worker)
end

-- heartbeat(now, worker, info, alive_ms, lease_ms, ref, attempt, ref, attempt, ...): the worker lives, and so do the
-- leases of what it holds. An empty `info` says that it takes no more and finishes what it holds. Returns the refs that
-- it holds no more.
local function heartbeat(keys, args)
  local P, worker = keys[1], args[2]
  local at = clock(args[1])
  if args[3] == '' then
    retire(P, worker)
  else
    redis.call('SET', P .. ':worker:' .. worker, args[3], 'PX', args[4])
    redis.call('ZADD', P .. ':workers', at + args[4], worker)
  end
  local lost = {}
  for i = 6, #args, 2 do
    local state, attempt = get(P, args[i], 'state', 'attempt')
    if attempt == args[i + 1] and (state == 'RUNNING' or state == 'CANCELLING') then
      redis.call('ZADD', P .. ':leases', 'XX', at + args[5], args[i])
    else
      lost[#lost + 1] = args[i]
    end
  end
  return lost
end
redis.register_function('heartbeat@VERSION@', heartbeat)
