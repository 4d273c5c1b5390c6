#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope heap` on real processes that hold what is known: tests/targets/two_sites.c, redis-server,
# nats-server.

load helpers
load tools/trace

# One cycle of two_sites: bytes and blocks of its sites.
SMALL_BYTES=2560000 SMALL_BLOCKS=10000 LARGE_BYTES=4000000 LARGE_BLOCKS=40

target=${BUILD:-build}/tests/targets/two_sites
[ "${target#/}" != "$target" ] || target=$E2E_ROOT/$target

setup_file() {
	make -s -C "$E2E_ROOT" "${target#"$E2E_ROOT"/}" >&2
}

setup() {
	e2e_setup
	need_bpf
	need_command jq
	tmp=$BATS_TEST_TMPDIR
	heap_cgroup=''
}

teardown() {
	local rc=0
	e2e_teardown || rc=1
	[ -z "$heap_cgroup" ] || rmdir "$heap_cgroup"/sub "$heap_cgroup" || rc=1
	return $rc
}

# two_start NAME: two_sites, waiting for `cycle`. One at a time can be cycled.
two_start() {
	mkfifo "$tmp/$1.in"
	spawn_out "$1" "$(out_of "$1")" bash -c 'exec "$0" <"$1"' \
		"$target" "$tmp/$1.in"
	exec 7>"$tmp/$1.in"
	wait_until 5 grep -q ready "$(out_of "$1")"
	two=$SPAWNED
	two_name=$1
}

cycle() {
	local n
	n=$(grep -c held "$(out_of "$two_name")" || true)
	echo >&7
	wait_until 10 cycles $((n + 1))
}

cycles() {
	[ "$(grep -c held "$(out_of "$two_name")")" -ge "$1" ]
}

# heap_start NAME ARGS...: returns when the probes are attached. Its JSON is in $(out_of NAME).
heap_start() {
	spawn_out "$1" "$(out_of "$1")" "$HOPSCOPE" heap --json "${@:2}" 7>&-
	wait_said "$1" watching
}

# heap_end NAME: Ctrl-C, the last report.
heap_end() {
	stop "$1" INT
	tail -n 1 "$(out_of "$1")" >"$tmp/last"
}

# check FILTER: of the last report.
check() {
	jq -e --argjson sb $SMALL_BYTES --argjson sn $SMALL_BLOCKS --argjson lb $LARGE_BYTES \
		--argjson ln $LARGE_BLOCKS '
		def site($f): [.sites[] | select(any(.stack[]; .function == $f))] |
			{bytes: (map(.bytes) | add // 0), blocks: (map(.blocks) | add // 0),
			 grown: (map(.grown_bytes) | add // 0), total: (map(.total_bytes) | add // 0)};
		def near($want; $part): (. - $want) | fabs <= $part * $want;
		'"$1" "$tmp/last" >"$tmp/checked" && return
	echo "does not hold: $1" >&2
	jq -c 'del(.sites)' "$tmp/last" >&2
	jq -c '.sites[:8][] | [.bytes, .blocks, .grown_bytes, [.stack[].function]]' "$tmp/last" >&2
	return 1
}

@test "--allocs --exact: two sites to the byte and the block, what is freed is gone" {
	two_start two
	heap_start h "$two" --allocs --exact
	cycle
	cycle
	heap_end h
	check '.label == "exact" and .final and .kind == "heap" and .schema == 1'
	check 'site("keep_small") | .bytes == 2 * $sb and .blocks == 2 * $sn'
	check 'site("hoard_large") | .bytes == 2 * $lb and .blocks == 2 * $ln'
	check 'site("churn").bytes == 0'
	check '.totals.bytes == 2 * ($sb + $lb) and .totals.blocks == 2 * ($sn + $ln)'
	# the probe saw what happened, and lost nothing
	check '.counters.allocs - .counters.frees == .totals.blocks and
		.counters.frees - .counters.frees_before == 2000'
	check '[.counters | .blocks_lost, .sites_lost, .stacks_lost, .pending_lost, .missed_frees] | add == 0'
	check 'all(.sites[]; .pid == '"$two"' and .comm == "two_sites" and .age_s > 0 and
		.stack[0].function == "malloc" and (.stack[-1].function | IN("_start", "__libc_start_main")))'
	check '.sites[0].stack | map(select(.function == "hoard_large"))[0] |
		(.module | endswith("/two_sites")) and (.address | startswith("0x")) and
		(.source | endswith("two_sites.c")) and .line > 0'
}

@test "--allocs sampled: within its stated error" {
	two_start two
	heap_start h "$two" --allocs --sample 8k --budget 0
	cycle
	cycle
	heap_end h
	check '.label == "sampled" and .sample_bytes == 8192'
	# 1600 samples: 4 standard errors are 10 %
	check '(.totals.bytes - 2 * ($sb + $lb) | fabs) < 4 * .totals.bytes_error and
		.totals.bytes_error < 0.05 * .totals.bytes'
	check 'site("keep_small").bytes | near(2 * $sb; 0.25)'
	check 'site("hoard_large").bytes | near(2 * $lb; 0.25)'
}

@test "--pages: the size within 5 %, labelled as biased" {
	two_start two
	heap_start h "$two" --exact
	cycle
	cycle
	heap_end h
	check '.source == "pages" and .label == "biased"'
	# glibc adds 16 bytes to each block
	check '.totals.bytes | near(2 * ($sb + $lb + 16 * ($sn + $ln)); 0.05)'
	check '(site("keep_small").bytes + site("hoard_large").bytes) | near(2 * ($sb + $lb); 0.1)'
	check '(.totals.bytes + .totals.unattributed_bytes) <= .totals.resident_bytes * 1.02'
}

@test "records: what grew between two moments, in every form" {
	two_start two
	heap_start h "$two" --allocs --exact -i 1 --record "$tmp/record"
	cycle
	wait_until 5 test -s "$tmp/record"
	cp "$tmp/record" "$tmp/a"
	cycle
	cycle
	heap_end h
	cmp "$tmp/record" "$(out_of h)"
	# the first line with a cycle in it
	tail -n 1 "$tmp/a" >"$tmp/a1"
	for want in $SMALL_BYTES $LARGE_BYTES; do
		[ "$(jq -e --argjson w "$want" '[.sites[] | select(.bytes == $w)] | length' "$tmp/a1")" = 1 ]
	done
	"$HOPSCOPE" heap --diff "$tmp/a1" "$tmp/record" --json >"$tmp/last"
	check 'site("keep_small").grown == 2 * $sb and site("hoard_large").grown == 2 * $lb'
	check 'site("keep_small").bytes == 3 * $sb'
	"$HOPSCOPE" heap --diff "$tmp/a1" "$tmp/record" --folded "$tmp/folded" --flame "$tmp/f.svg" \
		--pprof "$tmp/p.pb.gz" >"$tmp/table"
	grep -q ";keep_small;.*malloc $SMALL_BYTES $((3 * SMALL_BYTES))\$" "$tmp/folded"
	grep -qE '\+7\.63 MiB +hoard_large two_sites\.c:[0-9]+ \(two_sites\)$' "$tmp/table"
	grep -q '^<title>hoard_large$\|<title>hoard_large$' "$tmp/f.svg"
	gunzip -t "$tmp/p.pb.gz"
}

@test "the table, and two outputs at once; growth is of the later half" {
	two_start two
	spawn_out h "$(out_of h)" "$HOPSCOPE" heap "$two" --allocs --exact -d 4 --folded "$tmp/folded" \
		--flame "$tmp/flame.html" 7>&-
	wait_said h watching
	cycle
	sleep 2.5
	echo >&7
	wait_exit h 10
	out=$(out_of h)
	# 2 cycles held, 1 of them after the half
	grep -qE '^ +7\.63 MiB +61\.0 % +80 .*\+3\.81 MiB +hoard_large two_sites\.c' "$out"
	grep -qE '^ +4\.88 MiB +39\.0 % +20,000 .*\+2\.44 MiB +keep_small two_sites\.c' "$out"
	grep -q '^              < main two_sites.c' "$out"
	grep -q '^exact: every allocation since the attach (glibc' "$out"
	grep -qE '^attributed    12\.5 MiB in 20,080 blocks at 2 sites, \+6\.26 MiB over 2\.0' "$out"
	grep -qE '^ +2,000  frees seen$' "$out"
	grep -qE '^probes        [0-9,]+ hits, .* of a core$' "$out"
	# the allocator's own frames are in the files, not in the table
	run grep -c malloc "$out"
	[ "$output" = 0 ]
	grep -qE ';hoard_large;malloc 8000000$|;take;malloc 8000000$' "$tmp/folded"
	head -n 1 "$tmp/flame.html" | grep -q DOCTYPE
}

@test "a process that ends during the watch: what it held, and that it ended" {
	for source in '--allocs --exact' '--pages --exact'; do
		two_start "two${source:2:1}"
		heap_start "h${source:2:1}" "$two" $source
		cycle
		sleep 1.6
		exec 7>&-
		wait_exit "h${source:2:1}" 10
		tail -n 1 "$(out_of "h${source:2:1}")" >"$tmp/last"
		check '.totals.bytes | near($sb + $lb + 16 * $sn; 0.06)'
		check 'any(.notes[]; contains("the process ended during the watch"))'
		check 'any(.sites[].stack[]; .function == "hoard_large")'
	done
}

@test "a process that ends before anything was read: not known, which is not 0" {
	local unread=0
	for try in 1 2 3 4 5 6; do
		two_start "two$try"
		heap_start "h$try" "$two" --allocs --exact
		exec 7>&-
		wait_exit "h$try" 10
		tail -n 1 "$(out_of "h$try")" >"$tmp/last"
		# on a busy machine the first reading may have been in time
		if check '.totals.bytes == null' 2>/dev/null; then
			unread=$((unread + 1))
			check '.totals.resident_bytes == null and .totals.grown_bytes == null and
				(.notes[0] | contains("ended before anything could be read"))'
			"$HOPSCOPE" heap --from "$tmp/last" | grep -q '^attributed    not known$'
		else
			check '.totals.resident_bytes > 0 and
				(.notes[0] | contains("ended during the watch"))'
		fi
	done
	[ $unread -gt 0 ]
}

@test "a report that cannot be printed: the files hold the whole watch" {
	two_start two
	spawn h bash -c '"$0" heap "$1" --json --allocs --exact -i 1 --folded "$2" | head -n 1 >/dev/null
		exit ${PIPESTATUS[0]}' "$HOPSCOPE" "$two" "$tmp/folded" 7>&-
	wait_said h watching
	cycle
	rc=0
	wait_exit h 20 || rc=$?
	[ $rc = 1 ]
	grep -q 'cannot write to standard output' "$(log_of h)"
	grep -qE ';hoard_large;malloc [0-9]+$' "$tmp/folded"
}

@test "no such target: exit code 1 and why" {
	refused() {
		local want=$1
		shift
		run --separate-stderr "$HOPSCOPE" heap "$@"
		echo "$stderr"
		[ "$status" = 1 ]
		[ -z "$output" ]
		[[ $stderr == *"$want"* ]]
	}
	refused 'there is no process 2147483647' 2147483647
	refused 'there is no process 2147483647' --allocs 2147483647
	kthread=$(awk '$2 == "(kthreadd)" { print $1 }' /proc/[0-9]*/stat 2>/dev/null || true)
	[ -z "$kthread" ] || refused "$kthread is a kernel thread" "$kthread"
	refused "no container with a process matches 'nosuchthing" --container "nosuchthing.$$"
	two_start two
	refused 'cannot write /nonexistent/f.svg' "$two" -d 1 --flame /nonexistent/f.svg
}

@test "a thread's number is not a process" {
	nats_start n
	tid=$(ls "/proc/$(pid_of n)/task" | grep -vx "$(pid_of n)" | head -n 1)
	run --separate-stderr "$HOPSCOPE" heap "$tid"
	[ "$status" = 1 ]
	[[ $stderr == *"$tid is a thread of process $(pid_of n): give that"* ]]
}

@test "not root: exit code 1 and a reason" {
	need_command setpriv
	two_start two
	for source in --pages --allocs; do
		run --separate-stderr setpriv --reuid nobody --regid nogroup --clear-groups \
			"$HOPSCOPE" heap "$two" -d 1 $source
		echo "$stderr"
		[ "$status" = 1 ]
		[ -z "$output" ]
		[[ $stderr == *root* || $stderr == *CAP_* ]]
	done
}

@test "a container: all processes of its cgroup and below, apart" {
	heap_cgroup=$(e2e_cgroup2)/heaptest-$$
	mkdir "$heap_cgroup" "$heap_cgroup/sub"
	two_start one
	one=$two
	echo "$one" >"$heap_cgroup/cgroup.procs"
	cycle
	exec 8>&7
	two_start other
	echo "$two" >"$heap_cgroup/sub/cgroup.procs"
	spawn_out h "$(out_of h)" "$HOPSCOPE" heap --json --container "heaptest-$$" --allocs --exact \
		7>&- 8>&-
	wait_said h 'watching 2 processes'
	cycle
	heap_end h
	check '[.sites[].pid] | unique == ['"$two"']'
	check '.target | contains("heaptest-")'
	# and now both
	spawn_out h2 "$(out_of h2)" "$HOPSCOPE" heap --container "heaptest-$$" --allocs --exact \
		--folded "$tmp/folded" 7>&- 8>&-
	wait_said h2 'watching 2 processes'
	echo >&8
	cycle
	wait_until 5 eval '[ "$(grep -c held "$(out_of one)")" = 2 ]'
	stop h2 INT
	grep -q "^two_sites\[$one\];.*malloc $LARGE_BYTES\$" "$tmp/folded"
	grep -q "^two_sites\[$two\];.*malloc $LARGE_BYTES\$" "$tmp/folded"
	grep -qE "two_sites\[$one\] +hoard_large" "$(out_of h2)"
	exec 8>&-
}

# redis_start: sets redis_cli
redis_start() {
	need_command redis-server redis-cli
	spawn redis redis-server --port 0 --unixsocket "$tmp/redis.sock" --save '' --appendonly no \
		--dir "$tmp"
	redis_cli=(timeout 20 redis-cli -s "$tmp/redis.sock")
	wait_until 10 "${redis_cli[@]}" ping
}

redis_used() {
	"${redis_cli[@]}" info memory | tr -d '\r' | sed -n "s/^$1://p"
}

@test "redis-server growing by known SETs" {
	redis_start
	local before rss used
	# the table of keys has its size: it is not to grow now
	before=$(redis_used used_memory) rss=$(redis_used used_memory_rss)
	heap_start allocs "$(pid_of redis)" --allocs --exact
	heap_start pages "$(pid_of redis)" --pages --exact
	value=$(printf '%01000d' 7)
	for ((i = 0; i < 5000; i++)); do
		echo "SET key:$i $value"
	done | "${redis_cli[@]}" >/dev/null
	[ "$("${redis_cli[@]}" dbsize)" = 5000 ]
	used=$(($(redis_used used_memory) - before))
	rss=$(($(redis_used used_memory_rss) - rss))
	heap_end pages
	check ".totals.bytes | near($rss; 0.1)"
	heap_end allocs
	check '.allocator | contains("jemalloc")'
	# redis counts what jemalloc rounded up to: for 1000 bytes and a header, 1024
	check ".totals.bytes > 5000 * 1000 and .totals.bytes < $used * 1.01 and .totals.bytes > $used * 0.85"
	check '[.sites[] | select(any(.stack[]; .function | IN("processMultibulkBuffer",
		"processInlineBuffer", "createStringObject", "tryObjectEncoding", "setCommand"))) | .bytes] |
		add > 5000 * 1000'
}

@test "nats-server under JetStream load: pages with Go's names; --allocs says why not" {
	node_ready
	nats_start n -js
	pid=$(pid_of n)
	run --separate-stderr "$HOPSCOPE" heap "$pid" --allocs -d 1
	echo "$stderr"
	[ "$status" = 1 ]
	[[ $stderr == *Go* ]]
	e2e_alive "$pid"
	heap_start h "$pid" --pages
	node_run jetstream "{\"url\": \"$NATS_URL\", \"n\": 9000, \"inflight\": 90}" >"$tmp/load"
	jq -e '.acked == 9000' "$tmp/load"
	heap_end h
	check '.totals.bytes > 1e6'
	check '[.sites[] | select(any(.stack[]; .function | contains("server."))) | .bytes] | add > 1e6'
	# Stacks are walked to their end, but where Go changes to its system stack: there is no frame pointer
	# across that, and the walk says that it is broken. A preempted stack may be, too: two samples of them, of
	# which each stands for some sixty pages here, are more than 2 % of a short run.
	check '([.sites[].bytes] | min) as $one | ([.sites[] | select(.broken and (.stack[-1].function |
		test("^runtime[.](systemstack|mcall|morestack)") | not)) | .bytes] | add // 0) <
			0.02 * .totals.bytes + 2 * $one'
	"$HOPSCOPE" heap --from "$tmp/last" --frames 3 >"$tmp/table"
	grep -q 'server\.' "$tmp/table"
}

@test "the budget: it detaches itself, says so, and reports" {
	two_start two
	spawn_out h "$(out_of h)" "$HOPSCOPE" heap "$two" --allocs --budget 0.1 7>&-
	wait_said h watching
	for i in 1 2 3 4 5 6 7 8; do
		echo >&7
		sleep 0.3
	done
	wait_exit h 20
	cat "$(out_of h)"
	grep -q '(budget 0.1 %)' "$(out_of h)"
	grep -q 'stopped after' "$(out_of h)"
}

@test "kill -9 leaves nothing attached, and the process goes on" {
	two_start two
	no_uprobes # can be seen at all
	for source in pages allocs; do
		programs_before=" $(e2e_programs | cut -d ' ' -f 1 | tr '\n' ' ')"
		heap_start "kill_$source" "$two" --$source --exact
		cycle
		! no_programs || fail_with 'no program of its own was seen while it was attached'
		if [ $source = allocs ]; then
			run no_uprobes
			[ "$status" = 1 ]
		fi
		stop "kill_$source" KILL || [ $? = 137 ]
		wait_until 10 no_uprobes
		wait_until 20 no_programs
		cycle
	done
}

fail_with() {
	echo "$1" >&2
	return 1
}

# Of the programs of `hopscope heap`, none that was not there before. Another's run may come and go:
# what a living process holds is not left behind by us, who are dead.
no_programs() {
	local id name held
	held=" $(e2e_alive "$(pid_of "kill_$source")" || e2e_programs_held | tr '\n' ' ')"
	while read -r id name; do
		[[ -n $id && $programs_before != *" $id "* && $held != *" $id "* ]] && return 1
	done < <(e2e_programs)
	return 0
}

# 0: the code in memory is the file's; 1: it is not; 2: there was none to compare. (That a page of it is
# still a private copy means nothing: the kernel shares it with the file again only if the file's page is
# in the cache.)
no_uprobes() {
	local range perms offset path pages n=0
	while read -r range perms offset _ _ path; do
		[[ $perms == r-xp && $path == *libc.so* ]] || continue
		pages=$(((16#${range#*-} - 16#${range%-*}) / 4096))
		cmp -s <(dd if="/proc/$two/mem" bs=4096 skip=$((16#${range%-*} / 4096)) \
			count=$pages status=none) \
			<(dd if="$path" bs=4096 skip=$((16#$offset / 4096)) count=$pages status=none) ||
			return 1
		n=$((n + 1))
	done <"/proc/$two/maps"
	[ $n -gt 0 ] || return 2
}
