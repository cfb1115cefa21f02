-- Load for wrk: one connection's steady stream of one campaign event; arguments are the API key and the pause in ms.
--
--   wrk -t 1 -c CONNECTIONS -s flood_load.lua URL -- KEY PAUSE

local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

accepted, limited, other = 0, 0, 0

function init(args)
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["X-API-Key"] = args[1]
    wrk.body = '{"userId":"user-7","eventType":"CLICK"}'
    pause = tonumber(args[2])
end

function delay()
    return pause
end

function response(status)
    if status == 201 then
        accepted = accepted + 1
    elseif status == 429 then
        limited = limited + 1
    else
        other = other + 1
    end
end

function done(summary, latency)
    local totals = { accepted = 0, limited = 0, other = 0 }
    for _, thread in ipairs(threads) do
        for name in pairs(totals) do
            totals[name] = totals[name] + thread:get(name)
        end
    end
    io.write(('\n{"accepted":%d,"limited":%d,"other":%d,"seconds":%.3f,"p50":%.3f,"p95":%.3f}\n'):format(
        totals.accepted, totals.limited, totals.other, summary.duration / 1e6,
        latency:percentile(50) / 1000, latency:percentile(95) / 1000
    ))
end
