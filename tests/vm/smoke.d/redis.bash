# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# For tests/vm/smoke: Redis by redis-cli and redis-server.

test_redis() {
	need trace $hopscope trace -d 1 --json
	spawn redis redis-server --bind 127.0.0.1 --port 14379 --save '' --dir "$tmp"
	wait_for 60 connects 127.0.0.1 14379
	spawn t $hopscope trace --json --port 14379
	wait_said t tracing
	redis-cli -p 14379 -r 50 SET k 1
	redis-cli -p 14379 -r 50 LPOP k # of the wrong type
	redis-cli -p 14379 -r 30 GET k
	stop t
	[ $rc = 0 ] || fail "trace ended with code $rc"
	cp "$tmp/t.out" "$tmp/keep.redis.json"
	holds "$tmp/t.out" \
		'[.series[] | select(.part == null and (.route | IN("SET", "GET", "LPOP"))) |
			{"\(.role) \(.route) \(.status)": .count}] | add == {
			"client SET ok": 50, "server SET ok": 50, "client GET ok": 30, "server GET ok": 30,
			"client LPOP error": 50, "server LPOP error": 50}' \
		'.accounting | .seen == .matched + .one_way + .in_flight + .unanswered + .dropped and .dropped == 0'
}

run_test 'trace: Redis commands counted exactly, at both ends, by outcome' test_redis
