-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- The circuit breaker: so many failures in a row open it; open, it refuses everything for a while;
-- then it lets one request through, and that one decides.
local process = require "process"
local settings = require "settings"

local dict = ngx.shared.breaker

local M = {}

local function now_ms()
	return process.now_us() / 1000
end

-- How long it stays open; nil when it is closed, 0 when a probe is due.
local function left_ms()
	local opened = dict:get("opened_ms")

	return opened and math.max(0, opened + settings.breaker_open_ms - now_ms())
end

local function open()
	dict:set("opened_ms", now_ms())
	dict:incr("times", 1, 0)
end

-- "pass", "probe", or "refuse" with the milliseconds until there is a point in asking again.
function M.ask()
	local left = left_ms()

	if not left then
		return "pass"
	elseif left > 0 then
		return "refuse", left
	end
	-- A probe that never ends (its worker was killed) makes room for another.
	local give_up = (settings.upstream_timeout_ms + 4 * settings.redis_timeout_ms) / 1000
	if dict:add("probe", true, give_up) then
		return "probe"
	end
	return "refuse", 0
end

-- What came of a request that passed. Those that passed before it opened say nothing about now.
function M.succeeded(probe)
	if probe then
		dict:delete("opened_ms")
		dict:delete("probe")
		dict:set("failures", 0)
	elseif not dict:get("opened_ms") then
		dict:set("failures", 0)
	end
end

function M.failed(probe)
	local open_already = dict:get("opened_ms")

	if probe then
		open()
		dict:delete("probe")
	elseif not open_already and dict:incr("failures", 1, 0) == settings.breaker_failures then
		open()
	end
end

-- Nothing can be said: the client went.
function M.abandoned(probe)
	if probe then
		dict:delete("probe")
	end
end

function M.state()
	local left = left_ms()

	return {
		state = not left and "closed" or left > 0 and "open" or "half_open",
		failures = dict:get("failures") or 0,
		opened = dict:get("times") or 0,
		retry_after_ms = math.ceil(left or 0),
	}
end

return M
