-- Sends the requests of a file in turn, byte for byte, and prints the result as a line of JSON.
local requests, index = {}, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for bytes in file:read("*a"):gmatch("[^%z]+") do
    requests[#requests + 1] = bytes
  end
  file:close()
end

function request()
  index = index % #requests + 1
  return requests[index]
end

function done(summary, latency)
  local errors = summary.errors
  local wrong = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\n{"done": %d, "seconds": %f, "p50": %f, "p99": %f, "wrong": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, wrong
  ))
end
