-- wrk: POST the file BODY; ends with one line of JSON.
local file = io.open(os.getenv("BODY"), "rb")
wrk.method, wrk.body = "POST", file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/json"

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\nJSON {"requests": %d, "us": %d, "p50_us": %d, "p99_us": %d, "errors": %d}\n', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status + errors.connect + errors.read + errors.timeout))
end
