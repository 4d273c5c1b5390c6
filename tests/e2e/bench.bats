#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope bench` as a user meets it, bad luck included.

load helpers
load tools/bench

setup() {
	bench_setup small.yaml
}

teardown() {
	bench_teardown
}

need_bench() {
	need_bpf
	need_command nats-server socat jq
}

# long_run NAME [options]: a run whose open loop takes seconds; returns when it is in it. Its pid is
# $SPAWNED. A shell's background processes ignore Ctrl-C: not this one.
long_run() {
	local name=$1
	shift
	sed -i '/^rpc_open:/,/^events:/s/calls: .*/calls: 1000/' "$scenario"
	spawn_out "$name" "$BATS_TEST_TMPDIR/$name.out" \
		env --default-signal=INT "$HOPSCOPE" bench "$scenario" --out "$out" "$@"
	wait_until 20 grep -q 'open loop' "$(log_of "$name")"
}

# child_of PID CGROUP: the process of a run in that cgroup of it.
child_of() {
	head -n 1 "$(e2e_cgroup2)/hopscope-$1/$2/cgroup.procs"
}

# ---- before anything is started

@test "bench: an unknown key is named with its line, and what is known there" {
	sed -i 's/^  pool: 3/  poool: 3/' "$scenario"
	line=$(grep -n poool "$scenario" | cut -d : -f 1)
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 2 ]
	[ -z "$output" ]
	[[ $stderr == "hopscope: $scenario:$line: unknown key 'rpc.poool'; known here: calls, pool, "* ]]
	[ ! -e "$out" ]
}

@test "bench: an impossible value is named with its line and its range" {
	sed -i 's/^  pool: 3/  pool: 5000/' "$scenario"
	line=$(grep -n 5000 "$scenario" | cut -d : -f 1)
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 2 ]
	[ "$stderr" = "hopscope: $scenario:$line: rpc.pool: 5000 is out of range: 1 to 1000" ]
}

@test "bench: a scenario that is not there, options that are wrong" {
	run --separate-stderr "$HOPSCOPE" bench "$BATS_TEST_TMPDIR/none.yaml"
	[ "$status" = 2 ]
	[[ $stderr == *"none.yaml: No such file or directory" ]]
	run --separate-stderr "$HOPSCOPE" bench
	[ "$status" = 2 ]
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --nats-url tls://127.0.0.1
	[ "$status" = 2 ]
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --ab --no-probe
	[ "$status" = 2 ]
}

@test "bench: without nats-server it says which package" {
	need_bench
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --nats-server /nonexistent/x
	[ "$status" = 1 ]
	[[ $stderr == *"/nonexistent/x is not installed: apt-get install nats-server"* ]]
	[ ! -e "$out" ]
}

@test "bench: without socat it says which package, unless nothing is forwarded" {
	need_bench
	mkdir "$BATS_TEST_TMPDIR/bin"
	ln -s "$(command -v nats-server)" "$BATS_TEST_TMPDIR/bin/"
	run --separate-stderr env PATH="$BATS_TEST_TMPDIR/bin" "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 1 ]
	[[ $stderr == *"socat"*"apt-get install socat"* ]]
}

@test "bench: a fixed port that is taken is named" {
	need_bench
	nats_start other
	sed -i "s/^  nodes: 3/  nodes: 1\n  ports: [$NATS_PORT]/; s/replicas: 3/replicas: 1/" "$scenario"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot use port $NATS_PORT: Address already in use"* ]]
}

@test "bench: not root: what is missing is named" {
	[ "$(id -u)" = 0 ] || skip 'needs root to become somebody else'
	need_command setpriv
	open=$(mktemp -d /tmp/hopscope-test.XXXXXX)
	chmod 755 "$open"
	cp "$HOPSCOPE" "$scenario" "$open/"
	run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$open/hopscope" bench "$open/s.yaml" --out "$open/out"
	first=$status first_err=$stderr
	run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
		"$open/hopscope" bench "$open/s.yaml" --out "$open/out" --no-probe
	rm -r "$open"
	[ "$first" = 1 ]
	[[ $first_err == *"CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_DAC_OVERRIDE missing"* ]]
	[ "$status" = 1 ]
	[[ $stderr == *"cannot create cgroups"*"Permission denied"* ]]
}

# ---- a run

@test "bench: a run measures, judges, reports, and leaves nothing" {
	need_bench
	spawn_out run "$BATS_TEST_TMPDIR/stdout" "$HOPSCOPE" bench "$scenario" --out "$out"
	pid=$SPAWNED
	rc=0
	wait_exit run 40 || rc=$?
	[ "$rc" = 0 ]
	no_traces_of "$pid"
	cmp "$BATS_TEST_TMPDIR/stdout" "$out/report.md"
	[ "$(session .complete)" = true ]
	[ "$(session '[.phases[].name] | join(",")')" = "rpc closed direct,rpc closed forwarded,rpc open direct,rpc open forwarded,events direct,events forwarded,services" ]
	# Not a call lost, and the kernel counted each as the client did.
	[ "$(session '[.phases[] | select(.kind == "rpc") | .succeeded] | unique | join(",")')" = 320 ]
	[ "$(session '[.phases[] | select(.kind == "rpc") | .latency.kernel.count] | unique | join(",")')" = 320 ]
	[ "$(session '[.phases[] | select(.kind == "events") | .latency.kernel.count, .events.received] | unique | join(",")')" = 800 ]
	# What the kernel saw lies within what the client waited.
	[ "$(session '[.phases[] | select(.kind == "rpc") | .latency.kernel.quantiles.p50.value < .latency.client.quantiles.p50.value] | all')" = true ]
	[ "$(session .accounting.holds)" = true ]
	[ "$(session '.overhead.ns_per_exchange > 0')" = true ]
	[ "$(session '[.targets[].verdict] | unique | join(",")')" = PASS ]
	[ "$(session '[.phases[] | select(.kind == "services") | .memory.services[].current_bytes > 100000] | all')" = true ]
	# The report comes from the session and from nothing else.
	"$HOPSCOPE" report "$out" >"$BATS_TEST_TMPDIR/again.md"
	cmp "$BATS_TEST_TMPDIR/again.md" "$out/report.md"
}

# The phase hop by hop: each call in one way, in parts that add up, through the processes that it takes.
@test "bench: hop by hop: in a phase of its own, with waterfalls and pictures in the report" {
	need_bench
	sed -i '/^rpc_open:/,/^services:/{/^services:/!d}; s/^  seconds: 0 .*/  seconds: 0.4/; /events_per_s/,+1d' "$scenario"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out"
	[ "$status" = 0 ]
	[ "$(session '[.phases[].name] | join(",")')" = "rpc closed direct,rpc closed forwarded,hops direct,hops forwarded,services" ]
	for path in direct forwarded; do
		session '.phases[] | select(.name == "hops '$path'")' >"$BATS_TEST_TMPDIR/$path"
		expect_hops "$BATS_TEST_TMPDIR/$path"
		[ "$(jq '[.hops[] | select(.route != "rpc.svc-1.echo" or .status != "ok")] | length' "$BATS_TEST_TMPDIR/$path")" = 0 ]
		# From the load to the service, and through the broker that each of them is connected to.
		[ "$(jq '.hops | all(.spans[0].container[-5:] == "/load" and .spans[-1].container[-6:] == "/svc-1" and
			([.spans[] | select(.comm == "nats-server")] | length) >= 2)' "$BATS_TEST_TMPDIR/$path")" = true ]
	done
	[ "$(jq '[.hops[].spans[] | select(.comm == "socat")] | length' "$BATS_TEST_TMPDIR/direct")" = 0 ]
	[ "$(jq '.hops | all([.spans[] | select(.comm == "socat")] | length == 2)' "$BATS_TEST_TMPDIR/forwarded")" = true ]
	# Nothing of it is among what the run's own probe counted: 320 calls and 10 to warm up on each path, 1,000 for
	# its cost.
	[ "$(session '[.series[] | select(.role == "client" and .route == "rpc.svc-1.echo" and .status == "ok") | .count] | add')" = 1660 ]
	[ "$(session .accounting.holds)" = true ]
	for f in hops_direct.svg hops_forwarded.svg; do
		grep -q "]($f)" "$out/report.md"
		"$HOPSCOPE" report "$out" --format $f | cmp - "$out/$f"
	done
	[ ! -e "$out/hops.svg" ]
	sed -n '/^## Hop by hop/,/^## /p' "$out/report.md" | grep -c '^| \*\*the round trip\*\*' | grep -qx '[1-6]'
	"$HOPSCOPE" report "$out" | cmp - "$out/report.md"
}

@test "bench: --json without the probe: kernel latencies are null, not 0" {
	need_bench
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --no-probe --json -q
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	cmp <(echo "$output") "$out/session.json"
	[ "$(session '[.phases[] | select(.kind == "rpc") | .latency.kernel] | unique | .[0]')" = null ]
	[ "$(session .accounting)" = null ]
	[ "$(session '[.targets[].verdict] | unique | join(",")')" = PASS ]
}

@test "bench: a target that is missed is exit code 3" {
	need_bench
	sed -i 's/at_most: 5 s/at_most: 1 us/' "$scenario"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --no-probe -q
	[ "$status" = 3 ]
	[[ $output == *'**FAIL**'* ]]
}

@test "bench: --nats-url uses a cluster that runs, and leaves it as it was" {
	need_bench
	nats_start own -js
	sed -i 's/replicas: 3/replicas: 1/' "$scenario"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --nats-url "$NATS_URL"
	[ "$status" = 0 ]
	[ "$(session '[.environment.topology[] | select(.kind == "nats-server")] | length')" = 0 ]
	[ "$(session '.environment.topology[0].address')" = "127.0.0.1:$NATS_PORT" ]
	e2e_connects 127.0.0.1 "$NATS_PORT"
	[ "$(curl -s "http://127.0.0.1:$NATS_HTTP_PORT/jsz" | jq .streams)" = 0 ]
}

@test "bench: --nats-url where nobody listens" {
	need_bench
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --nats-url 127.0.0.1:1
	[ "$status" = 1 ]
	[[ $stderr == *"cannot connect to 127.0.0.1:1: Connection refused"* ]]
}

@test "bench: --nats-url and Ctrl-C while the run is set up: the cluster is left as it was" {
	need_bench
	nats_start own -js
	sed -i 's/replicas: 3/replicas: 1/' "$scenario"
	streams() { curl -s "http://127.0.0.1:$NATS_HTTP_PORT/jsz" | jq .streams; }
	has_stream() { [ "$(streams)" = 1 ]; }
	spawn_out run "$BATS_TEST_TMPDIR/run.out" env --default-signal=INT \
		"$HOPSCOPE" bench "$scenario" --out "$out" --nats-url "$NATS_URL"
	pid=$SPAWNED
	wait_until 20 has_stream
	kill -INT "$pid"
	rc=0
	wait_exit run 20 || rc=$?
	[ "$rc" = 1 ]
	no_traces_of "$pid"
	[ "$(streams)" = 0 ]
}

# worker_says NAME ROLE COMMAND...: the answers of a worker of the load.
worker_says() {
	local name=$1 role=$2
	shift 2
	jq -nc --arg url "$NATS_URL" --arg role "$role" '{$role, name: $role, urls: [$url], subjects: ["events.>"]}' \
		>"$BATS_TEST_TMPDIR/$name.in"
	printf '%s\n' "$@" >>"$BATS_TEST_TMPDIR/$name.in"
	timeout 60 "$HOPSCOPE" __worker "$role" <"$BATS_TEST_TMPDIR/$name.in" >"$BATS_TEST_TMPDIR/$name.said"
}

@test "bench: an event that was not acknowledged is failed, and not missing, too" {
	need_bench
	nats_start own -js
	# No stream has that subject: every second one is refused, and alone.
	worker_says pub publisher '{"cmd":"run","subjects":["events.a.b","elsewhere.c"],"events":6,"batch":6,"first_id":100}'
	jq -es '.[] | select(.event == "done") | .acked == 3 and .failed == 3 and
		.not_acked == [[101, 1], [103, 1], [105, 1]]' "$BATS_TEST_TMPDIR/pub.said"
	worker_says sub subscriber \
		'{"cmd":"arm","run_id":"r","events":10,"first_id":100}' \
		'{"cmd":"expect","run_id":"r","timeout_ms":200,"not_acked":[[100,4],[109,1]]}' \
		'{"cmd":"arm","run_id":"s","events":3}' \
		'{"cmd":"expect","run_id":"s","timeout_ms":55000,"not_acked":[[0,3]]}'
	jq -es '[.[] | select(.event == "done")] | length == 2 and
		.[0].missing == 5 and .[0].missing_ids == [104, 105, 106, 107, 108] and
		.[1].missing == 0 and .[1].missing_ids == [] and (.[1].aborted | not)' "$BATS_TEST_TMPDIR/sub.said"
}

# ---- bad luck in the middle

@test "bench: a node that is killed is named; the run goes on and is partial" {
	need_bench
	long_run run
	pid=$SPAWNED
	victim=$(child_of "$pid" n2)
	kill -KILL "$victim"
	rc=0
	wait_exit run 40 || rc=$?
	[ "$rc" = 1 ]
	no_traces_of "$pid"
	grep -q "nats-server n2 (pid $victim) ended in the middle of the run: signal 9 (Killed); its last lines:" "$(log_of run)"
	[ "$(session .complete)" = false ]
	[[ $(session .incomplete_reason) == "nats-server n2 ended"* ]]
	[ "$(session '[.phases[].name] | index("events forwarded") != null')" = true ]
	# What ran before stands; what ran without it is not judged.
	[ "$(session '.targets[] | select(.name == "RPC p50 (closed loop, direct)") | .verdict')" = PASS ]
	[ "$(session '.targets[] | select(.name == "events (direct)") | .verdict')" = INVALID ]
	grep -q 'Partial run' "$out/report.md"
}

@test "bench: a service that is killed ends the run, with what was measured" {
	need_bench
	long_run run
	pid=$SPAWNED
	kill -KILL "$(child_of "$pid" svc-1)"
	rc=0
	wait_exit run 40 || rc=$?
	[ "$rc" = 1 ]
	no_traces_of "$pid"
	[[ $(session .incomplete_reason) == "svc-1 ended"* ]]
	[ "$(session '[.phases[].errors.no_responders // 0] | add > 0')" = true ]
	[ "$(session '.targets[] | select(.name == "RPC p50 (closed loop, direct)") | .verdict')" = PASS ]
	[ "$(session '.targets[] | select(.name == "memory per service") | .verdict')" = INVALID ]
}

@test "bench: Ctrl-C: a partial report, and nothing left" {
	need_bench
	long_run run
	pid=$SPAWNED
	# Another start in the meantime cleans up after the dead only.
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --nats-url 127.0.0.1:1
	[ "$status" = 1 ]
	[ -e "/run/hopscope/$pid" ]
	kill -INT "$pid"
	rc=0
	wait_exit run 10 || rc=$?
	[ "$rc" = 1 ]
	no_traces_of "$pid"
	[ "$(session .complete)" = false ]
	[[ $(session .incomplete_reason) == *Interrupt* ]]
	[ "$(session '.phases[0].attempted')" = 320 ]
	[ "$(session '.targets[] | select(.name == "events (direct)") | .verdict')" = "NO DATA" ]
	"$HOPSCOPE" report "$out" | cmp - "$out/report.md"
}

@test "bench: Ctrl-C twice: no report, and nothing left" {
	need_bench
	long_run run
	pid=$SPAWNED
	kill -INT "$pid"
	sleep 0.03
	kill -INT "$pid"
	rc=0
	wait_exit run 5 || rc=$?
	[ "$rc" = 1 ]
	no_traces_of "$pid"
	# A machine that is fast enough has ended between the two.
	[ ! -e "$out/report.md" ] || grep -q 'Partial run' "$out/report.md"
}

@test "bench: kill -9: the children go with it, and the next start leaves nothing" {
	need_bench
	long_run run
	pid=$SPAWNED
	node=$(child_of "$pid" n1) service=$(child_of "$pid" svc-1) load=$(child_of "$pid" load)
	kill -KILL "$pid"
	wait_exit run 5 || true
	# Before anybody cleans up: by PR_SET_PDEATHSIG.
	wait_until 3 e2e_ended "$node"
	wait_until 3 e2e_ended "$service"
	wait_until 3 e2e_ended "$load"
	[ -n "$(traces_of "$pid")" ]
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --nats-url 127.0.0.1:1
	[[ $stderr == *"cleaning up after an earlier run that was killed (pid $pid)"* ]]
	no_traces_of "$pid"
}

@test "bench: a record whose pid is somebody else's now: cleaned up, nobody is killed" {
	need_bench
	spawn stranger sleep 60
	pid=$SPAWNED
	mkdir -p "/run/hopscope/$pid" "$BATS_TEST_TMPDIR/precious"
	cat >"/run/hopscope/$pid/owner" <<-END
		pid $pid
		start 1
		pidns $(stat -Lc %i /proc/self/ns/pid)
		boot $(cat /proc/sys/kernel/random/boot_id)
		v2 $(e2e_cgroup2)
		v1
		store $BATS_TEST_TMPDIR/precious
	END
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --nats-url 127.0.0.1:1
	[[ $stderr == *"cleaning up"*"(pid $pid)"* ]]
	no_traces_of "$pid"
	e2e_alive "$pid"
	# A record is not obeyed beyond what carries the run's name.
	[ -d "$BATS_TEST_TMPDIR/precious" ]
}

@test "bench: a store that is somebody else's by now is left alone" {
	need_bench
	spawn stranger sleep 60
	pid=$SPAWNED
	store=$BATS_TEST_TMPDIR/hopscope-$pid-x
	mkdir -p "/run/hopscope/$pid" "$store/theirs"
	chown -R nobody "$store"
	cat >"/run/hopscope/$pid/owner" <<-END
		pid $pid
		start 1
		pidns $(stat -Lc %i /proc/self/ns/pid)
		boot $(cat /proc/sys/kernel/random/boot_id)
		v2
		v1
		store $store
	END
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --nats-url 127.0.0.1:1
	[[ $stderr == *"cannot remove $store: Operation not permitted"* ]]
	[ -d "$store/theirs" ]
	[ ! -e "/run/hopscope/$pid" ]
}

@test "bench: a broker that cannot start is reported with its last words" {
	need_bench
	cat >"$BATS_TEST_TMPDIR/broken" <<-'END'
		#!/bin/sh
		[ "$1" != --version ] || exec nats-server --version
		echo "no luck today" >&2
		exit 7
	END
	chmod +x "$BATS_TEST_TMPDIR/broken"
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" --no-probe \
		--nats-server "$BATS_TEST_TMPDIR/broken"
	[ "$status" = 1 ]
	[[ $stderr == *"exit status 7"*"no luck today"*"the cluster did not start"* ]]
	[ ! -e "$out/report.md" ]
}

# ---- memory

# A leak beside the second broker, in its container: "nats-server" starts it and becomes the server.
leaky_server() {
	cat >"$BATS_TEST_TMPDIR/nats-server" <<-EOF
		#!/bin/sh
		case "\$*" in *n2*) setpriv --pdeathsig KILL $E2E_ROOT/build/tests/targets/mem_shapes leak 2000000 >/dev/null 2>&1 & ;; esac
		exec $(command -v nats-server) "\$@"
	EOF
	chmod +x "$BATS_TEST_TMPDIR/nats-server"
}

@test "bench: the memory phase finds the container that leaks, and no other" {
	need_bench
	need_command setpriv
	leaky_server
	cat >>"$scenario" <<-EOF
		  - metric: memory_growth
		    at_most: 500 MB/h
		memory:
		  seconds: 15
		  interval: 0.25
		  rate: 50
		  containers: [svc-1, n1, n2]
	EOF
	run --separate-stderr "$HOPSCOPE" bench "$scenario" --out "$out" \
		--nats-server "$BATS_TEST_TMPDIR/nats-server"
	[ "$status" = 3 ]
	[ "$(session '.targets[] | select(.name == "memory growth (n2)").verdict')" = FAIL ]
	[ "$(session '[.targets[] | select(.verdict == "FAIL")] | length')" = 1 ]
	[ "$(session '.targets[] | select(.name == "memory growth (svc-1)").verdict')" != "NO DATA" ]
	# 2 MB/s are 7.2 GB/h; within 10 %.
	[ "$(session '.phases[] | select(.kind == "memory").growth[] | select(.name == "n2")
		| (.bytes_per_hour.value / 7.2e9 - 1) | fabs < 0.1')" = true ]
	[ "$(session '.phases[] | select(.kind == "memory") | .attempted == 750 and .succeeded == 750')" = true ]
	[[ $output =~ growing:\ (n1,\ )?n2 ]]
}
