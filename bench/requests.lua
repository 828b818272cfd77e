-- 1,024 different chat requests of about 0.9 kB in rotation, made from a fixed seed.
local words = { "ocean", "maple", "harbor", "canyon", "violet", "lantern", "meadow", "copper", "winter", "signal",
  "garden", "marble", "thunder", "velvet", "island", "compass", "ember", "falcon", "granite", "horizon" }

local function sentence(random, length)
  local picked = {}
  for i = 1, length do picked[i] = words[random(#words)] end
  return table.concat(picked, " ")
end

init = function()
  math.randomseed(7)
  requests = {}
  for i = 1, 1024 do
    local body = string.format(
      '{"model":"gpt-4o-mini","temperature":0.%d,"max_tokens":%d,"messages":[{"role":"system","content":"You are a helpful assistant. %s."},{"role":"user","content":"Question %d: \\"%s\\"\\n%s"}]}',
      math.random(9), 100 + math.random(400), sentence(math.random, 30), i, sentence(math.random, 20), sentence(math.random, 50))
    requests[i] = wrk.format("POST", "/v1/chat/completions", {
      ["authorization"] = "Bearer sk-bench-key", ["content-type"] = "application/json",
      ["user-agent"] = "bench/1.0", ["accept"] = "application/json", ["x-request-tag"] = "t" .. i }, body)
  end
  at = 0
end

request = function()
  at = at % 1024 + 1
  return requests[at]
end

done = function(summary, latency)
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
