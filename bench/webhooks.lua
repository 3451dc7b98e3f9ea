-- One delivery per request, each for a task of its own; `wrk -s webhooks.lua URL -- RUN` (RUN: a hex prefix per run).
local run, thread = "0", 0

function setup(t)
  t:set("id", thread)
  thread = thread + 1
end

local head = '{"event_type":"ASYNC_TASK_RESULT","payload":{"task":{"eta":0,"progress_percent":0,"reason":"","status":"TASK_STATUS_SUCCEED","task_id":"'
local tail = '","task_type":"TXT_TO_IMG"},"extra":{"seed":"41","enable_nsfw_detection":false,"debug_info":{"request_info":"{\\"prompts\\":[\\"kite\\"]}","submit_time_ms":"1700000000000","execute_time_ms":"1700000000080","complete_time_ms":"1700000004000"},"webhook":{"url":"https://relay.example/h/t0k3n"}},"images":[{"image_url":"https://out.example/1.jpeg?X-Amz-Date=20231114T221324Z&X-Amz-Expires=3600&X-Amz-Signature=00","image_url_ttl":"3600","image_type":"jpeg","nsfw_detection_result":null}],"videos":[],"audios":[]}}'
local count = 0

function init(args)
  run = args[1] or "0"
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end

-- The ids are spread like random UUIDs (a multiplicative hash), as the upstream's are: no friendlier to an index.
function request()
  count = count + 1
  local mixed = (count * 2654435761) % 4294967296
  local task = string.format("%08x-%04x-4%03x-8%03x-%012x", mixed, mixed % 65521, id, count % 4096, count) .. run
  return wrk.format(nil, nil, nil, head .. task .. tail)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
