#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Faults in hopscope itself and around it: killed, stopped, out of memory, a disk that is full, a
# reader that went away, links planted where it writes. The watched system goes on, nothing stays
# attached, and a file is whole or says that it is not.

load helpers
load tools/trace
load tools/nats_raw

golden=$BATS_TEST_DIRNAME/../golden

setup() {
	e2e_setup
	need_bpf
	need_command jq nats-server
	tmp=$BATS_TEST_TMPDIR
	mounted='' limited=''
}

teardown() {
	local rc=0
	exec 5>&- 7>&- || true
	stop_all
	e2e_teardown || rc=1
	[ -z "$mounted" ] || umount "$mounted" || rc=1
	[ -z "$limited" ] || rmdir "$limited" || rc=1
	return $rc
}

# programs_of PID: ids of the programs that it holds, itself or by a link.
programs_of() {
	grep -hs '^prog_id:' /proc/"$1"/fdinfo/* | awk '{ print $2 }' | sort -u | tr '\n' ' '
}

programs_gone() {
	local id all
	all=" $(e2e_programs | cut -d ' ' -f 1 | tr '\n' ' ')"
	for id in "$@"; do
		[[ $all != *" $id "* ]] || return 1
	done
}

# load_start: calls one after the other, in the background, until stopped; how many are in $tmp/calls.
load_start() {
	spawn load bash -c '
		. "$1"
		NATS_PORT=$2
		while nats_calls 50; do echo >>"$3"; done' - "$BATS_TEST_DIRNAME/tools/nats_raw.bash" \
		"$NATS_PORT" "$tmp/calls"
	wait_until 10 load_passed 1
}

# How many times 50 calls were made.
load_count() {
	wc -l <"$tmp/calls" 2>/dev/null || echo 0
}

load_passed() {
	[ "$(load_count)" -ge "$1" ]
}

# The load made at least one round since.
load_goes_on() {
	wait_until 10 load_passed $(($(load_count) + 2))
	e2e_alive "$(pid_of load)"
	[ ! -s "$(log_of load)" ]
}

two_start() {
	local target=${BUILD:-build}/tests/targets/two_sites
	[ "${target#/}" != "$target" ] || target=$E2E_ROOT/$target
	make -s -C "$E2E_ROOT" "${target#"$E2E_ROOT"/}" >&2
	mkfifo "$tmp/in"
	spawn_out two "$(out_of two)" bash -c 'exec "$0" <"$1"' "$target" "$tmp/in"
	exec 7>"$tmp/in"
	wait_until 5 grep -q ready "$(out_of two)"
}

cycle() {
	local n
	n=$(grep -c held "$(out_of two)" || true)
	echo >&7
	wait_until 10 eval "[ \"\$(grep -c held '$(out_of two)')\" -gt $n ]"
}

# small_disk SIZE: a file system of its own at $disk.
small_disk() {
	disk=$tmp/disk
	mkdir "$disk"
	mount -t tmpfs -o "size=$1" none "$disk" || skip 'tmpfs cannot be mounted here'
	mounted=$disk
}

# ---- killed, stopped

@test "kill -9 under load, trace --tree --tls: the load goes on, nothing stays attached" {
	local ids
	nats_start n1
	load_start
	trace_start t --tree --tls on
	ids=$(programs_of "$(pid_of t)")
	[ "$(wc -w <<<"$ids")" -ge 5 ]
	stop t KILL || true
	load_goes_on
	wait_until 15 programs_gone $ids
	stop load || true
}

@test "kill -9 under load, mem and heap: what they watched goes on, nothing stays attached" {
	local ids how
	two_start
	for how in mem --pages --allocs; do
		if [ "$how" = mem ]; then
			spawn h "$HOPSCOPE" mem -i 0.2 7>&-
		else
			spawn h "$HOPSCOPE" heap "$how" --exact "$(pid_of two)" 7>&-
		fi
		wait_said h watching
		ids=$(programs_of "$(pid_of h)")
		[ -n "$ids" ]
		cycle
		stop h KILL || true
		cycle
		wait_until 15 programs_gone $ids
	done
}

@test "stopped for ten seconds under load: the load goes on, and then it counts on exactly" {
	local before
	nats_start n1
	# From here on: a connection that was there before is met in the middle.
	trace_start t --port "$NATS_PORT" -i 0.5 --timeout 60
	load_start
	kill -STOP "$(pid_of t)"
	before=$(load_count)
	sleep 10
	[ "$(load_count)" -gt $((before + 3)) ]
	[ ! -s "$(log_of load)" ]
	kill -CONT "$(pid_of t)"
	load_goes_on
	kill -STOP "$(pid_of load)" # between two calls or in one
	sleep 1
	stop t INT
	stop load KILL || true
	tail -n 1 "$(out_of t)" >"$tmp/final"
	made=$(load_count)
	expect "$tmp/final" '.accounting | .seen == .matched + .one_way + .in_flight + .unanswered + .dropped and
			.bytes_seen == .bytes_framed + .bytes_unparsed' \
		'.accounting | .dropped == 0 and .orphans == 0 and .bytes_unparsed == 0' \
		"[.series[] | select(.role == \"client\" and .status == \"ok\").count] | add | . >= 50 * $made and . <= 50 * $((made + 1))" \
		'.duration_s > 10'
}

@test "stopped for ten seconds, heap: the process goes on, and what it did meanwhile is known" {
	two_start
	spawn_out h "$(out_of h)" "$HOPSCOPE" heap --json --allocs --exact "$(pid_of two)" 7>&-
	wait_said h watching
	kill -STOP "$(pid_of h)"
	cycle
	sleep 10
	cycle
	kill -CONT "$(pid_of h)"
	sleep 1
	stop h INT
	tail -n 1 "$(out_of h)" >"$tmp/final"
	expect "$tmp/final" '[.sites[].bytes] | add == 2 * 6560000'
}

# ---- memory

# limited_cgroup BYTES: $limited, with that limit, v1 or v2.
limited_cgroup() {
	local mount
	mount=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
	if [ -n "$mount" ]; then
		limited=$mount/faults-$$
		mkdir "$limited" || skip 'no cgroup can be made'
		echo "$1" >"$limited/memory.limit_in_bytes"
		return
	fi
	limited=$(e2e_cgroup2)/faults-$$
	mkdir "$limited" || skip 'no cgroup can be made'
	echo "$1" >"$limited/memory.max" || skip 'the memory controller is not here'
}

@test "out of memory in its own cgroup, from the start: it ends, the load goes on, nothing stays" {
	local rc=0 size
	nats_start n1
	load_start
	# Not enough for the program itself, for its maps, for what it reads.
	for size in 4000000 16000000 40000000; do
		limited_cgroup $size
		rc=0
		timeout 60 bash -c 'echo $$ >"$1/cgroup.procs" && exec "${@:2}"' - "$limited" \
			"$HOPSCOPE" trace --json -d 2 -i 0.2 --tree >"$tmp/out" 2>"$tmp/err" || rc=$?
		[ $rc != 124 ]
		# Killed, or with an error of its own; or it was enough.
		[ $rc = 137 ] || [ $rc = 1 ] || [ $rc = 0 ]
		[ $rc != 1 ] || [ -s "$tmp/err" ]
		rmdir "$limited"
		limited=''
		load_goes_on
	done
	stop load || true
}

@test "out of memory in its own cgroup, in the middle: the load goes on, nothing stays" {
	local ids
	nats_start n1
	load_start
	limited_cgroup 2000000000
	spawn_out t "$(out_of t)" bash -c 'echo $$ >"$1/cgroup.procs" && exec "${@:2}"' - "$limited" \
		"$HOPSCOPE" trace --json -i 0.1 --slow 0.001
	trace_ready t
	ids=$(programs_of "$(pid_of t)")
	[ "$(wc -w <<<"$ids")" -ge 3 ]
	# As an OOM kill ends it: SIGKILL from the kernel, when another in the cgroup takes all there is.
	if [ -e "$limited/memory.limit_in_bytes" ]; then
		echo 120000000 >"$limited/memory.limit_in_bytes" || skip 'the limit cannot be lowered'
	else
		echo 120000000 >"$limited/memory.max"
	fi
	echo 1000 >/proc/"$(pid_of t)"/oom_score_adj
	bash -c 'echo $$ >"$1/cgroup.procs" && echo 0 >/proc/self/oom_score_adj && exec tail /dev/zero' - "$limited" \
		>/dev/null 2>&1 || true
	wait_until 10 e2e_ended "$(pid_of t)"
	wait_exit t 1 || [ $? = 137 ]
	load_goes_on
	wait_until 15 programs_gone $ids
	stop load || true
}

# ---- a reader that went away

@test "closed standard output: it ends soon, says so, code 1, nothing stays attached" {
	local i ids commands
	nats_start n1
	load_start
	two_start
	commands=("trace -i 0.2" "trace --json -i 0.2" "trace --tree -i 0.2" "mem -i 0.2" "mem --json -i 0.2"
		"heap --allocs -i 0.3 $(pid_of two)" "heap --json -i 0.3 $(pid_of two)")
	for i in "${!commands[@]}"; do
		spawn "c$i" bash -c '"$0" $1 | head -n 1 >/dev/null; exit ${PIPESTATUS[0]}' "$HOPSCOPE" \
			"${commands[i]}" 7>&-
		rc=0
		wait_exit "c$i" 20 || rc=$?
		[ $rc = 1 ] || { echo "${commands[i]}: code $rc"; false; }
		grep -q 'cannot write to standard output' "$(log_of "c$i")"
		[ "$(grep -c 'standard output' "$(log_of "c$i")")" = 1 ]
	done
	load_goes_on
	stop load || true
}

@test "no standard output at all, and none of the first three: files are not written into by mistake" {
	run --separate-stderr bash -c '"$0" mem --json -d 0.5 >&-' "$HOPSCOPE"
	[ "$status" = 1 ]
	[[ $stderr == *'cannot write to standard output'* ]]
	run bash -c '"$0" report "$1" -o "$2" <&- >&- 2>&-' "$HOPSCOPE" "$golden/session.json" "$tmp/r.md"
	[ "$status" = 0 ]
	head -n 1 "$tmp/r.md" | grep -q '^# '
}

# ---- a full disk

@test "a full disk, report -o: the old file is still there, whole, and nothing else" {
	small_disk 64k
	echo old >"$disk/report.json"
	run --separate-stderr "$HOPSCOPE" report -f json "$golden/session.json" -o "$disk/report.json"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write $disk/report.json: No space left on device"* ]]
	[ "$(cat "$disk/report.json")" = old ]
	[ "$(ls -A "$disk")" = report.json ]
}

@test "a full disk, heap: no half of a graph, whole lines of a record" {
	small_disk 16k
	head -c 9000 /dev/zero >"$disk/filler"
	run --separate-stderr "$HOPSCOPE" heap --from "$golden/heap.json" --flame "$disk/f.svg"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write $disk/f.svg: No space left on device"* ]]
	[ ! -s "$disk/f.svg" ]
	rm "$disk/f.svg"
	two_start
	run --separate-stderr "$HOPSCOPE" heap --allocs --exact -d 6 -i 0.1 "$(pid_of two)" --record "$disk/r.json" 7>&-
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write $disk/r.json: No space left on device"* ]]
	[ -s "$disk/r.json" ]
	jq -es 'length > 0 and all(.schema)' "$disk/r.json" >/dev/null
	[ -z "$(tail -c 1 "$disk/r.json")" ] # the end of a line
}

@test "a full disk, bench: no session rather than half of one" {
	need_command socat
	small_disk 20k
	mkdir "$disk/out"
	run --separate-stderr "$HOPSCOPE" bench "$BATS_TEST_DIRNAME/small.yaml" --out "$disk/out" -q
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write $disk/out/session.json: No space left on device"* ]]
	[ -z "$(ls -A "$disk/out")" ]
}

@test "a session that was cut says so" {
	head -c 100000 "$golden/session.json" >"$tmp/cut.json"
	run --separate-stderr "$HOPSCOPE" report "$tmp/cut.json"
	[ "$status" = 1 ]
	[[ $stderr == *'was it cut short?'* ]]
	head -c 20000 "$golden/heap.json" >"$tmp/cut.json"
	run --separate-stderr "$HOPSCOPE" heap --from "$tmp/cut.json"
	[ "$status" = 1 ]
}

# ---- links in a directory that all may write to

# planted PATH ...: what each kind of output does with it. Every one must refuse.
every_output() {
	local path=$1 want=$2 which
	for which in flame folded pprof record; do
		run --separate-stderr "$HOPSCOPE" heap --from "$golden/heap.json" --$which "$path"
		[ "$status" = 1 ]
		[[ $stderr == *"cannot write $path: $want"* ]]
	done
	run --separate-stderr "$HOPSCOPE" report "$golden/session.json" -o "$path"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write $path: $want"* ]]
}

@test "links that others planted are not followed" {
	local shared=$tmp/shared
	mkdir -m 1777 "$shared"
	echo precious >"$tmp/precious"
	chmod 644 "$tmp/precious"
	ln -s "$tmp/precious" "$shared/link"
	every_output "$shared/link" 'it is a symbolic link to a file'
	ln -s "$tmp/nothing" "$shared/dangling"
	every_output "$shared/dangling" 'No such file or directory'
	[ ! -e "$tmp/nothing" ]
	cp "$tmp/precious" "$shared/one"
	ln "$shared/one" "$shared/two"
	every_output "$shared/two" 'it has other names (hard links)'
	echo theirs >"$shared/theirs"
	chown nobody "$shared/theirs"
	every_output "$shared/theirs" 'it belongs to another user'
	[ "$(cat "$tmp/precious" "$shared/one" "$shared/theirs")" = $'precious\nprecious\ntheirs' ]
	# What they lead to that is no file is a terminal, a pipe.
	"$HOPSCOPE" report "$golden/session.json" -o /dev/stdout >"$tmp/out" || [ $? = 1 ]
	"$HOPSCOPE" report "$golden/session.json" -o /dev/null
}

@test "bench --out: a link in the place of the folder, or of a file in it" {
	need_command socat
	mkdir "$tmp/real"
	ln -s "$tmp/real" "$tmp/out"
	run --separate-stderr "$HOPSCOPE" bench "$BATS_TEST_DIRNAME/small.yaml" --out "$tmp/out" -q
	[ "$status" = 1 ]
	[[ $stderr == *'is a symbolic link'* ]]
	[ -z "$(ls -A "$tmp/real")" ]
	echo precious >"$tmp/precious"
	ln -s "$tmp/precious" "$tmp/real/session.json"
	ln -s "$tmp/precious" "$tmp/real/report.md"
	run --separate-stderr "$HOPSCOPE" bench "$BATS_TEST_DIRNAME/small.yaml" --out "$tmp/real" -q
	[ "$status" = 0 ] || [ "$status" = 4 ]
	[ "$(cat "$tmp/precious")" = precious ]
	[ ! -L "$tmp/real/session.json" ]
	jq -e .complete "$tmp/real/session.json" >/dev/null
}
