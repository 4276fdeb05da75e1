-- claim(now, ref, worker, lease_ms): QUEUED to RUNNING with the next attempt and a lease.
-- Returns {'CLAIMED', attempt, created_ms, at, image, options} | {'GONE'} | {'EXPIRED'} | {'TAKEN', state}.
local function claim(keys, args)
  local P, ref = keys[1], args[2]
  local at = clock(args[1])
  local state, attempt, created, image, options, timeout =
    get(P, ref, 'state', 'attempt', 'created_ms', 'image', 'options', 'execution_timeout_ms')
  if not state then return {'GONE'} end
  if state ~= 'QUEUED' then return {'TAKEN', state} end
  local deadline = redis.call('ZSCORE', P .. ':deadlines', ref)
  if deadline and at >= tonumber(deadline) then
    finish(P, ref, 'QUEUED', 'EXPIRED', at, 'failure', EXPIRED)
    return {'EXPIRED'}
  end
  release(P, ref)
  attempt = redis.call('HINCRBY', P .. ':job:' .. ref, 'attempt', 1)
  redis.call('HSET', P .. ':job:' .. ref, 'worker', args[3], 'started_ms', at)
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
  move(P, ref, 'RUNNING', 'RUNNING', args[4], clock(args[1]), args[5] ~= '' and args[5] or nil)
  return 'OK'
end
redis.register_function('advance@VERSION@', advance)

-- settle(now, ref, attempt, state, field, value, artifacts): the outcome of the attempt that holds the job. `artifacts`
-- names the pictures stored just before, as "attempt:kind attempt:kind". Returns 'OK' | 'FENCED'.
local function settle(keys, args)
  local P, ref = keys[1], args[2]
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

-- heartbeat(now, worker, info, alive_ms, lease_ms, ref, attempt, ref, attempt, ...): the worker lives, and so do the
-- leases of what it holds. Returns the refs that it holds no more.
local function heartbeat(keys, args)
  local P, worker = keys[1], args[2]
  local at = clock(args[1])
  redis.call('SET', P .. ':worker:' .. worker, args[3], 'PX', args[4])
  redis.call('ZADD', P .. ':workers', at + args[4], worker)
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

-- retire(worker): the worker leaves in good order.
local function retire(keys, args)
  redis.call('DEL', keys[1] .. ':worker:' .. args[1])
  redis.call('ZREM', keys[1] .. ':workers', args[1])
  return 'OK'
end
redis.register_function('retire@VERSION@', retire)
