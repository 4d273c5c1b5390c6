#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope mem` on this kernel: programs whose memory is known to leak, saw, warm up, fill the page
# cache, near its limit, be killed or restart, each in a cgroup of its own with a limit. What is
# asserted are verdicts, slopes and sizes; never a time.

load helpers
load tools/trace

shapes=$E2E_ROOT/build/tests/targets/mem_shapes
MiB=1048576

setup() {
	e2e_setup
	need_command jq
	[ "$(id -u)" = 0 ] || skip 'needs root'
	mem_mount
	top=hopscope-mem-$$
}

teardown() {
	stop_all
	# Not for all children: one is the clock of bats's own time limit.
	[ ${#e2e_pids[@]} = 0 ] || wait "${e2e_pids[@]}" || true
	mem_remove || true
	e2e_teardown
}

# ---- cgroups of the test

# Where the memory controller is: $root, and $limit_file.
mem_mount() {
	root=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
	limit_file=memory.limit_in_bytes
	[ -n "$root" ] && return
	root=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	limit_file=memory.max
	grep -qw memory "$root/cgroup.controllers" || skip 'no memory controller'
}

# mem_cgroup NAME LIMIT
mem_cgroup() {
	if [ ! -d "$root/$top" ]; then
		mkdir "$root/$top"
		[ $limit_file != memory.max ] || {
			echo +memory >"$root/cgroup.subtree_control"
			echo +memory >"$root/$top/cgroup.subtree_control"
		}
	fi
	mkdir "$root/$top/$1"
	echo "$2" >"$root/$top/$1/$limit_file"
}

# What is left in them is ours: it was started in there.
mem_remove() {
	local dir
	[ -d "$root/$top" ] || return 0
	while read -r dir; do
		wait_until 10 mem_rmdir "$dir"
	done < <(find "$root/$top" -depth -type d)
}

mem_rmdir() {
	[ ! -d "$1" ] || rmdir "$1" 2>/dev/null
}

# mem_run NAME SHAPE...: in the cgroup NAME, from its first page on.
mem_run() {
	local name=$1
	shift
	spawn "$name" bash -c 'echo $$ >"$0" && exec "$@"' "$root/$top/$name/cgroup.procs" \
		"$shapes" "$@"
	wait_said "$name" ready
}

# mem_watch NAME OPTIONS: returns when it watches.
mem_watch() {
	local name=$1
	shift
	spawn_out "$name" "$(out_of "$name")" "$HOPSCOPE" mem --cgroup "/$top" "$@"
	wait_said "$name" 'watching memory'
}

c='def c($n): [.containers[] | select(.path | endswith("/" + $n))] | first;
def verdict($n): c($n).growth.verdict; def has($n; $f): c($n).findings | index($f) != null;'

# said EXPRESSION...: each holds for the last line of the watch, which covers all of it.
said() {
	local expression
	tail -n 1 "$(out_of watch)" >"$BATS_TEST_TMPDIR/final"
	for expression in '.final' "$@"; do
		jq -e "$c $expression" "$BATS_TEST_TMPDIR/final" >/dev/null || {
			echo "does not hold: $expression" >&2
			jq -c '.containers[] | [.path, .current, .limit_share, .growth.verdict,
				.growth.slope_bytes_per_s, .growth.reason, .findings, .restarts, .gone,
				.oom_kills]' "$BATS_TEST_TMPDIR/final" >&2
			return 1
		}
	done
}

@test "programs of every shape in one watch: verdicts, slope, findings, black box, restart" {
	local rc=0
	for shape in leak saw warm noise; do
		mem_cgroup $shape 256M
	done
	mem_cgroup cache 48M
	mem_cgroup near 64M
	mem_cgroup oom 40M
	mem_cgroup again 64M
	mem_run warm warmup $((32 * MiB)) 300
	mem_run leak leak $MiB
	mem_run saw sawtooth $((16 * MiB)) 1500
	mem_run cache cache "$BATS_TEST_TMPDIR/file" $((64 * MiB))
	mem_run noise noise $((32 * MiB)) $((2 * MiB))
	mem_run near hold $((64 * MiB * 975 / 1000))
	mem_run again hold $((8 * MiB))
	mem_watch watch -d 28 -i 0.25 --json --fail-on growing,near-limit
	mem_run oom leak $((4 * MiB))
	wait_exit oom 30 || rc=$?
	[ $rc = 137 ]
	# The same path anew, with three times the memory: another series, not growth.
	stop again || true
	mem_rmdir "$root/$top/again"
	mem_cgroup again 64M
	mem_run again hold $((24 * MiB))
	rc=0
	wait_exit watch 60 || rc=$?
	[ $rc = 3 ]

	said 'verdict("leak") == "GROWING" and has("leak"; "growing")' \
		"c(\"leak\").growth | .slope_bytes_per_s > $MiB * 0.9 and
			.slope_bytes_per_s < $MiB * 1.1 and .ci_low <= .slope_bytes_per_s and
			.ci_high >= .slope_bytes_per_s and .min_detectable > 0" \
		"c(\"leak\") | .growth.time_to_limit_s as \$s | (.limit - .working_set) as \$room |
			\$s > \$room / $MiB * 0.9 and \$s < \$room / $MiB * 1.1" \
		'["saw", "warm", "cache", "noise", "near", "again"] as $all | . as $s |
			$all | all(. as $n | $s | verdict($n) | IN("STABLE", "INCONCLUSIVE"))' \
		'verdict("near") == "STABLE" and verdict("again") == "STABLE"' \
		'verdict("cache") == "STABLE"'
	said "c(\"cache\") | .file > 32 * $MiB and .anon < 4 * $MiB" \
		'has("cache"; "near-limit") | not' \
		"c(\"noise\") | .anon > 32 * $MiB and .anon < 35 * $MiB" \
		"c(\"leak\").limit == 256 * $MiB" \
		'has("near"; "near-limit") and c("near").limit_share >= 0.95' \
		'c("near").peak >= c("near").current'
	said 'c("oom").oom_kills | length == 1' \
		"c(\"oom\").oom_kills[0].comm == \"mem_shapes\"" \
		"c(\"oom\").oom_kills[0].before != null" \
		"c(\"oom\").oom_kills[0].pid == $(pid_of oom)" \
		"c(\"oom\").oom_kills[0].anon_rss > 30 * $MiB" \
		"c(\"oom\").oom_kills[0] | .before.current > 20 * $MiB and .before.anon > 20 * $MiB and
			.before.limit == 40 * $MiB and .before.time_ns <= .time_ns" \
		'c("oom").oom_kills[0].before.growth.verdict == "GROWING"' \
		"c(\"oom\").oom_kills[0].before.growth.slope_bytes_per_s |
			. > 3.5 * $MiB and . < 4.5 * $MiB" \
		'has("oom"; "oom") and has("oom"; "growing")'
	said '[.containers[] | select(.path | endswith("/again"))] | map([.gone, .restarts]) ==
			[[true, 0], [false, 1]] or map([.gone, .restarts]) == [[false, 1], [true, 0]]' \
		'.followed and .events_lost == 0 and .hierarchy != null'
	# What is not growing is not said to be, at any moment.
	run jq -e "$c"' select(verdict("cache") == "GROWING" or verdict("near") == "GROWING")' \
		"$(out_of watch)"
	[ -z "$output" ]
}

@test "the table: a row a container, findings in sentences, exit code 4 when undecided" {
	local rc=0
	mem_cgroup near 64M
	mem_cgroup oom 24M
	mem_run near hold $((64 * MiB * 97 / 100))
	mem_watch watch -d 4 -i 0.5 --fail-on growing
	mem_run oom leak $((32 * MiB))
	rc=0
	wait_exit watch 30 || rc=$?
	# Nothing was seen to grow before it died, but two seconds are too short to say it does not.
	[ $rc = 4 ] || [ $rc = 3 ]
	sed -n '/total of/,$p' "$(out_of watch)" >"$BATS_TEST_TMPDIR/total"
	grep -q "^container .* usage .* limit .* growth" "$BATS_TEST_TMPDIR/total"
	grep -q "^/$top/near .* 64.0M .* 9[6-9]\.[0-9]" "$BATS_TEST_TMPDIR/total"
	grep -q "^near limit: /$top/near: working set at 9[6-9]\.[0-9] % of 64.0 MiB (anon" \
		"$BATS_TEST_TMPDIR/total"
	grep -q "^OOM kill: /$top/oom, .*mem_shapes\[$(pid_of oom)\] held anon 2[0-4]\.[0-9] MiB" \
		"$BATS_TEST_TMPDIR/total"
	grep -q "before: usage .* of limit 24.0 MiB" "$BATS_TEST_TMPDIR/total"
	# No terminal: nothing is drawn over.
	run ! grep -q $'\033' "$(out_of watch)"
}

@test "a container that is made, killed and removed between two readings is told of" {
	mem_cgroup other 64M
	mem_run other hold $MiB
	mem_watch watch -i 60 --every 60 --json
	mem_cgroup brief 16M
	mem_run brief leak $((256 * MiB))
	wait_exit brief 20 || true
	mem_rmdir "$root/$top/brief"
	stop watch INT
	said 'c("brief") | .gone and (.oom_kills | length) == 1' \
		'c("other").gone | not'
}

@test "without privileges: a warning, and kills counted by looking" {
	mem_cgroup oom 24M
	spawn_out watch "$(out_of watch)" setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$HOPSCOPE" mem --cgroup "/$top" -d 3 -i 0.25 --json --all
	wait_said watch 'watching memory'
	grep -q 'warning: cgroup and OOM events are not followed' "$(log_of watch)"
	mem_run oom leak $((64 * MiB))
	wait_exit oom 20 || true
	wait_exit watch 30
	said '.followed == false' 'c("oom").oom_kills | length == 1 and .[0].pid == null' \
		'has("oom"; "oom")'
}

@test "Ctrl-C ends with the total; filters by process and by name" {
	mem_cgroup alpha 64M
	mem_cgroup beta 64M
	mem_run alpha hold $MiB
	mem_run beta hold $MiB
	spawn_out watch "$(out_of watch)" "$HOPSCOPE" mem --pid "$(pid_of alpha)" --json -i 0.5
	wait_said watch 'watching memory'
	stop watch INT
	said '[.containers[].path] | length == 1 and (.[0] | endswith("/alpha"))'
	spawn_out watch "$(out_of watch)" "$HOPSCOPE" mem --container beta --json -d 1
	wait_exit watch 20
	said '[.containers[].path] | length == 1 and (.[0] | endswith("/beta"))'
}

@test "what is not there is said: exit code 1; bad options: exit code 2" {
	run --separate-stderr "$HOPSCOPE" mem --pid 4194304 -d 1
	[ "$status" = 1 ]
	[[ $stderr == *'--pid 4194304: no such process'* ]]
	run --separate-stderr "$HOPSCOPE" mem --container no-such-container -d 0.5 -q
	[ "$status" = 1 ]
	[[ $stderr == *'no container matched'* ]]
	run --separate-stderr "$HOPSCOPE" mem --fail-on leaking
	[ "$status" = 2 ]
	[[ $stderr == *"'leaking' is none of growing, near-limit, oom"* ]]
	run --separate-stderr "$HOPSCOPE" mem --sort size
	[ "$status" = 2 ]
	run --separate-stderr "$HOPSCOPE" mem -i 0
	[ "$status" = 2 ]
	run --separate-stderr "$HOPSCOPE" mem something
	[ "$status" = 2 ]
}
