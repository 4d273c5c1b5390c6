#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# What `hopscope hops` prints and writes on this kernel, beside a nats-server and clients that nobody
# here wrote. Whether the times are right is tests/e2e/hops.bats' matter, how they are drawn that of
# tests/golden/hops.bats.

load helpers
load tools/trace

setup_file() {
	node_ready
}

setup() {
	e2e_setup
	need_bpf
	need_command nats-server jq node
	n=60
	nats_start n1
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"v.*\"}"
}

teardown() {
	stop_all
	e2e_teardown
}

# hops_run OPTIONS: beside n requests, ended by Ctrl-C; what it prints is in $(out_of h).
hops_run() {
	local rc=0
	spawn_out h "$(out_of h)" "$HOPSCOPE" hops --port "$NATS_PORT" "$@"
	wait_until 20 grep -q following "$(log_of h)"
	node_run requests "{\"url\": \"$NATS_URL\", \"subject\": \"v.echo\", \"n\": $n, \"size\": 32}" \
		>"$(out_of client)"
	stop h INT || rc=$?
	[ "$rc" = 0 ]
}

@test "waterfalls an interval and at the end, the slowest and some by chance, a picture, a table" {
	hops_run -i 0.5 --slowest 3 --sample 4 --svg "$BATS_TEST_TMPDIR/h.svg" --md "$BATS_TEST_TMPDIR/h.md"
	grep -qE '^[0-9][0-9]:[0-9][0-9]:[0-9][0-9]$' "$(out_of h)"
	sed -n '/^total of/,$p' "$(out_of h)" >"$BATS_TEST_TMPDIR/total"
	grep -q "^v.echo  nats ok: $n exchanges, mean " "$BATS_TEST_TMPDIR/total"
	grep -qE '^  node \(client\) > nats-server > node \(service\)$' "$BATS_TEST_TMPDIR/total"
	grep -qE "^   → nats-server :$NATS_PORT " "$BATS_TEST_TMPDIR/total"
	grep -qE "^     ● node :$NATS_PORT itself " "$BATS_TEST_TMPDIR/total"
	grep -qE "^   ← nats-server :$NATS_PORT " "$BATS_TEST_TMPDIR/total"
	grep -qE '^  residual \(not visible\) +0ns +0.0 %$' "$BATS_TEST_TMPDIR/total"
	grep -qE '^followed hop by hop: [0-9]+ exchanges' "$BATS_TEST_TMPDIR/total"
	grep -q '^seen ' "$BATS_TEST_TMPDIR/total"
	grep -qx 'slowest exchanges: 3' "$BATS_TEST_TMPDIR/total"
	[ "$(grep -c ', taken by chance$' "$(out_of h)")" -gt 0 ]
	grep -q "</svg>" "$BATS_TEST_TMPDIR/h.svg"
	grep -q "· nats-server :$NATS_PORT | process | there" "$BATS_TEST_TMPDIR/h.md"
}

@test "--json: the last line has the slowest, most time first, and can be printed again" {
	hops_run -i 600 --json --slowest 5
	tail -n 1 "$(out_of h)" >"$BATS_TEST_TMPDIR/final"
	jq -e --argjson n $n '.final and (.hops | length == 1) and (.hops[0] | .count == $n and
			([.edges[].mean_ns] | add) - .rtt_mean_ns < 1 and .unsettled_mean_ns == 0) and
		(.timelines | length == 5) and ([.timelines[].duration_ns] | . == (sort | reverse)) and
		.timelines[0].duration_ns == .hops[0].rtt_max_ns and .hop_accounting.timelines_lost == 0 and
		.hop_accounting.complete == $n' "$BATS_TEST_TMPDIR/final"
	"$HOPSCOPE" hops --from "$BATS_TEST_TMPDIR/final" | grep "^v.echo  nats ok: $n exchanges"
}

@test "nothing to see: NO DATA, and exit code 0" {
	run --separate-stderr "$HOPSCOPE" hops --port 1 -d 0.3
	[ "$status" = 0 ]
	[[ $output == *'NO DATA: no exchange was seen'* ]]
	[[ $stderr == *'no message was seen'* ]]
}
