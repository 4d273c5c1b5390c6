# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# For tests of `hopscope bench`: a run, its session in $out, and what it leaves behind.

# bench_setup FILE [FOLDER]: $scenario is a copy of that file of ours, which may be changed; beside it
# the folder of scenarios/ with what it starts.
bench_setup() {
	e2e_setup
	out=$BATS_TEST_TMPDIR/out
	scenario=$BATS_TEST_TMPDIR/s.yaml
	cp "$BATS_TEST_DIRNAME/$1" "$scenario"
	[ -z "${2:-}" ] || cp -r "$E2E_ROOT/scenarios/$2" "$BATS_TEST_TMPDIR/"
	# The run's store is below it: a hard link into it outlives the run.
	export TMPDIR=$BATS_TEST_TMPDIR
}

bench_teardown() {
	# Detached programs are freed after RCU grace periods: seconds on a busy machine.
	wait_until 15 e2e_clean 2>/dev/null || true
	e2e_teardown
}

session() {
	jq -r "$1" "$out/session.json"
}

# start [options]: a run in the background; its pid is $SPAWNED. A shell's background processes
# ignore Ctrl-C: not this one.
start() {
	spawn_out run "$BATS_TEST_TMPDIR/stdout" \
		env --default-signal=INT "$HOPSCOPE" bench "$scenario" --out "$out" "$@"
}

# expect_hops FILE: a phase that was followed hop by hop, of whose calls none is missing; parts are the
# whole, and not negative.
expect_hops() {
	jq -e '.kind == "hops" and .invalid == null and .failed == 0 and .succeeded == .attempted and
		.succeeded >= 20 and ([.hops[].count] | add) == .succeeded and
		.hop_accounting.complete == .succeeded and .latency.kernel.count == .succeeded and
		(.hops | all(
			(([.edges[].mean_ns] | add) - .rtt_mean_ns | fabs) < 1 and .unsettled_mean_ns == 0 and
			(([.edges[].share] | add) - 1 | fabs) < 1e-6 and
			([.edges[] | select(.kind | IN("opaque", "beyond")) | .mean_ns] | add // 0) == .residual_mean_ns and
			all(.edges[]; .mean_ns >= 0)))' "$1" >/dev/null || {
		jq 'del(.latency) | .hops |= map(del(.edges))' "$1"
		return 1
	}
}

has_begun() { # WHAT
	grep -q "$1" "$(log_of run)" || ! e2e_alive "$(pid_of run)"
}

# What a run of process $1 puts on the machine, beside processes and cgroups (helpers look there).
traces_of() {
	local f
	for f in "/run/hopscope/$1" "$TMPDIR/hopscope-$1"-*; do
		[ ! -e "$f" ] || echo "$f"
	done
	find $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts) -type d -name "hopscope-$1" \
		2>/dev/null || true
}

no_traces_of() {
	local left
	left=$(traces_of "$1")
	[ -z "$left" ] || {
		echo "left behind: $left" >&2
		return 1
	}
}
