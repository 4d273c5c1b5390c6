-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- Masks and identifiers in redis-cache:
--	aws_masker:id:<hash of the identifier>  its mask, so that it is the same in every request
--	aws_masker:map:<mask>                   the identifier
--	aws_masker:count:<kind>                 the last number given out
-- The first two end map_ttl_s after their last use.
local found, redis = pcall(require, "resty.redis")
if not found then
	redis = require "nginx.redis" -- Debian's name
end
local settings = require "settings"

local POOL_SIZE, POOL_IDLE_MS = 128, 60000

local M = {}

local function id_key(id)
	return "aws_masker:id:" .. ngx.encode_base64(ngx.hmac_sha1(settings.hash_key, id))
end

function M.connect()
	local red = redis:new()

	red:set_timeout(settings.redis_timeout_ms)
	local ok, err = red:connect("127.0.0.1", settings.redis_port, {pool_size = POOL_SIZE})
	if not ok then
		return nil, "connect: " .. err
	end
	return red
end

function M.release(red)
	red:set_keepalive(POOL_IDLE_MS, POOL_SIZE)
end

-- Commands as Redis reads them, with holes for words and their lengths.
local TTL = tostring(settings.map_ttl_s)
local GET = "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n"
local INCR = "*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n"
local DEL = "*2\r\n$3\r\nDEL\r\n$%d\r\n%s\r\n"
local EXPIRE = "*3\r\n$6\r\nEXPIRE\r\n$%d\r\n%s\r\n$" .. #TTL .. "\r\n" .. TTL .. "\r\n"
local SETEX = "*4\r\n$5\r\nSETEX\r\n$%d\r\n%s\r\n$" .. #TTL .. "\r\n" .. TTL .. "\r\n$%d\r\n%s\r\n"
-- NX with GET: who comes second learns the mask of the first.
local SET = "*7\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n$2\r\nEX\r\n$" .. #TTL .. "\r\n" .. TTL ..
	"\r\n$2\r\nNX\r\n$3\r\nGET\r\n"

-- The answers to the commands that `fill` puts into a list; nil and what went wrong when one of them
-- is an error. They go past red:get() and the like, which make a table of 5 entries for each word:
-- with 64 commands a request that was more than half of this process's time.
local function pipeline(red, fill)
	local commands = {}

	fill(commands)
	red:init_pipeline()
	red._reqs = commands
	local answers, err = red:commit_pipeline()
	if not answers then
		return nil, err
	end
	for _, answer in ipairs(answers) do
		if type(answer) == "table" and answer[1] == false then
			return nil, answer[2]
		end
	end
	return answers
end

-- Those that have no mask yet get the next number of their kind. A number may be drawn in vain, when
-- another request is first.
local function number(red, new)
	local numbers, err = pipeline(red, function(commands)
		for i, item in ipairs(new) do
			local key = "aws_masker:count:" .. item.kind
			commands[i] = INCR:format(#key, key)
		end
	end)
	if not numbers then
		return nil, err
	end
	for i, item in ipairs(new) do
		item.mask = string.format("AWS_%s_%03d", item.kind, numbers[i])
	end
	return true
end

local function map_key(mask)
	return "aws_masker:map:" .. mask
end

-- Another request was first: its mask is the one, and ours is nobody's.
local function give_way(red, lost)
	if #lost == 0 then
		return true
	end
	return pipeline(red, function(commands)
		for i, item in ipairs(lost) do
			local key = map_key(item.mask)
			commands[i] = DEL:format(#key, key)
			item.mask = item.before
		end
	end)
end

-- Puts down what the list has now.
local function remember(red, list)
	local lost = {}
	local answers, err = pipeline(red, function(commands)
		for i, item in ipairs(list) do
			local key, map = item.key, map_key(item.mask)
			if item.new then
				commands[2 * i - 1] = SET:format(#key, key, #item.mask, item.mask)
			else
				commands[2 * i - 1] = EXPIRE:format(#key, key)
			end
			commands[2 * i] = SETEX:format(#map, map, #item.id, item.id)
		end
	end)
	if not answers then
		return nil, err
	end
	for i, item in ipairs(list) do
		local before = answers[2 * i - 1]

		if item.new and before ~= ngx.null then
			item.before = before
			lost[#lost + 1] = item
		end
	end
	return give_way(red, lost)
end

local function look_up(red, list)
	local new = {}
	local masks, err = pipeline(red, function(commands)
		for i, item in ipairs(list) do
			item.key = id_key(item.id)
			commands[i] = GET:format(#item.key, item.key)
		end
	end)
	if not masks then
		return nil, err
	end
	for i, item in ipairs(list) do
		if masks[i] == ngx.null then
			item.new = true
			new[#new + 1] = item
		else
			item.mask = masks[i]
		end
	end
	return new
end

-- Gives each item {id, kind} of the list its mask. nil and what went wrong: then none may be used.
function M.assign(list)
	local red, err = M.connect()
	if not red then
		return nil, err
	end
	local new, ok
	new, err = look_up(red, list)
	ok = new ~= nil
	if ok and #new > 0 then
		ok, err = number(red, new)
	end
	if ok then
		ok, err = remember(red, list)
	end
	if not ok then
		red:close()
		return nil, err
	end
	M.release(red)
	return true
end

return M
