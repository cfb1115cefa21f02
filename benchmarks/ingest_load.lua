-- Load for wrk: POSTs the bodies of a file in turn, a fresh UUID in place of each @id@.
--
--   wrk -s ingest_load.lua URL -- BODIES TAG SECONDS
--
-- Stops sending after SECONDS, although wrk runs on: every request is then answered before wrk ends, and what was
-- acknowledged can be compared with what is stored. Ids are random where an index looks first, and unique by tag
-- (7 hexadecimal digits, another for each run), thread and count. All texts but the ids are made before the start.

local bit = require("bit")
local ffi = require("ffi")

ffi.cdef([[
struct load_time { long seconds; long nanoseconds; };
int clock_gettime(int clock, struct load_time *time);
]])

local MARK = "@id@"
local ID_BYTES = 36
local FOREVER_MS = 3600 * 1000
local MONOTONIC = 1

local threads = {}
local templates = {}
local turn = 0
local seconds = 0
local time = ffi.new("struct load_time")
local random, tohex, concat = math.random, bit.tohex, table.concat

-- Read by done(), which runs in another state.
sent, began, ended = 0, 0, 0

local function now()
    ffi.C.clock_gettime(MONOTONIC, time)
    return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

local function template(body, middle)
    local pieces, start = {}, 1
    while true do
        local found = body:find(MARK, start, true)
        pieces[#pieces + 1] = body:sub(start, found and found - 1)
        if not found then break end
        start = found + #MARK
    end
    local length = #body + (#pieces - 1) * (ID_BYTES - #MARK)
    local parts = {
        ("POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"):format(
            wrk.path, wrk.host, wrk.port, length
        ) .. pieces[1],
    }
    for position = 2, #pieces do
        local last = #parts
        parts[last + 1] = "" -- eight random digits
        parts[last + 2] = middle
        parts[last + 3] = "" -- eight digits that count
        parts[last + 4] = pieces[position]
    end
    return parts
end

function setup(thread)
    thread:set("number", #threads)
    threads[#threads + 1] = thread
end

function init(args)
    local file, tag = assert(io.open(args[1], "rb")), args[2]
    seconds = tonumber(args[3])
    local middle = ("-%s-4%s-8%03x-%04x"):format(tag:sub(1, 4), tag:sub(5, 7), number, tonumber(tag:sub(1, 4), 16))
    math.randomseed(tonumber(tag, 16) * 31 + number)
    for body in file:lines() do
        templates[#templates + 1] = template(body, middle)
    end
    file:close()
    turn = number * 7
end

local count = 0

-- Called whenever a connection may send: at its start, and after each answer.
function delay()
    local moment = now()
    if began == 0 then
        began, sent = moment, 0 -- wrk makes a request for itself before
    end
    ended = moment
    if moment - began >= seconds then
        return FOREVER_MS
    end
    return 0
end

function request()
    turn = turn % #templates + 1
    sent = sent + 1
    local parts = templates[turn]
    for position = 2, #parts, 4 do
        count = count + 1
        parts[position] = tohex(random(0, 4294967295))
        parts[position + 2] = tohex(count)
    end
    return concat(parts)
end

function done(summary, latency, requests)
    local total, span = 0, 0
    for _, thread in ipairs(threads) do
        total = total + thread:get("sent")
        span = math.max(span, thread:get("ended") - thread:get("began"))
    end
    local errors = summary.errors
    io.write(
        ('\n{"sent":%d,"answered":%d,"refused":%d,"failed":%d,"seconds":%.6f,"p50":%.3f,"p95":%.3f,"p99":%.3f,"max":%.3f}\n'):format(
            total, summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout, span,
            latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000,
            latency.max / 1000
        )
    )
end
