-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- A request's way through kong-gateway: access (mask) -> nginx's own proxy -> filters (unmask) -> log.
local breaker = require "breaker"
local body = require "body"
local cjson = require "cjson.safe"
local identifiers = require "identifiers"
local masks = require "masks"
local unmask = require "unmask"

local counters = ngx.shared.counters

local M = {}

local function reply(status, value)
	ngx.status = status
	ngx.header["Content-Type"] = "application/json"
	ngx.print(cjson.encode(value))
	return ngx.exit(ngx.HTTP_OK) -- the answer is made
end

local function refuse(status, kind, message)
	return reply(status, {type = "error", error = {type = kind, message = message}})
end

local TRACE = "^%x%x%-" .. ("%x"):rep(32) .. "%-" .. ("%x"):rep(16) .. "%-%x%x$"
local UUID = "^" .. ("%x"):rep(8) .. "%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-" .. ("%x"):rep(12) .. "$"

-- What the client calls its request goes on as it is, or not at all.
local function safe_request_id(value)
	if not value or value:find(UUID) then
		return value or ""
	end
	return #value <= 128 and value:find("^[%w._-]+$") and not identifiers.next(value, 1) and value
		or ""
end

local function mask(ctx, parsed)
	local ok, err = masks.assign(parsed.list)

	if not ok then
		ctx.redis_failed = true
		counters:incr("redis_failures", 1, 0)
		ngx.log(ngx.INFO, "redis-cache: ", err)
		return false
	end
	local text, places = parsed:masked()
	local names = {}
	for _, item in ipairs(parsed.list) do
		names[item.mask] = item.id
	end
	ctx.unmask = unmask.new(names)
	counters:incr("masked", places, 0)
	ngx.req.set_body_data(text)
	return true
end

function M.access()
	local ctx = ngx.ctx

	counters:incr("requests", 1, 0)
	if ngx.req.get_method() ~= "POST" then
		return refuse(405, "invalid_request_error", "POST a Messages request")
	end
	ngx.req.read_body()
	local text = ngx.req.get_body_data()
	local parsed = text and body.parse(text)
	if not parsed then
		return refuse(400, "invalid_request_error", "the body is not a JSON object")
	end

	local verdict, left = breaker.ask()
	if verdict == "refuse" then
		counters:incr("refused", 1, 0)
		ngx.header["Retry-After"] = math.ceil(left / 1000)
		return refuse(503, "circuit_open", "too many failures: not asked")
	end
	ctx.passed, ctx.probe = true, verdict == "probe"

	-- Closed when Redis is away: nothing leaves unmasked.
	if #parsed.list > 0 and not mask(ctx, parsed) then
		return refuse(503, "mask_unavailable", "identifiers cannot be masked: redis-cache is away")
	end
	ctx.sent = true
	ngx.req.set_uri_args("")
	ngx.var.safe_request_id = safe_request_id(ngx.var.http_x_request_id)
	local trace = ngx.var.http_traceparent
	ngx.var.safe_traceparent = trace and trace:find(TRACE) and trace or ""
end

function M.header_filter()
	if ngx.ctx.unmask then
		ngx.header.content_length = nil -- the identifiers have other lengths
	end
end

function M.body_filter()
	local state = ngx.ctx.unmask

	if state then
		ngx.arg[1] = state:feed(ngx.arg[1], ngx.arg[2])
	end
end

function M.log()
	local ctx = ngx.ctx

	if not ctx.passed then
		return
	end
	if ctx.unmask and ctx.unmask.count > 0 then
		counters:incr("unmasked", ctx.unmask.count, 0)
	end
	if ctx.redis_failed then
		return breaker.failed(ctx.probe)
	elseif not ctx.sent or ngx.status == 499 then
		return breaker.abandoned(ctx.probe)
	end
	local status = tonumber(ngx.var.upstream_status)
	if not status or status >= 500 then
		counters:incr("upstream_failures", 1, 0)
		return breaker.failed(ctx.probe)
	end
	breaker.succeeded(ctx.probe)
end

function M.health()
	local red, err = masks.connect()
	local pong

	if red then
		pong, err = red:ping()
	end
	if pong ~= "PONG" then
		return reply(503, {status = "unhealthy", redis = err or "no PONG"})
	end
	masks.release(red)
	reply(200, {status = "healthy", redis = "healthy"})
end

local function version(number)
	return string.format("%d.%d.%d", number / 1000000, number / 1000 % 1000, number % 1000)
end

function M.status()
	local out = {
		breaker = breaker.state(),
		nginx = version(ngx.config.nginx_version),
		lua_module = version(ngx.config.ngx_lua_version),
	}
	for _, key in ipairs({"requests", "masked", "unmasked", "redis_failures", "upstream_failures",
		"refused"}) do
		out[key] = counters:get(key) or 0
	end
	reply(200, out)
end

return M
