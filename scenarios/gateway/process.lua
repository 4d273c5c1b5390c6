-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- What every worker process of nginx needs: to end with its master, a clock, a delay.
local ffi = require "ffi"

ffi.cdef [[
	struct gw_timespec { long sec; long nsec; };
	int clock_gettime(int clock, struct gw_timespec *t);
	int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
	int getpid(void);
	int getppid(void);
	int kill(int pid, int signal);
]]

local CLOCK_MONOTONIC, PR_SET_PDEATHSIG, SIGKILL = 1, 1, 9

local M = {}
local master
local t = ffi.new("struct gw_timespec")

-- In the master, before it forks.
function M.init()
	master = ffi.C.getpid()
end

-- A worker whose master was killed would go on to serve: nginx does not look.
function M.init_worker()
	ffi.C.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
	-- It may have gone before prctl(): then no signal will come.
	if ffi.C.getppid() ~= master then
		ffi.C.kill(ffi.C.getpid(), SIGKILL)
	end
end

-- Microseconds; ngx.now() has milliseconds, and those of the last turn of the event loop.
function M.now_us()
	ffi.C.clock_gettime(CLOCK_MONOTONIC, t)
	return tonumber(t.sec) * 1e6 + tonumber(t.nsec) / 1e3
end

-- Returns when `us` have passed since `since`, and how long it was. nginx's timers have whole
-- milliseconds and may fire one early, when something else has woken it: so as near as half of one,
-- if the processor is free.
function M.wait_us(since, us)
	while true do
		ngx.update_time()
		local left = us - (M.now_us() - since)

		if left <= 500 then
			return M.now_us() - since
		end
		ngx.sleep(math.floor(left / 1000 + 0.5) / 1000)
	end
end

-- For an access phase: a delay of known size, told in the answer.
function M.delay(us)
	ngx.header["X-Proxy-Delay-Us"] = string.format("%.0f", M.wait_us(M.now_us(), us))
end

return M
