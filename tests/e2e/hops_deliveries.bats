#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope hops --deliveries`: messages that nobody answers, from who publishes to each subscriber.

load helpers
load tools/trace
load tools/hops

setup_file() {
	node_ready
}

setup() {
	e2e_setup
	need_bpf
	need_command nats-server jq node curl
}

teardown() {
	stop_all
	e2e_teardown
}

route_is_up() {
	[ "$(curl -s "http://127.0.0.1:$1/routez" | jq .num_routes)" = 1 ]
}

route_knows() {
	curl -s "http://127.0.0.1:$1/routez?subs=1" |
		jq -e --arg s "$2" '[.routes[].subscriptions_list // [] | .[]] | index($s) != null' >/dev/null
}

# Two servers: $c0, $c1 clients' ports, $r0, $r1 routes', $http of the first.
pair() {
	free_ports c0 c1 r0 r1
	nats_start n0 --port "$c0" --cluster_name p --cluster "nats://127.0.0.1:$r0" \
		--routes "nats://127.0.0.1:$r1"
	http=$NATS_HTTP_PORT
	nats_start n1 --port "$c1" --cluster_name p --cluster "nats://127.0.0.1:$r1" \
		--routes "nats://127.0.0.1:$r0"
	wait_until 10 route_is_up "$http"
}

# subscriber NAME PORT SUBJECT N
subscriber() {
	node_spawn "$1" deliver \
		"{\"role\": \"sub\", \"url\": \"nats://127.0.0.1:$2\", \"subject\": \"$3\", \"n\": $4}"
}

@test "to each subscriber, near and far: all of them, the sockets between, no longer than they took" {
	local n=200 s=dlv.one
	pair
	subscriber near "$c0" $s $n
	subscriber far "$c1" $s $n
	wait_until 10 route_knows "$http" $s
	hops_start h --deliveries --port "$c0" --port "$c1" --port "$r0" --port "$r1"
	node_run deliver "{\"url\": \"nats://127.0.0.1:$c0\", \"subject\": \"$s\", \"n\": $n}"
	wait_exit near 20
	wait_exit far 20
	hops_stop h
	# What a subscriber measured begins before the first socket, and ends behind the last one.
	expect "$BATS_TEST_TMPDIR/h.final" '.hop_accounting |
		.delivered == '$((2 * n))' and .alike == 0 and .cut == 0' \
		'[.hops[] | select(.route == "'$s'") | .one_way] == [true, true]' \
		'[.hops[] | select(.route == "'$s'") | .count] == ['$n', '$n']' \
		'[.hops[] | select(.route == "'$s'") | [.spans[].role] | join(" ")] | sort ==
			["client broker broker_out service",
			 "client broker route route_in broker_out service"]' \
		'[.hops[] | select(.route == "'$s'") | .edges[].direction] | unique == ["there"]' \
		'[.hops[] | select(.route == "'$s'") |
			(.rtt_mean_ns - ([.edges[].mean_ns] | add)) | fabs < 1] | all' \
		'[.hops[] | select(.route == "'$s'" and (.spans | length) == 4)][0].rtt_mean_ns > 0 and
		 [.hops[] | select(.route == "'$s'" and (.spans | length) == 4)][0].rtt_mean_ns <
			'"$(jq .mean_ns "$(out_of near)")" \
		'[.hops[] | select(.route == "'$s'" and (.spans | length) == 6)][0].rtt_mean_ns <
			'"$(jq .mean_ns "$(out_of far)")"
}

@test "a broker that is stopped: what was published meanwhile waited there, and nowhere else" {
	local n=100 s=dlv.stop i
	nats_start n0
	subscriber near "$NATS_PORT" $s $n
	hops_start h --deliveries --port "$NATS_PORT"
	node_spawn pub deliver \
		"{\"url\": \"nats://127.0.0.1:$NATS_PORT\", \"subject\": \"$s\", \"n\": $n, \"pause\": 15}" publishing
	for ((i = 0; i < 4; i++)); do
		kill -STOP "$(pid_of n0)"
		sleep 0.2
		kill -CONT "$(pid_of n0)"
		sleep 0.1
	done
	wait_exit pub 30
	wait_exit near 20
	hops_stop h
	# Of each stop's messages the first half waited for longer than half of it.
	expect "$BATS_TEST_TMPDIR/h.final" '.hop_accounting.delivered == '$n \
		'[.hops[].edges[] | [.span, .direction, .kind]] ==
			[[1, "there", "network"], [2, "there", "process"], [3, "there", "network"]]' \
		'.hops[0].rtt_max_ns | . > 100000000 and . < '"$(jq .max_ns "$(out_of near)")" \
		'[.hops[0].edges[].p99_ns] | .[1] > 90000000 and .[0] < .[1] / 2 and .[2] < .[1] / 2' \
		'.hops[0].edges[1] | .queue_mean_ns > 0.8 * .mean_ns'
}

@test "messages that are alike are counted, and not measured" {
	local n=50 s=dlv.alike
	pair
	subscriber near "$c0" $s $n
	hops_start h --deliveries --port "$c0"
	node_run deliver "{\"url\": \"nats://127.0.0.1:$c0\", \"subject\": \"$s\", \"n\": $n, \"alike\": true}"
	wait_exit near 20
	hops_stop h
	# The first one was alone until it had arrived.
	expect "$BATS_TEST_TMPDIR/h.final" '.hop_accounting | .delivered <= 1 and .alike >= '$((2 * n - 2)) \
		'[.hops[] | select(.route == "'$s'").count] | add // 0 <= 1'
}

@test "without --deliveries nothing of them is recorded" {
	local n=20 s=dlv.off
	pair
	subscriber near "$c0" $s $n
	hops_start h --port "$c0"
	node_run deliver "{\"url\": \"nats://127.0.0.1:$c0\", \"subject\": \"$s\", \"n\": $n}"
	wait_exit near 20
	hops_stop h
	expect "$BATS_TEST_TMPDIR/h.final" '.hops == []' '.hop_accounting.delivered == 0' \
		'.accounting.one_way >= '$n
}
