-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- Which parts of a text are AWS identifiers. In doubt one is found: a mask too many is put back in
-- the answer, one too few is a leak.
local byte = string.byte

-- No word boundary (\b): it takes '_' for a letter, and "vpc_i-0abc..." hides an instance then.
local OCTET = [[(?:25[0-5]|2[0-4]\d|[01]?\d?\d)]]
local PATTERN = table.concat({
	[[(?<![A-Za-z0-9])arn:aws[a-z-]*:[A-Za-z0-9-]*:[A-Za-z0-9-]*:(?:\d{12}|aws)?:]] ..
		[=[[A-Za-z0-9_+=,.@:/*$?-]*[A-Za-z0-9_/*]]=],
	[[(?<![A-Za-z0-9])(?:i|vpc|subnet|sg)-[0-9a-f]{8}(?:[0-9a-f]{9})?(?![A-Za-z0-9])]],
	[[(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])]],
	[[(?<!\d)(?:]] .. OCTET .. [[\.){3}]] .. OCTET .. [[(?!\d)]],
	[[(?<!\d)\d{12}(?!\d)]],
}, "|")

local M = {
	SHORTEST = 7, -- 1.1.1.1
	-- Of one this module makes masks from.
	MASK = [[AWS_[A-Z0-9]+_[0-9]+]],
}

-- Addresses that say nothing outside their own network stay.
local function private(address)
	local a, b = address:match("^(%d+)%.(%d+)")

	a, b = tonumber(a), tonumber(b)
	return a == 0 or a == 10 or a == 127 or a >= 224 or (a == 169 and b == 254) or
		(a == 172 and b >= 16 and b <= 31) or (a == 192 and b == 168) or
		(a == 100 and b >= 64 and b <= 127)
end

local function kind_of(id)
	local c = byte(id)

	if c == 105 then
		return "EC2" -- i
	elseif c == 118 then
		return "VPC" -- v
	elseif c == 115 then
		return byte(id, 2) == 117 and "SUBNET" or "SG" -- su, sg
	elseif c == 97 then
		return "ARN" -- a
	elseif c == 65 then
		return "KEY" -- A
	end
	return id:find(".", 1, true) and "IP" or "ACCOUNT"
end

-- The next at or after `pos`: from, to, identifier, kind; nil when there is none.
function M.next(text, pos)
	local ctx = {pos = pos}

	while true do
		local from, to, err = ngx.re.find(text, PATTERN, "jo", ctx)
		if err then
			error("looking for identifiers: " .. err)
		elseif not from then
			return nil
		end
		local id = text:sub(from, to)
		local kind = kind_of(id)
		if kind ~= "IP" or not private(id) then
			return from, to, id, kind
		end
		-- "10.54.1.2.3" holds a public one.
		ctx.pos = from + 1
	end
end

return M
