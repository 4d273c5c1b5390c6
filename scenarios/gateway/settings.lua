-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- What the scenario says, for the Lua parts.
return {
	redis_port = @REDIS_PORT@,
	redis_timeout_ms = @REDIS_TIMEOUT_MS@,
	upstream_timeout_ms = @UPSTREAM_TIMEOUT_MS@,
	map_ttl_s = @MAP_TTL_S@,
	hash_key = "@HASH_KEY@",
	breaker_failures = @BREAKER_FAILURES@,
	breaker_open_ms = @BREAKER_OPEN_MS@,

	latency = {
		kind = "@LATENCY_KIND@",
		low_us = @LATENCY_LOW_US@,
		high_us = @LATENCY_HIGH_US@,
		sigma = @LATENCY_SIGMA@,
		slow_share = @LATENCY_SLOW_SHARE@,
		slow_us = @LATENCY_SLOW_US@,
		at_most_us = @LATENCY_AT_MOST_US@,
	},
	api_delay_us = @API_DELAY_US@,
	error_share = @ERROR_SHARE@,
	seed = @SEED@,
}
