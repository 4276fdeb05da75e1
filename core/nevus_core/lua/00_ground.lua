-- The ground of every function: keys, clock, and the one way in which a job moves.
--
-- Keys, below the prefix P that each call passes as its only KEY:
--   P:job:<ref>                 hash    the record; <ref> is tenant/id
--   P:image:<ref>               string  the upload; gone when the job ends, but see P:letters
--   P:artifact:<ref>:<n>:<kind> string  a picture made by attempt n
--   P:request:<tenant>:<...>    string  "digest id" of the job that a request id made, or a receipt
--   P:jobs:<tenant>             zset    every job id by time of acceptance
--   P:jobs:<tenant>:<STATE>     zset    the same for one state
--   P:queued:<queue>            zset    QUEUED refs by the time of their last message
--   P:reached                   hash    for each queue, the latest of those times that a claimed job had
--   P:deadlines                 zset    QUEUED refs by the end of their queue_ttl
--   P:leases                    zset    held refs by the end of their lease
--   P:timeouts                  zset    held refs by the end of their execution_timeout
--   P:letters                   zset    refs of dead letters by the time until which their image is kept
--   P:expiry                    zset    ended refs by the time of their purge
--   P:bytes                     hash    bytes of images held, for each tenant and in all ("*")
--   P:sweeper                   string  who sweeps, with an expiry
--   P:events                    stream  every move, capped
--   P:workers, P:worker:<id>    zset, string  live workers by the end of their heartbeat, and what they say
--   P:stats                     hash    counters
--
-- The keys are built here and not declared by the caller, so a Redis Cluster can't run this: one primary (with replicas)
-- holds it all.

local MOVES = @MOVES@
local EVENTS_KEPT = 10000
-- Values above this size travel by the record alone: the stream stays small, and a reader without them reads the record.
local INLINE_BYTES = 16384

-- The failures that no worker writes.
-- (cjson is not at hand while a library is loaded.)
local LOST = '{"code":"UNAVAILABLE","reason":"WORKER_LOST","message":"Every attempt lost its worker. ' ..
  'The image itself may bring workers down: check it before you send it again."}'
local TIMED_OUT = '{"code":"DEADLINE_EXCEEDED","reason":"EXECUTION_TIMEOUT","message":' ..
  '"The attempt took longer than the execution timeout."}'
local EXPIRED = '{"code":"DEADLINE_EXCEEDED","reason":"QUEUE_TTL_EXPIRED","message":"No worker started the job ' ..
  'within its queue time. Submit it again, or add workers."}'

local function clock(given)
  if given ~= '' then return tonumber(given) end
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

local function tenant_of(ref) return string.match(ref, '^[^/]+') end
local function id_of(ref) return string.match(ref, '[^/]+$') end

local function get(P, ref, ...)
  return unpack(redis.call('HMGET', P .. ':job:' .. ref, ...))
end

-- What moving a job needs of its record, read once; nil where there is none. `...` names further fields.
local function read(P, ref, ...)
  local names = {'state', 'revision', 'attempt', 'created_ms', 'started_ms', 'queue', 'size_bytes', 'result_ttl_ms',
    'letter_ttl_ms', ...}
  local values, job = redis.call('HMGET', P .. ':job:' .. ref, unpack(names)), {ref = ref}
  if not values[1] then return nil end
  for i, name in ipairs(names) do job[name] = values[i] or nil end
  return job
end

local function count(P, what) redis.call('HINCRBY', P .. ':stats', what, 1) end

local function tell(P, ref, event, name, value, final)
  local entry = {'XADD', P .. ':events', 'MAXLEN', '~', EVENTS_KEPT, '*', 'ref', ref, 'event', event}
  if final then
    entry[#entry + 1] = 'final'
    entry[#entry + 1] = '1'
  end
  if name and value and #value <= INLINE_BYTES then
    entry[#entry + 1] = name
    entry[#entry + 1] = value
  end
  redis.call(unpack(entry))
end

local function check(from, to)
  if not MOVES[from][to] then error('FORBIDDEN_MOVE ' .. from .. ' to ' .. to) end
end

local function append(list, more)
  for _, value in ipairs(more) do list[#list + 1] = value end
end

-- Moves a job: checks the table, raises the revision, keeps the event in the record and tells it to the stream, all in
-- one step. `job` is as `read` gives it, without a state at acceptance; `changes` lists further fields and values to write.
-- What the move makes known (`name` is 'regions', 'result' or 'failure') goes along. An outcome's event says all that its
-- record got meanwhile, so that who followed the job need not read it again.
local function move(P, job, to, stage, at, changes, name, value, expire)
  local from, ref, tenant, id = job.state, job.ref, tenant_of(job.ref), id_of(job.ref)
  if from then check(from, to) end
  local revision = job.revision + 1
  local event = cjson.encode({
    revision = revision, state = to, stage = stage, attempt = tonumber(job.attempt) or 0, at_ms = at,
    started_ms = expire and tonumber(job.started_ms) or nil, expire_ms = expire,
  })
  local fields = {'HSET', P .. ':job:' .. ref, 'state', to, 'stage', stage, 'revision', revision, 'updated_ms', at,
    'e:' .. revision, event}
  append(fields, changes or {})
  if name and value then append(fields, {name, value}) end
  if expire then append(fields, {'finished_ms', at, 'expire_ms', expire}) end
  redis.call(unpack(fields))
  if from ~= to then
    if from then redis.call('ZREM', P .. ':jobs:' .. tenant .. ':' .. from, id) end
    redis.call('ZADD', P .. ':jobs:' .. tenant .. ':' .. to, job.created_ms, id)
  end
  -- Nobody can follow a job before its acceptance is answered, and the answer says the same.
  if from then tell(P, ref, event, name, value, expire) end
end

-- A job waits in the queue of its priority, or in the suspects' once its worker has died.
local QUEUES = {'suspect', 'stat', 'routine', 'bulk'}

-- Where the Celery messages lie that wake workers: kombu's key prefix is P:celery:, the queue's own name P.<queue>. Pushed
-- at the left, taken from the right.
local function messages(P, queue) return P .. ':celery:' .. P .. '.' .. queue end

-- Stops the clocks of the state that a job is in.
local function release(P, job)
  if job.state == 'QUEUED' then
    redis.call('ZREM', P .. ':queued:' .. job.queue, job.ref)
    redis.call('ZREM', P .. ':deadlines', job.ref)
  elseif next(MOVES[job.state]) then
    redis.call('ZREM', P .. ':leases', job.ref)
    redis.call('ZREM', P .. ':timeouts', job.ref)
  end
end

local function weigh(P, tenant, bytes)
  for _, whose in ipairs({'*', tenant}) do
    if redis.call('HINCRBY', P .. ':bytes', whose, bytes) <= 0 then redis.call('HDEL', P .. ':bytes', whose) end
  end
end

local function drop_image(P, job)
  -- The record knows whether the bytes are counted; the image itself may have been taken away by somebody else.
  if redis.call('HDEL', P .. ':job:' .. job.ref, 'counted') == 1 then weigh(P, tenant_of(job.ref), -job.size_bytes) end
  return redis.call('DEL', P .. ':image:' .. job.ref)
end

local function drop_letter(P, job)
  redis.call('ZREM', P .. ':letters', job.ref)
  return drop_image(P, job)
end

-- Whether a failure says nothing against the image, so that it is worth keeping for another try.
local function is_letter(failure)
  return failure and cjson.decode(failure).code ~= 'INVALID_ARGUMENT'
end

-- Gives a job its one outcome: drops the image (a dead letter's later), stops every clock but the purge's.
local function finish(P, job, to, at, field, value, changes)
  check(job.state, to)
  local expire = at + job.result_ttl_ms
  if field == 'failure' and tonumber(job.letter_ttl_ms) > 0 and is_letter(value) then
    redis.call('ZADD', P .. ':letters', at + job.letter_ttl_ms, job.ref)
  else
    drop_image(P, job)
  end
  release(P, job)
  redis.call('ZADD', P .. ':expiry', expire, job.ref)
  count(P, string.lower(to))
  move(P, job, to, '', at, changes, field, value, expire)
end

-- Removes every trace of a job; returns the number of objects removed.
local function purge(P, ref)
  local job = read(P, ref, 'request_key', 'artifacts')
  redis.call('ZREM', P .. ':expiry', ref)
  if not job then return 0 end
  local tenant, id = tenant_of(ref), id_of(ref)
  release(P, job)
  local removed = drop_letter(P, job) + redis.call('DEL', P .. ':job:' .. ref)
  for artifact in string.gmatch(job.artifacts or '', '[^ ]+') do
    removed = removed + redis.call('DEL', P .. ':artifact:' .. ref .. ':' .. artifact)
  end
  if job.request_key and job.request_key ~= '' then redis.call('DEL', job.request_key) end
  redis.call('ZREM', P .. ':jobs:' .. tenant, id)
  redis.call('ZREM', P .. ':jobs:' .. tenant .. ':' .. job.state, id)
  return removed
end

-- Whether `attempt` still holds the job (nil where there is none); a late answer is counted.
local function holds(P, job, attempt)
  if job and job.attempt == attempt and (job.state == 'RUNNING' or job.state == 'CANCELLING') then return true end
  count(P, 'fenced')
  return false
end
