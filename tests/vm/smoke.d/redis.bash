# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# For tests/vm/smoke: Redis commands, one by one and a pipeline in one segment, counted at both ends.

test_redis() {
	local n=100
	need trace $hopscope trace -d 1 --json
	spawn redis redis-server --port 16380 --bind 127.0.0.1 --save '' --dir "$tmp"
	wait_for 60 connects 127.0.0.1 16380
	spawn t $hopscope trace --json --port 16380
	wait_said t tracing
	seq $n | sed 's/.*/SET key:& value/' | redis-cli -p 16380 >/dev/null
	# None waits for the answer of the one before.
	for ((i = 0; i < n; i++)); do
		printf '*2\r\n$3\r\nGET\r\n$5\r\nkey:1\r\n'
	done >"$tmp/pipeline"
	exec 5<>/dev/tcp/127.0.0.1/16380
	cat "$tmp/pipeline" >&5
	timeout 60 head -c $((n * 11)) <&5 >"$tmp/answers" # "$5\r\nvalue\r\n"
	exec 5>&-
	[ "$(grep -c value "$tmp/answers")" = $n ]
	stop t
	[ $rc = 0 ] || fail "trace ended with code $rc"
	cp "$tmp/t.out" "$tmp/keep.redis.json"
	holds "$tmp/t.out" \
		'[.series[] | select(.proto == "redis" and (.route | IN("GET", "SET"))) |
			"\(.role) \(.route) \(.status) \(.count)"] | sort ==
			["client GET ok '$n'", "client SET ok '$n'", "server GET ok '$n'", "server SET ok '$n'"]' \
		'.accounting | .seen == .matched and .orphans == 0 and .dropped == 0' \
		'.accounting | .bytes_seen == .bytes_framed + .bytes_unparsed and .bytes_unparsed == 0'
}

run_test 'trace: Redis commands counted exactly, at both ends, with a pipeline' test_redis
