# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# For tests/vm/smoke: more in flight on a connection than its own state has room for. What has none
# there is in storages of the socket, which a kernel may not have in that size.

# deep KIND PORT WHAT N INFLIGHT VIEWS: each is counted in all views, as jq has them.
deep() {
	need trace $hopscope trace -d 1 --json
	spawn t $hopscope trace --json --port "$2"
	wait_said t tracing
	spawn calls "$PWD/$BUILD/tests/e2e/tools/flood" "$1" 127.0.0.1 "$2" "$3" n="$4" inflight="$5"
	wait_exit calls
	[ $rc = 0 ] || fail 'calls failed'
	stop t
	[ $rc = 0 ] || fail "trace ended with code $rc"
	holds "$tmp/t.out" \
		"[.series[] | select(.part == null) | {(.role): .count}] | add == $6" \
		'.accounting | .matched == .seen and .dropped == 0 and .orphans == 0'
}

test_deep_nats() {
	local n=2000
	spawn nats nats-server --addr 127.0.0.1 --port 14229
	wait_for 60 connects 127.0.0.1 14229
	deep nats 14229 deep.x $n 300 "{client: $n, broker: $n, broker_out: $n, service: $n}"
}

test_deep_http() {
	deep http 14382 /deep 2000 900 '{client: 2000, server: 2000}'
}

run_test 'trace: 300 NATS requests in flight on one connection' test_deep_nats
run_test 'trace: a pipeline of 900 HTTP requests' test_deep_http
