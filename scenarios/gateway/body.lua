-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- The identifiers in a JSON text, string by string, as JSON means them: "\u0069-0abc..." and
-- "\ni-0abc..." hold an instance. All but the identifiers stays as it was written.
local cjson = require "cjson.safe"
local identifiers = require "identifiers"

-- A whole number of as many digits as an account has, outside of strings.
local ACCOUNT = [[(?<![\d.eE+-])-?\d{12}(?![\d.eE])]]

local M = {}

local Body = {}
Body.__index = Body

function Body:add(text)
	self.pieces[#self.pieces + 1] = text
end

-- Leaves a place where the mask goes, once it is known.
function Body:add_identifier(id, kind, quoted)
	local known = self.index[id]

	if not known then
		known = #self.list + 1
		self.list[known] = {id = id, kind = kind}
		self.index[id] = known
	end
	self:add("")
	self.places[#self.places + 1] = {piece = #self.pieces, item = known, quoted = quoted}
end

-- Text between quotes, written as `encode` says.
function Body:add_string(text, encode)
	local pos = 1

	while true do
		local from, to, id, kind = identifiers.next(text, pos)
		if not from then
			break
		end
		if from > pos then
			self:add(encode(text:sub(pos, from - 1)))
		end
		self:add_identifier(id, kind, false)
		pos = to + 1
	end
	self:add(encode(text:sub(pos)))
end

-- What stands between strings. A number that may be an account's is masked, as a string.
function Body:add_structure(text)
	if #text < 12 or not text:find("%d%d%d%d%d%d%d%d%d%d%d%d") then
		return self:add(text)
	end
	local ctx, pos = {pos = 1}, 1
	while true do
		local from, to = ngx.re.find(text, ACCOUNT, "jo", ctx)
		if not from then
			break
		end
		self:add(text:sub(pos, from - 1))
		self:add_identifier(text:sub(from, to), "ACCOUNT", true)
		pos = to + 1
	end
	self:add(text:sub(pos))
end

local function as_it_is(text)
	return text
end

local function escaped(text)
	return cjson.encode(text):sub(2, -2)
end

-- Where the string that begins after the quote at `open` ends, and whether it holds escapes.
local function string_end(text, open)
	local pos, escapes = open + 1, false

	while true do
		local at = text:find('["\\]', pos)
		if text:byte(at) == 34 then
			return at, escapes
		end
		escapes = true
		pos = at + 2
	end
end

-- The body in pieces with its identifiers in `list`; nil when it is not JSON.
function M.parse(text)
	-- Checked as a whole first: from there on every quote has its partner.
	if type(cjson.decode(text)) ~= "table" then
		return nil
	end
	local body = setmetatable({pieces = {}, places = {}, list = {}, index = {}}, Body)
	local pos = 1
	while true do
		local open = text:find('"', pos, true)
		if not open then
			break
		end
		local close, escapes = string_end(text, open)
		body:add_structure(text:sub(pos, open))
		local inner = text:sub(open + 1, close - 1)
		local plain = escapes and cjson.decode('["' .. inner .. '"]')[1] or inner
		if #plain < identifiers.SHORTEST or not identifiers.next(plain, 1) then
			body:add(inner)
		else
			body:add_string(plain, escapes and escaped or as_it_is)
		end
		pos = close
		body:add('"')
		pos = close + 1
	end
	body:add_structure(text:sub(pos))
	return body
end

-- The body with the masks that `list` has by now, and how many places that were.
function Body:masked()
	for _, place in ipairs(self.places) do
		local mask = self.list[place.item].mask

		self.pieces[place.piece] = place.quoted and '"' .. mask .. '"' or mask
	end
	return table.concat(self.pieces), #self.places
end

return M
