#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope bench` of a gateway scenario as a user meets it, bad luck included.

load helpers
load tools/bench

setup() {
	bench_setup gateway_small.yaml gateway
}

teardown() {
	bench_teardown
}

need_gateway() {
	need_bpf
	need_command nginx redis-server openssl jq
}

# without SECTION: out of the scenario.
without() {
	sed -i "/^$1:/,/^[a-z]/{/^$1:/d;/^ /d}" "$scenario"
}

# keep_log NAME FILE: the access log of a service of the run, as a link to it.
keep_log() {
	local log
	log=$(find "$TMPDIR" -path "*$1*" -name '*.log' -size +0 | grep -m 1 access)
	[ -n "$log" ] && ln "$log" "$2"
}

# posts FILE [CODE]: how many requests an access log has.
posts() {
	jq -s --argjson code "${2:-0}" \
		'[.[] | select(.method == "POST" and ($code == 0 or .status == $code))] | length' "$1"
}

# ---- before anything is started

@test "gateway: an unknown key and an impossible value are named with their lines" {
	sed -i 's/^  failures: 5/  failurs: 5/' "$scenario"
	line=$(grep -n failurs "$scenario" | cut -d : -f 1)
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 2 ]
	[ -z "$output" ]
	[ "$stderr" = "hopscope: $scenario:$line: unknown key 'breaker.failurs'; known here: failures, seconds" ]
	[ ! -e "$out" ]
	sed -i 's/^  failurs: 5/  failures: 0/' "$scenario"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 2 ]
	[[ $stderr == *":$line: breaker.failures: 0 is out of range: 1 to 1000" ]]
}

@test "gateway: options of the other kind of scenario, templates that are not there" {
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --nats-url 127.0.0.1
	[ "$status" = 2 ]
	[[ $stderr == *"--nats-url, --nats-server, --ab and --ab-only are for scenarios of NATS"* ]]
	need_gateway
	rm -r "$BATS_TEST_TMPDIR/gateway"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 1 ]
	[[ $stderr == *"gateway"* ]]
	[ ! -e "$out" ]
}

# ---- a run

@test "gateway: a run measures, judges, reports, agrees with nginx, and leaves nothing" {
	need_gateway
	start
	pid=$SPAWNED
	wait_until 40 has_begun 'load, 100'
	keep_log nginx-claude-proxy "$BATS_TEST_TMPDIR/access"
	rc=0
	wait_exit run 90 || rc=$?
	# 4: on a busy machine something may be INCONCLUSIVE; nothing may fail.
	[ "$rc" = 0 ] || [ "$rc" = 4 ]
	no_traces_of "$pid"
	[ "$(session .complete)" = true ]
	[ "$(session .kind)" = gateway ]
	[ "$(session '[.phases[].name] | join(",")')" = "response time,load, 100 requests/s,kill kong-gateway,stop redis-cache,hops,leak watch" ]
	[ "$(session '[.targets[] | select(.verdict == "FAIL" or .verdict == "NO DATA")] | length')" = 0 ]

	# nginx has logged each request and nothing else: those of the phases, twice 20 to warm up, 300
	# with which the probe's cost was measured; and answered what the client counted.
	attempted=$(session '[.phases[] | .attempted // 0] | add')
	[ "$(posts "$BATS_TEST_TMPDIR/access")" = $((attempted + 340)) ]
	for code in 502 503 504; do
		[ "$(posts "$BATS_TEST_TMPDIR/access" $code)" = "$(session "[.phases[] | .codes[\"$code\"] // 0] | add")" ]
	done

	# The kernel counted each answer as the client did, and within what the client waited.
	[ "$(session '[.phases[] | select(.kind == "response" or .kind == "load" or .kind == "hops") | .kernel_answers == .attempted] | all')" = true ]
	[ "$(session '[.phases[] | select(.kind == "response") | .latency.kernel.mean_ns <= .latency.client.mean_ns] | all')" = true ]
	[ "$(session .accounting.holds)" = true ]
	[ "$(session '.overhead.ns_per_exchange > 0')" = true ]

	# Faults: seen as what they are, in order, and over.
	[ "$(session '[.phases[] | select(.kind == "fault").fault | .recovered and .affected and .failed > 0] | all')" = true ]
	[ "$(session '.phases[] | select(.name == "kill kong-gateway").fault | .first_failure')" = 502 ]
	[ "$(session '.phases[] | select(.name == "kill kong-gateway").fault.codes["502"] > 20')" = true ]
	[ "$(session '.phases[] | select(.name == "stop redis-cache").fault.codes["503"] > 20')" = true ]
	[ "$(session '.phases[] | select(.name == "stop redis-cache").fault | .breaker_opened >= 1 and .breaker_refused > 20')" = true ]
	# Down for 0.7 s, and known to a bucket of 0.1 s at either end.
	[ "$(session '[.phases[] | select(.kind == "fault").fault | .undone_s - .done_s >= 0.7 and .downtime_s >= 0.499 and .healthy_s > 0 and .baseline.buckets >= 10] | all')" = true ]
	[ "$(session '[.phases[] | select(.kind == "fault") | .failed == ([.codes | to_entries[] | select(.key != "200").value] | add)] | all')" = true ]

	# Both masking counters, and what the API counted.
	[ "$(session '.masking | .api_with_identifiers == 0 and .bad_bodies == 0 and .masked > 0')" = true ]
	# Those under way when the gateway was killed reached the API, and not the client.
	good=$(posts "$BATS_TEST_TMPDIR/access" 200) lost=$(posts "$BATS_TEST_TMPDIR/access" 502)
	[ "$(session ".masking.api_requests | . >= $good and . <= $good + $lost")" = true ]

	# Containers: a restart begins a new stretch; processor and memory are figures.
	[ "$(session '[.phases[] | select(.kind == "memory").growth[] | select(.name == "kong-gateway" or .name == "redis-cache") | .stretches] | unique | join(",")')" = 2 ]
	[ "$(session '[.phases[] | select(.kind == "load").resources[] | .cpu_percent > 0 and .working_set_bytes > 500000] | all')" = true ]
	[ "$(session '.health[] | select(.name == "kong-gateway") | .starts == 2 and .begin.healthy and .end.healthy')" = true ]

	# Hop by hop, through both servers to the connection over TLS, behind which is most of the time.
	session '.phases[] | select(.kind == "hops")' >"$BATS_TEST_TMPDIR/hops"
	expect_hops "$BATS_TEST_TMPDIR/hops"
	[ "$(jq '.hops | all([.spans[].container | split("/")[-1]] ==
		["claude-client", "nginx-claude-proxy", "nginx-claude-proxy", "kong-gateway", "kong-gateway"])' "$BATS_TEST_TMPDIR/hops")" = true ]
	[ "$(jq '[.hops[] | .count * ([.edges[] | select(.kind == "beyond") | .mean_ns] | add)] | add / 5e6' "$BATS_TEST_TMPDIR/hops" |
		jq --argjson n "$(jq .succeeded "$BATS_TEST_TMPDIR/hops")" '. / $n >= 1')" = true ]
	# What that costs is in no reading of a container, and in no availability.
	[ "$(session '(.phases[] | select(.kind == "hops").at_s) as $at | [.phases[] | select(.kind == "memory").growth[].readings[-1][0]] |
		length > 0 and max <= $at')" = true ]
	[ "$(session '.availability.due <= ([.phases[] | select(.kind != "hops") | .attempted // 0] | add)')" = true ]
	"$HOPSCOPE" report "$out" --format hops.svg | cmp - "$out/hops.svg"
	grep -q '](hops.svg)' "$out/report.md"

	# The report comes from the session and from nothing else.
	cmp "$BATS_TEST_TMPDIR/stdout" "$out/report.md"
	"$HOPSCOPE" report "$out" | cmp - "$out/report.md"
}

@test "gateway: --json without the probe, a target that is missed: exit code 3" {
	need_gateway
	without faults
	sed -i '/recovery_time/,+1d; s/at_most: 5 s/at_most: 1 us/' "$scenario"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --no-probe --json -q
	[ "$status" = 3 ]
	# What others leave on the machine is told, too.
	! grep -v 'left alone$' <<<"$stderr" | grep -q . || false
	cmp <(echo "$output") "$out/session.json"
	[ "$(session '.targets[0].verdict')" = FAIL ]
	[ "$(session '[.phases[] | select(.kind == "load") | .latency.kernel, .kernel_answers, .critical_paths] | unique | .[0]')" = null ]
	[ "$(session .accounting)" = null ]
	grep -q "kernel's own measurement beside the client's: NO DATA" "$out/report.md"
	grep -A2 '^## Critical path' "$out/report.md" | grep -q 'NO DATA'
	grep -A2 '^## Failure recovery' "$out/report.md" | grep -q 'NO DATA'
}

@test "gateway: everything fails: the latency is INVALID, success is a FAIL, nothing is called fast" {
	need_gateway
	without faults
	sed -i '/recovery_time/,+1d' "$scenario"
	# The gateway gives the API up before it can have answered.
	sed -i 's/fixed 5 ms/fixed 200 ms\n  upstream_timeout_ms: 20/; s/failures: 5/failures: 1000/' "$scenario"
	start --no-probe
	rc=0
	wait_exit run 60 || rc=$?
	if [ "$rc" = 1 ]; then
		# Not even the warm-up: no report that could be taken for one.
		grep -q 'none of 20 requests through the gateway succeeded' "$(log_of run)"
		[ ! -e "$out/report.md" ]
	else
		[ "$rc" = 3 ]
		[ "$(session '.targets[] | select(.name == "response time, average").verdict')" = INVALID ]
	fi
}

# ---- an end before the end

@test "gateway: Ctrl-C while a service is frozen: a partial report, exit code 1, nothing left" {
	need_gateway
	sed -i 's/fault: kill, container: kong-gateway/fault: pause, container: nginx-claude-proxy, down: 30/' "$scenario"
	start
	pid=$SPAWNED
	wait_until 60 has_begun 'pause nginx-claude-proxy: done'
	kill -INT "$pid"
	rc=0
	wait_exit run 15 || rc=$?
	[ "$rc" = 1 ]
	no_traces_of "$pid"
	[ "$(session .complete)" = false ]
	[[ $(session .incomplete_reason) == "a signal (Interrupt) ended it" ]]
	[ "$(session '.targets[] | select(.name == "success (at 100/s)").verdict')" = PASS ]
	[ "$(session '.targets[] | select(.name == "recovery (stop redis-cache)").verdict')" = "NO DATA" ]
	grep -q '^> \*\*Partial run' "$out/report.md"
	"$HOPSCOPE" report "$out" | cmp - "$out/report.md"
}

@test "gateway: kill -9: the services go with it, and the next start leaves nothing" {
	need_gateway
	start --no-probe
	pid=$SPAWNED
	wait_until 60 has_begun 'load, 100'
	redis=$(head -n 1 "$(e2e_cgroup2)/hopscope-$pid/redis-cache/cgroup.procs")
	kill -KILL "$pid"
	wait_exit run 5 || true
	# By PR_SET_PDEATHSIG.
	wait_until 3 e2e_ended "$redis"
	without faults
	sed -i '/recovery_time/,+1d' "$scenario"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --no-probe
	[[ $stderr == *"cleaning up after an earlier run that was killed (pid $pid)"* ]]
	no_traces_of "$pid"
}
