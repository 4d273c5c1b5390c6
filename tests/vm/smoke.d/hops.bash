# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# For tests/vm/smoke: the sockets that a request passes, and the time between them.

test_hops() {
	local n=200 url=nats://127.0.0.1:14224
	need trace $hopscope hops -d 1 --json
	spawn nats nats-server --addr 127.0.0.1 --port 14224
	wait_for 60 connects 127.0.0.1 14224
	spawn h $hopscope hops --json --port 14224
	wait_said h following
	calls $url $n
	stop h
	[ $rc = 0 ] || fail "hops ended with code $rc"
	cp "$tmp/h.out" "$tmp/keep.hops.json"
	holds "$tmp/h.out" \
		'[.hops[] | select(.route == "rpc.s.echo") | [.count, ([.spans[].role] | join(" "))]] ==
			[['$n', "client broker broker_out service"]]' \
		'[.hops[] | ([.edges[].mean_ns] | add) - .rtt_mean_ns | fabs < 10] | all' \
		'.hop_accounting | del(.complete) | all(. == 0)'
}

run_test 'hops: the sockets of NATS requests, all of them, and their sum' test_hops
