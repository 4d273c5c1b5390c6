#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope bench` of a port-forward scenario as a user meets it. Times are compared and never
# asserted; counts are exact.

load helpers
load tools/bench

setup() {
	bench_setup portforward_small.yaml port-forward
}

teardown() {
	bench_teardown
}

need_forward() {
	need_bpf
	need_command nats-server nginx socat sshd ssh nft jq
}

# lacks GREP-OPTIONS: it is not there. (The status of `! grep` would be nobody's.)
lacks() {
	if grep "$@"; then
		echo "found: $*" >&2
		return 1
	fi
}

@test "port-forward: an unknown key and an impossible value are named with their lines" {
	sed -i 's/^  tunnels: 3/  tunels: 3/' "$scenario"
	line=$(grep -n tunels "$scenario" | cut -d : -f 1)
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 2 ]
	[ -z "$output" ]
	[ "$stderr" = "hopscope: $scenario:$line: unknown key 'sweep.tunels'; known here: payload, concurrency, pool, pool_concurrency, tunnels, bulk, bulk_concurrency" ]
	[ ! -e "$out" ]
	sed -i 's/^  tunels: 3/  tunnels: 99/' "$scenario"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 2 ]
	[[ $stderr == *":$line: sweep.tunnels: 99 is out of range: 0 to 5" ]]
}

@test "port-forward: options of NATS are refused, and a folder that is not there is named" {
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --nats-url 127.0.0.1
	[ "$status" = 2 ]
	[[ $stderr == *"are for scenarios of NATS"* ]]
	need_forward
	rm -r "$BATS_TEST_TMPDIR/port-forward"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 1 ]
	[[ $stderr == *"the folder port-forward/"* ]]
	[ ! -e "$out" ]
}

@test "port-forward: a run measures every way at every point, follows the hops, and leaves nothing" {
	need_forward
	start
	pid=$SPAWNED
	rc=0
	wait_exit run 120 || rc=$?
	[ "$rc" = 0 ]
	no_traces_of "$pid"
	[ "$(session .complete)" = true ]
	[ "$(session .kind)" = port-forward ]
	[ "$(session '[.ways[] | select(.available) | .name] | join(",")')" = direct,dnat,socat,ssh ]

	# NATS: base, 2 payloads, 10 at a time; pool of 1 and of 3 at 6, of 3 to 3 servers, beside 2 neighbours. HTTP: base, 2, 10.
	[ "$(session '.phases | length')" = $((4 * (9 + 4))) ]
	[ "$(session '[.phases[] | .rounds == 6 and .attempted > 0 and .failed == 0 and .succeeded == .attempted] | all')" = true ]
	[ "$(session '[.phases[] | .latency.client.count == .succeeded] | all')" = true ]
	[ "$(session '[.phases[] | select(.way == "direct") | .added] | unique | .[0]')" = null ]
	# Six rounds are enough for an interval, and each of them has a pair.
	[ "$(session '[.phases[] | select(.way != "direct") | .added.p50_ns | .n == 6 and .ci_low <= .value and .value <= .ci_high] | all')" = true ]
	[ "$(session '[.analysis[] | select(.workload == "nats") | .payload.growth_ns.n, .concurrency.growth_ns.n, .tunnels.growth_ns.n, .neighbour.growth_ns.n] | unique | .[0]')" = 6 ]

	# A process in between takes time and a processor; the kernel's own ways have none.
	[ "$(session '[.phases[] | select(.way == "socat" and .base) | .relays_ns_per_request.value > 0] | all')" = true ]
	# On a busy machine neither the quickest of all nor the median says so for sure, but one of them.
	for w in nats http; do
		[ "$(session "[.phases[] | select(.base and .workload == \"$w\")] | INDEX(.way) |
			[(map_values(.latency.client.min_ns), map_values(.latency.client.quantiles.p50.value)) |
			.socat > .direct] | any")" = true ]
	done
	[ "$(session '[.phases[] | select(.way == "dnat" or .way == "direct") | .cpu | length] | unique | join(",")')" = 0 ]
	[ "$(session '[.phases[] | select(.way == "ssh" and .base) | [.cpu[] | .program] | sort | join(",")] | unique | join(";")')" = ssh,sshd ]

	# TCP: both ends of each leg have sent.
	[ "$(session '[.ways[] | .legs[] | .front.segments > 0 and .back.segments > 0 and .front.connections > 0] | all')" = true ]
	[ "$(session '.ways[] | select(.name == "ssh") | [.legs[] | .from + "-" + .to] | join(",")')" = client-ssh,ssh-sshd,sshd-cluster ]

	# Hop by hop: the parts are the whole, and socat is where it is on no other way.
	[ "$(session '[.phases[] | select(.base) | .residence | ([.places[] | .there_ns + .back_ns] | add) + .network_ns + .opaque_ns + .beyond_ns - .mean_ns | fabs < 2] | all')" = true ]
	[ "$(session '[.phases[] | select(.base and .way == "socat") | .residence.places[] | select(.name == "socat") | .relay and .there_ns > 0 and .back_ns > 0 and .queue_ns <= .there_ns + .back_ns] | all and length == 2')" = true ]
	[ "$(session '[.phases[] | select(.way != "socat") | .residence.places[].name] | index("socat")')" = null ]
	[ "$(session '.phases[] | select(.base and .way == "ssh" and .workload == "nats") | .residence.opaque_ns > 0')" = true ]
	[ "$(session '.phases[] | select(.base and .way == "direct" and .workload == "nats") | .residence | .opaque_ns == 0 and .exchanges > 0')" = true ]
	[ "$(session .accounting.holds)" = true ]

	# The report and its figures come from the session and from nothing else.
	cmp "$BATS_TEST_TMPDIR/stdout" "$out/report.md"
	"$HOPSCOPE" report "$out" | cmp - "$out/report.md"
	for figure in added payload concurrency pool; do
		grep -q "^!\[.*\]($figure.svg)$" "$out/report.md"
		"$HOPSCOPE" report "$out" --format $figure.svg | cmp - "$out/$figure.svg"
	done
}

@test "port-forward: a way that cannot be had is said, and is NO DATA; too few rounds are INCONCLUSIVE" {
	need_forward
	sed -i 's/^ways: .*/ways: [kubectl]\nworkloads: [http]\nstack: {kubectl: \/nonexistent\/kubectl}/; s/rounds: 6/rounds: 2/; /^sweep:/,/bulk/d' "$scenario"
	sed -i 's/^  - metric: rate/  - {metric: rate_loss, way: kubectl, at_most: 99 %}\n&/' "$scenario"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --no-probe
	[ "$status" = 4 ]
	[[ $stderr == *"kubectl is left out: "* ]]
	[ "$(session '.ways[] | select(.name == "kubectl") | .available == false and (.why | length) > 0')" = true ]
	[ "$(session '[.phases[].way] | unique | join(",")')" = direct ]
	[ "$(session '.targets[0].verdict')" = "NO DATA" ]
	[[ $(session '.targets[0].reason') == "not started: "* ]]
	[ "$(session '[.targets[] | select(.name | test("carried .direct")) | .verdict] | join(",")')" = INCONCLUSIVE ]
	grep -q '^- \*\*kubectl\*\*: not measured: ' "$out/report.md"
	grep -A2 '^## Where the time is' "$out/report.md" | grep -q 'NO DATA'
	lacks -qE '\(added.svg\)' "$out/report.md"
	[ ! -e "$out/added.svg" ]
}

@test "port-forward: Ctrl-C: a partial report, exit code 1, nothing left" {
	need_forward
	sed -i 's/rounds: 6, seconds: 0.05/rounds: 100, seconds: 0.05/' "$scenario"
	start
	pid=$SPAWNED
	wait_until 60 has_begun 'of 100, point'
	kill -INT "$pid"
	rc=0
	wait_exit run 20 || rc=$?
	[ "$rc" = 1 ]
	no_traces_of "$pid"
	[ "$(session .complete)" = false ]
	[ "$(session .incomplete_reason)" = "a signal (Interrupt) ended it" ]
	grep -q '^> \*\*Partial run' "$out/report.md"
	"$HOPSCOPE" report "$out" | cmp - "$out/report.md"
}

# loses CGROUP SECONDS [OPTION]...: a run in the middle of which that is killed ends in SECONDS.
loses() {
	local pid rc=0
	start "${@:3}"
	pid=$SPAWNED
	wait_until 60 has_begun 'rounds of'
	sleep 1
	kill -KILL $(cat "$(e2e_cgroup2)/hopscope-$pid/$1/cgroup.procs")
	wait_exit run "$2" || rc=$?
	[ "$rc" = 1 ]
	no_traces_of "$pid"
}

@test "port-forward: a relay that dies is said, and the others are measured" {
	need_forward
	sed -i 's/rounds: 6/rounds: 40/; s/^ways: .*/ways: [direct, socat]/' "$scenario"
	loses socat-n1 120 --no-probe
	[[ $(session .incomplete_reason) == "socat-n1 ended in the middle of the run"* ]]
	[ "$(session '[.phases[] | select(.way == "direct") | .rounds] | unique | join(",")')" = 40 ]
	[ "$(session '[.phases[] | select(.way == "socat") | .rounds < 40] | all')" = true ]
	# What it carried before is no verdict on it.
	[ "$(session '[.targets[] | select(.name | test("socat")) | .verdict] - ["INVALID", "NO DATA"] | length')" = 0 ]
	[ "$(session '[.targets[] | select(.name | test("[(]direct")) | .verdict] | unique | join(",")')" = PASS ]
}

@test "port-forward: a server that dies ends the run, and nothing is judged" {
	need_forward
	sed -i 's/rounds: 6/rounds: 1000/; s/^ways: .*/ways: [direct, socat]/' "$scenario"
	loses n1 20
	[[ $(session .incomplete_reason) == "nats-server n1 ended in the middle of the run"* ]]
	[ "$(session '[.targets[].verdict] - ["INVALID", "NO DATA"] | length')" = 0 ]
	[ "$(session .hop_rounds)" = 0 ]
}
