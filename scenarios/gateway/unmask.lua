-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- Puts identifiers back into an answer that comes in pieces cut anywhere. Only the masks of its own
-- request are known here: nobody gets another's identifiers by naming their masks.
local identifiers = require "identifiers"

-- The beginning of a mask at the end of a piece, or a whole one that may have more digits.
local UNFINISHED = [[A(?:W(?:S(?:_[A-Z0-9]{0,16}(?:_[0-9]{0,20})?)?)?)?\z]]

local M = {}
M.__index = M

-- names: mask -> identifier.
function M.new(names)
	return setmetatable({names = names, held = "", count = 0}, M)
end

function M:replace(text)
	return (ngx.re.gsub(text, identifiers.MASK, function(m)
		local id = self.names[m[0]]

		if not id then
			return m[0]
		end
		self.count = self.count + 1
		return id
	end, "jo"))
end

-- What can be passed on now that this piece is there.
function M:feed(piece, last)
	local text = self.held == "" and piece or self.held .. piece

	self.held = ""
	if not last then
		local from = ngx.re.find(text, UNFINISHED, "jo")

		if from then
			self.held = text:sub(from)
			text = text:sub(1, from - 1)
		end
	end
	return text == "" and text or self:replace(text)
end

return M
