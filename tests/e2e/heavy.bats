#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# More of everything than there is room for: names, connections, requests in flight, exemplars. What has
# no room is counted, all sums are exact, and hopscope's own memory does not grow.

load helpers
load tools/trace
load tools/flood

setup() {
	flood_setup
	ulimit -n "$(ulimit -H -n)"
}

teardown() {
	stop_all
	e2e_teardown
}

web='{"client 2xx": $n, "server 2xx": $n}'

@test "20,000 connections that open and close, by FIN and by reset" {
	local p=y02 n=10000 port
	port=$(free_port)
	nats_start n1
	trace_start t --port "$NATS_PORT" --port "$port" -i 0.1
	use_watch t
	flood_spawn http http "$port" /x n=$n per=1 rst=1
	flood nats nats "$NATS_PORT" "$p.x" n=$n per=1
	wait_exit http 60
	stop use-t || true
	trace_stop t
	check t clean "all == ($four + $web)" '.accounting.connections == 2 * (2 * $n + 1)'
	within t nats
	use_flat t 1024
}

@test "100,000 NATS requests in flight on one connection: what has no room is counted, no latency is wrong" {
	local p=y03 n=100000
	nats_start n1
	trace_start t --port "$NATS_PORT" --timeout 60 -i 0.2
	flood deep nats "$NATS_PORT" "$p.x" n=$n hold=600
	trace_stop t
	# Subscribers that answer nothing are soon left alone; whoever asks is followed while there is room.
	# A segment that a processor parses for as long as others wait for it is passed over ("busy"), one that
	# others overtook is a gap: what was in it is missing, in lines of 40 bytes and more, and nothing else is.
	check t identity '.accounting | .bytes_unparsed == 0 or .reasons.busy > 0 or .reasons.gap > 0' \
		'.accounting | (.bytes_unparsed / 40) as $most | 4 * $n - .seen | . >= 0 and . <= $most' \
		'.accounting | .in_flight == 0 and .dropped == .reasons.table_full + .reasons.gap_lost and
			.reasons.table_full > 0 and .reasons.gap_lost <= .bytes_unparsed / 40' \
		'.accounting | (.bytes_unparsed / 40) as $most | .one_way == .reasons.listener and
			(.orphans - .reasons.table_full - .one_way | fabs <= $most)' \
		'.accounting | .matched > 65536 and .unanswered == 0' \
		'[.series[].min_ns] | all(. >= 600e6)'
	within t deep
	jq -es 'map(.accounting.in_flight) | max > 65536' "$(out_of t)" >/dev/null
}

# The first half is 300 ms older than the second one.
@test "100,000 HTTP requests in flight on one connection: only the first ones, and with their own times" {
	local n=100000 port
	port=$(free_port)
	trace_start t --port "$port" --timeout 60
	flood deep http "$port" /x n=$n hold=300 pause=300
	trace_stop t
	check t identity '.accounting | .seen == 2 * $n and .matched + .dropped == 2 * $n and .in_flight == 0' \
		'.accounting | .dropped == .reasons.table_full and .orphans == .dropped' \
		'[.series[] | select(.part == null)] | length == 2 and all(.count >= 1016 and .min_ns >= 600e6)'
	within t deep http
}

@test "the reader of single exchanges is stopped: they are lost and counted, the statistics are whole" {
	local p=y05 n=50000
	nats_start n1
	trace_start t --port "$NATS_PORT" --sample 1 --timeout 60
	kill -STOP "$(pid_of t)"
	flood fast nats "$NATS_PORT" "$p.x" n=$n inflight=100
	kill -CONT "$(pid_of t)"
	trace_stop t
	check t clean "all == $four" '.accounting.exemplars_lost > 2 * $n'
	within t fast
	grep -q ' client .*flood' "$(log_of t)"
	[ $(($(grep -c -- ' -> :' "$(log_of t)") + $(jq .accounting.exemplars_lost "$BATS_TEST_TMPDIR/t.final"))) = $((4 * n)) ]
}

# The soak: everything that could be kept of each of them.
@test "a million subjects, a million paths, new connections all the time: exact sums, memory and files stay" {
	local p=y06 n port round
	port=$(free_port)
	nats_start n1
	trace_start t --port "$NATS_PORT" --port "$port" -i 0.5 --max-routes 64 --max-series 300 --sample 100000
	use_watch t
	for round in a b c d; do
		flood_spawn "http-$round" http "$port" "/$p/$round" n=250000 inflight=200 distinct=1
		flood_spawn "conns-$round" nats "$NATS_PORT" "$p.new" n=1000 per=1
		flood "nats-$round" nats "$NATS_PORT" "$p.$round" n=250000 inflight=500 distinct=1
		wait_exit "conns-$round" 60
		wait_exit "http-$round" 60
	done
	stop use-t || true
	trace_stop t
	n=1004000 check t clean "all | del(.[\"client 2xx\", \"server 2xx\"]) == $four"
	n=1000000 check t clean "all | {\"client 2xx\", \"server 2xx\"} == $web" '(routes | length) == 64' \
		'([.series[] | select(.route == "(other)" and .part == null).count] | add) as $other |
			$other > 5.9 * $n and .accounting.reasons.route_full == $other' \
		'.accounting.messages > 12 * $n'
	use_flat t 1024
}
