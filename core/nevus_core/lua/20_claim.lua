-- `P:reached` lags by at most so much: written for each claim it would cost more than it tells.
local REACHED_STEP_MS = 100

-- Gives a job to a worker, if it is there to be given: see `claim` below, which is this for one call.
local function give(P, ref, at, worker, lease_ms, alone, models, call)
  local job = read(P, ref, 'image', 'options', 'execution_timeout_ms', 'model', 'claim',
    'deadline_ms')
  if not job then return {'GONE'} end
  if job.state == 'RUNNING' and job.claim == call then
    return {'CLAIMED', tonumber(job.attempt), tonumber(job.created_ms), tonumber(job.started_ms), job.image, job.options}
  end
  if job.state ~= 'QUEUED' then return {'TAKEN', job.state} end
  if not string.find(models, '|' .. job.model .. '|', 1, true) then return {'OTHER'} end
  if job.queue == 'suspect' and alone ~= '1' then return {'SUSPECT'} end
  if at >= tonumber(job.deadline_ms) then
    finish(P, job, 'EXPIRED', at, 'failure', EXPIRED)
    return {'EXPIRED'}
  end
  local sent = tonumber(redis.call('ZSCORE', P .. ':queued:' .. job.queue, ref))
  if sent > tonumber(redis.call('HGET', P .. ':reached', job.queue) or 0) + REACHED_STEP_MS then
    redis.call('HSET', P .. ':reached', job.queue, sent)
  end
  release(P, job)
  job.attempt = job.attempt + 1
  redis.call('ZADD', P .. ':leases', at + lease_ms, ref)
  redis.call('ZADD', P .. ':timeouts', at + job.execution_timeout_ms, ref)
  move(P, job, 'RUNNING', 'DECODING', at, {'attempt', job.attempt, 'worker', worker, 'claim', call, 'started_ms', at})
  return {'CLAIMED', job.attempt, tonumber(job.created_ms), at, job.image, job.options}
end

-- claim(now, ref, worker, lease_ms, alone, models, call): QUEUED to RUNNING with the next attempt and a lease. A suspect (its
-- worker died) is given only to a worker that does nothing beside it (`alone` is '1'), a job only to a worker that holds its
-- model (`models` is '|name@version|name@version|'). `call` is a name for this call: made again because its answer did not
-- arrive, it is answered as before, while a second message for the job finds it taken.
-- Returns {'CLAIMED', attempt, created_ms, at, image, options} | {'GONE'} | {'EXPIRED'} | {'TAKEN', state} | {'SUSPECT'}
--   | {'OTHER'}.
local function claim(keys, args)
  return give(keys[1], args[2], clock(args[1]), args[3], args[4], args[5], args[6], args[7])
end
redis.register_function('claim@VERSION@', claim)

-- Queues whose jobs a worker may take without Celery's help, in the order in which Celery would.
local OPEN_QUEUES = {'stat', 'routine', 'bulk'}
-- Messages for jobs that are no longer waiting that one call looks at.
local STALE_MESSAGES = 20

-- Takes a message out; none while there is one for a suspect, which has to be alone.
local function next_message(P)
  if redis.call('LLEN', messages(P, 'suspect')) > 0 then return nil end
  for _, queue in ipairs(OPEN_QUEUES) do
    local message = redis.call('RPOP', messages(P, queue))
    if message then return message, queue end
  end
end

-- take(now, after, attempt, worker, lease_ms, models, call): the next waiting job for a thread whose `attempt` has just settled
-- `after`: message and claim in one step, in the order in which Celery's consumer would come to it. Whatever only Celery's way
-- can deal with (suspects, which have to be alone; jobs of models that this worker does not hold; foreign messages) is left
-- there. `after`'s record remembers what was given, so that a repeated call is answered as before.
-- Returns {ref, 'CLAIMED', attempt, created_ms, at, image, options} or {}.
local function take(keys, args)
  local P, after, at = keys[1], args[2], clock(args[1])
  local state, attempt, given_before = get(P, after, 'state', 'attempt', 'followed_by')
  if not state or next(MOVES[state]) or attempt ~= args[3] then return {} end
  local function try(ref)
    local given = give(P, ref, at, args[4], args[5], '0', args[6], args[7])
    table.insert(given, 1, ref)
    return given
  end
  if given_before then
    local again = try(given_before)
    return again[2] == 'CLAIMED' and again or {}
  end
  for _ = 1, STALE_MESSAGES do
    local message, queue = next_message(P)
    if not message then return {} end
    local ref = string.match(message, '"argsrepr": "%[\'([^\']+)\'%]"')
    local given = ref and try(ref) or {'', 'OTHER'}
    if given[2] == 'OTHER' or given[2] == 'SUSPECT' then
      redis.call('RPUSH', messages(P, queue), message)
      return {}
    end
    if given[2] == 'CLAIMED' then
      redis.call('HSET', P .. ':job:' .. after, 'followed_by', ref)
      return given
    end
  end
  return {}
end
redis.register_function('take@VERSION@', take)

-- advance(now, ref, attempt, stage, regions): the next stage, with the regions if they are known now ('' if not).
-- Returns 'OK' | 'CANCELLING' | 'FENCED'.
local function advance(keys, args)
  local P, job = keys[1], read(keys[1], args[2])
  if not holds(P, job, args[3]) then return 'FENCED' end
  if job.state == 'CANCELLING' then return 'CANCELLING' end
  move(P, job, 'RUNNING', args[4], clock(args[1]), nil, 'regions', args[5] ~= '' and args[5] or nil)
  return 'OK'
end
redis.register_function('advance@VERSION@', advance)

-- settle(now, ref, attempt, state, field, value, artifacts): the outcome of the attempt that holds the job. `artifacts`
-- names the pictures stored just before, as "attempt:kind attempt:kind". Returns 'OK' | 'FENCED'.
local function settle(keys, args)
  local P, ref, job = keys[1], args[2], read(keys[1], args[2])
  -- Said before, and the answer did not arrive: the same outcome of the same attempt is no late answer.
  if job and job.state == args[4] and job.attempt == args[3] then return 'OK' end
  if not holds(P, job, args[3]) then
    for artifact in string.gmatch(args[7], '[^ ]+') do
      redis.call('DEL', P .. ':artifact:' .. ref .. ':' .. artifact)
    end
    return 'FENCED'
  end
  local changes = args[7] ~= '' and {'artifacts', args[7]} or nil
  finish(P, job, args[4], clock(args[1]), args[5] ~= '' and args[5] or nil, args[6], changes)
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
