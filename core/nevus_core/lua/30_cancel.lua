-- cancel(now, ref): certain while QUEUED, a wish while RUNNING, nothing where it was cancelled already.
-- Returns the state it left the job in, 'FINISHED' where there was another outcome, or 'GONE'.
local function cancel(keys, args)
  local P, job = keys[1], read(keys[1], args[2], 'stage')
  if not job then return 'GONE' end
  if job.state == 'QUEUED' then
    finish(P, job, 'CANCELLED', clock(args[1]))
    return 'CANCELLED'
  end
  if job.state == 'RUNNING' then
    move(P, job, 'CANCELLING', job.stage, clock(args[1]))
    return 'CANCELLING'
  end
  if job.state == 'CANCELLING' or job.state == 'CANCELLED' then return job.state end
  return 'FINISHED'
end
redis.register_function('cancel@VERSION@', cancel)

-- delete(now, ref, receipt_key, receipt_ttl_ms): purges a job and tells its watchers.
-- Returns {'DELETED', objects, image, now} | {'REPEATED', receipt} | {'REUSED', receipt} | {'GONE'}.
local function delete(keys, args)
  local P, ref, receipt = keys[1], args[2], args[3]
  local at = clock(args[1])
  if receipt ~= '' then
    local seen = redis.call('GET', receipt)
    if seen then return {cjson.decode(seen).ref == ref and 'REPEATED' or 'REUSED', seen} end
  end
  local image = get(P, ref, 'image')
  if not image then return {'GONE'} end
  local removed = purge(P, ref)
  if receipt ~= '' then
    local kept = cjson.encode({objects = removed, sha256 = cjson.decode(image).sha256, at_ms = at, ref = ref})
    redis.call('SET', receipt, kept, 'PX', args[4])
  end
  tell(P, ref, '', 'deleted', '1')
  count(P, 'deleted')
  return {'DELETED', removed, image, at}
end
redis.register_function('delete@VERSION@', delete)
