-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- The stand-in of the Claude API: takes a Messages request, lets the time pass that an answer would take,
-- and answers with the masks that it was sent. It looks for AWS identifiers with rules of its own:
-- what it finds, the gateway has let through.
local cjson = require "cjson.safe"
local process = require "process"
local settings = require "settings"

local counters = ngx.shared.counters

local IDENTIFIERS = table.concat({
	[[\barn:aws]],
	[[(?<![A-Za-z0-9])(?:i|vpc|subnet|sg)-[0-9a-f]{8}(?:[0-9a-f]{9})?(?![0-9a-zA-Z])]],
	[[(?<![A-Za-z0-9])A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])]],
	[[(?<!\d)\d{12}(?!\d)]],
}, "|")
local ADDRESS = [[(?<!\d)(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?!\d)]]
local PIECE = 4000
local MASK = [[AWS_[A-Z0-9]+_[0-9]+]]

local M = {}

local function public(m)
	local a, b = tonumber(m[1]), tonumber(m[2])

	for i = 1, 4 do
		if tonumber(m[i]) > 255 then
			return false
		end
	end
	return not (a == 0 or a == 10 or a == 127 or a >= 224 or (a == 169 and b == 254) or
		(a == 172 and b >= 16 and b <= 31) or (a == 192 and b == 168) or
		(a == 100 and b >= 64 and b <= 127))
end

local function identifier_in(text)
	if ngx.re.find(text, IDENTIFIERS, "jo") then
		return true
	end
	local ctx = {pos = 1}
	while true do
		local m = ngx.re.match(text, ADDRESS, "jo", ctx)
		if not m then
			return false
		elseif public(m) then
			return true
		end
	end
end

-- Strings and numbers anywhere in what was sent, with JSON's escapes undone.
local function found(value)
	if type(value) == "string" then
		return identifier_in(value)
	elseif type(value) == "number" then
		return identifier_in(string.format("%.0f", value))
	elseif type(value) == "table" then
		for k, v in pairs(value) do
			if found(k) or found(v) then
				return true
			end
		end
	end
	return false
end

-- Standard normal, by Box and Muller.
local function normal()
	return math.sqrt(-2 * math.log(1 - math.random())) * math.cos(2 * math.pi * math.random())
end

local function draw_us()
	local l = settings.latency
	local us

	if l.slow_share > 0 and math.random() < l.slow_share then
		us = l.slow_us
	elseif l.kind == "fixed" then
		us = l.low_us
	elseif l.kind == "uniform" then
		us = l.low_us + (l.high_us - l.low_us) * math.random()
	else
		us = l.low_us * math.exp(l.sigma * normal())
	end
	return math.min(us, l.at_most_us) + settings.api_delay_us
end

function M.init_worker()
	math.randomseed(settings.seed + ngx.worker.id())
end

-- Long ones come as they are made, piece by piece (chunked).
local function answer(status, body)
	ngx.status = status
	ngx.header["Content-Type"] = "application/json"
	if #body <= PIECE then
		ngx.header["Content-Length"] = #body
		return ngx.print(body)
	end
	for from = 1, #body, PIECE do
		ngx.print(body:sub(from, from + PIECE - 1))
		ngx.flush(true)
	end
end

local function refuse(status, kind, message)
	answer(status, cjson.encode({type = "error", error = {type = kind, message = message}}))
end

local function echo(body)
	local masks, ctx = {}, {pos = 1}
	while true do
		local from, to = ngx.re.find(body, MASK, "jo", ctx)
		if not from then
			break
		end
		masks[#masks + 1] = body:sub(from, to)
	end
	return #masks == 0 and "There is nothing to look at."
		or "I looked at " .. table.concat(masks, ", ") .. "."
end

-- Credentials and random hexadecimal names hold digits of all kinds.
local NO_TEXT = {authorization = true, ["x-api-key"] = true, traceparent = true}
local UUID = [[^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$]]

local function found_in_head()
	for name, value in pairs(ngx.req.get_headers(0)) do
		for _, v in ipairs(type(value) == "table" and value or {value}) do
			if not NO_TEXT[name] and identifier_in(v) and not ngx.re.find(v, UUID, "joi") then
				return true
			end
		end
	end
	return identifier_in(ngx.var.request_uri)
end

local function read_request()
	ngx.req.read_body()
	local body = ngx.req.get_body_data()
	local request = body and cjson.decode(body)

	counters:incr("requests", 1, 0)
	if ngx.var.connection_requests == "1" then
		counters:incr("connections", 1, 0)
	end
	if found_in_head() or (body and (identifier_in(body) or found(request))) then
		counters:incr("with_identifiers", 1, 0)
	end
	return body, request
end

function M.messages()
	local began = process.now_us()
	local body, request = read_request()
	local wanted = draw_us()
	local fails = settings.error_share > 0 and math.random() < settings.error_share

	if ngx.req.get_method() ~= "POST" or type(request) ~= "table" or type(request.model) ~= "string" or
		type(request.messages) ~= "table" then
		counters:incr("bad", 1, 0)
		return refuse(400, "invalid_request_error", "a Messages request has a model and messages")
	end

	local text = echo(body)
	local reply = cjson.encode({
		id = string.format("msg_%08x%08x", math.random(0, 0x7fffffff), math.random(0, 0x7fffffff)),
		type = "message",
		role = "assistant",
		model = request.model,
		content = {{type = "text", text = text}},
		stop_reason = "end_turn",
		stop_sequence = cjson.null,
		usage = {input_tokens = math.ceil(#body / 4), output_tokens = math.ceil(#text / 4)},
	})
	local waited = process.wait_us(began, wanted)
	counters:incr("answered", 1, 0)
	counters:incr("wanted_us", wanted, 0)
	counters:incr("waited_us", waited, 0)
	ngx.header["X-Delay-Us"] = string.format("%.0f", waited)
	if fails then
		counters:incr("errors", 1, 0)
		return refuse(529, "overloaded_error", "Overloaded")
	end
	answer(200, reply)
end

function M.status()
	local out = {}
	for _, key in ipairs({"requests", "with_identifiers", "errors", "bad", "connections", "answered",
		"wanted_us", "waited_us"}) do
		out[#out + 1] = string.format('"%s":%.0f', key, counters:get(key) or 0)
	end
	answer(200, "{" .. table.concat(out, ",") .. "}")
end

return M
