# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# For tests/e2e/*.bats:
#
#	load helpers
#	setup() { e2e_setup; }
#	teardown() { e2e_teardown; }
#
#	@test "..." {
#		nats_start n1                   # nats-server, its address in $NATS_URL and $NATS_PORT
#		spawn fwd socat ...             # in the background, its log in $(log_of fwd)
#		wait_tcp 127.0.0.1 "$port"
#		run --separate-stderr "$HOPSCOPE" trace -d 2 --json
#	}
#
# Everything lives in $BATS_TEST_TMPDIR, on ports that the kernel picked; several runs on one
# machine do not meet. e2e_teardown ends what was started, by its pid, and fails the test when a
# process, a BPF program or a cgroup is left.

bats_require_minimum_version 1.5.0

E2E_ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
: "${HOPSCOPE:=$E2E_ROOT/build/hopscope}"
PATH=$PATH:/usr/sbin:/sbin

e2e_setup() {
	e2e_pids=()
	e2e_names=()
	NATS_URL='' NATS_PORT='' NATS_HTTP_PORT='' NATS_ROUTE_PORT=''
	# What we start, and what that starts, carries this in its environment.
	export HOPSCOPE_TEST="$BATS_SUITE_TEST_NUMBER.$$.$RANDOM$RANDOM"
	e2e_programs_before=" $(e2e_programs | cut -d ' ' -f 1 | tr '\n' ' ')"
	e2e_cgroups_before=$(e2e_cgroups)
}

# need_bpf: skips, with the reason, where BPF programs cannot be loaded.
need_bpf() {
	[ "$(id -u)" = 0 ] || skip 'needs root'
	bpftool prog list >/dev/null 2>&1 || skip 'this kernel does not let root use bpf(2)'
	[ -n "$(e2e_cgroup2)" ] || skip 'no cgroup v2 hierarchy is mounted'
}

# need_command NAME...
need_command() {
	local name
	for name in "$@"; do
		command -v "$name" >/dev/null || skip "$name is not installed"
	done
}

# ---- processes

log_of() {
	echo "$BATS_TEST_TMPDIR/$1.log"
}

# spawn NAME CMD...: in the background. Its pid is $SPAWNED, and pid_of NAME.
spawn() {
	local name=$1
	shift
	# Descriptor 3 is bats's own: it waits until everyone closed it.
	"$@" >"$(log_of "$name")" 2>&1 </dev/null 3>&- &
	SPAWNED=$!
	e2e_pids+=("$SPAWNED")
	e2e_names+=("$name")
}

# spawn_out NAME FILE CMD...: the same with stdout in FILE of its own.
spawn_out() {
	local name=$1 file=$2
	shift 2
	"$@" >"$file" 2>"$(log_of "$name")" </dev/null 3>&- &
	SPAWNED=$!
	e2e_pids+=("$SPAWNED")
	e2e_names+=("$name")
}

pid_of() {
	local i
	for ((i = ${#e2e_names[@]} - 1; i >= 0; i--)); do
		if [ "${e2e_names[i]}" = "$1" ]; then
			echo "${e2e_pids[i]}"
			return 0
		fi
	done
	echo "nothing named '$1' was started" >&2
	return 1
}

# stop NAME [SIGNAL]: waits at most 10 s, then kills. Returns the exit code: `stop x || rc=$?`, not
# `run stop x`, as only the shell that started it may wait for it. So too wait_exit.
stop() {
	local pid
	pid=$(pid_of "$1") || return
	e2e_stop_pid "$pid" "${2:-TERM}"
}

e2e_stop_pid() {
	local pid=$1 i
	kill -s "$2" "$pid" 2>/dev/null
	for ((i = 0; i < 200; i++)); do
		e2e_alive "$pid" || break
		sleep 0.05
	done
	if e2e_alive "$pid"; then
		echo "# pid $pid did not end in 10 s after SIG$2" >&2
		kill -KILL "$pid" 2>/dev/null
	fi
	wait "$pid" 2>/dev/null
}

# A zombie has ended.
e2e_alive() {
	local stat
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
	stat=${stat##*) }
	[ "${stat%% *}" != Z ]
}

# wait_until SECONDS CMD...: until CMD succeeds.
wait_until() {
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			echo "gave up waiting for: $*" >&2
			return 1
		fi
		sleep 0.05
	done
}

# wait_exit NAME SECONDS: waits for its end, returns its exit code; 124 when it did not end.
wait_exit() {
	local pid
	pid=$(pid_of "$1") || return
	wait_until "$2" e2e_ended "$pid" || return 124
	wait "$pid"
}

e2e_ended() {
	! e2e_alive "$1"
}

# ---- ports

e2e_connects() {
	(exec 4<>"/dev/tcp/$1/$2") 2>/dev/null
}

# wait_tcp HOST PORT [SECONDS]: until someone accepts there.
wait_tcp() {
	wait_until "${3:-10}" e2e_connects "$1" "$2"
}

# free_port: below the range that the kernel hands out, so that only another test can take it
# first. Where a server can pick its own (nats_start), let it.
free_port() {
	local port i
	for ((i = 0; i < 100; i++)); do
		port=$((20000 + RANDOM % 12000))
		if [ -z "$(ss -Htan "( sport = :$port or dport = :$port )")" ]; then
			echo $port
			return 0
		fi
	done
	return 1
}

# free_ports NAME...: a port for each variable, all different.
free_ports() {
	local name port taken=' '
	for name in "$@"; do
		port=$(free_port)
		while [[ $taken == *" $port "* ]]; do port=$(free_port); done
		taken+="$port "
		printf -v "$name" %s "$port"
	done
}

# ---- nats-server

# nats_start NAME [nats-server options]: the server picks its ports. Sets NATS_URL, NATS_PORT,
# NATS_HTTP_PORT and, with --cluster nats://127.0.0.1:-1, NATS_ROUTE_PORT. JetStream: -js.
nats_start() {
	local name=$1 dir=$BATS_TEST_TMPDIR/nats-$1 pid ports
	shift
	mkdir -p "$dir/store"
	spawn "$name" nats-server --addr 127.0.0.1 --port -1 --http_port -1 --name "$name" \
		--pid "$dir/pid" --ports_file_dir "$dir" --store_dir "$dir/store" "$@"
	pid=$SPAWNED
	ports=$dir/nats-server_$pid.ports
	if ! wait_until 10 e2e_nats_said "$pid" "$ports" || [ ! -s "$ports" ]; then
		echo "nats-server '$name' did not start:" >&2
		cat "$(log_of "$name")" >&2
		return 1
	fi
	NATS_PORT=$(e2e_port "$ports" nats)
	NATS_HTTP_PORT=$(e2e_port "$ports" monitoring)
	NATS_ROUTE_PORT=$(e2e_port "$ports" cluster)
	NATS_URL=nats://127.0.0.1:$NATS_PORT
	wait_tcp 127.0.0.1 "$NATS_PORT"
}

# The ports file is complete, or the server ended.
e2e_nats_said() {
	jq -e .nats "$2" >/dev/null 2>&1 || ! e2e_alive "$1"
}

e2e_port() {
	jq -r ".$2[0] // empty" "$1" | sed 's/.*://; s/[^0-9].*//'
}

# nats_stop NAME: that server, by the pid it wrote itself, and no other.
nats_stop() {
	local pid
	pid=$(cat "$BATS_TEST_TMPDIR/nats-$1/pid") || return
	[ "$pid" = "$(pid_of "$1")" ] || {
		echo "the pid file of '$1' says $pid, but we started $(pid_of "$1")" >&2
		return 1
	}
	e2e_stop_pid "$pid" TERM || true
}

# ---- what is left

# "ID NAME" of every program in the kernel.
e2e_programs() {
	bpftool -j prog show 2>/dev/null | jq -r '.[]? | "\(.id) \(.name // "-")"'
}

# Ids of programs that a process holds, itself or by a link. (`bpftool prog show` lists holders
# too, but not the bpftool of Debian bookworm.)
e2e_programs_held() {
	grep -hs '^prog_id:' /proc/[0-9]*/fdinfo/* | awk '{ print $2 }' | sort -u
}

e2e_cgroup2() {
	awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts
}

# Those of hopscope, in every hierarchy.
e2e_cgroups() {
	find $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts) -type d -name 'hopscope*' \
		2>/dev/null | sort
}

# Pids that carry our mark, whoever their parent is now.
e2e_marked() {
	local f
	for f in $(env -u HOPSCOPE_TEST grep -lzsx "HOPSCOPE_TEST=$HOPSCOPE_TEST" \
		/proc/[0-9]*/environ); do
		f=${f#/proc/}
		f=${f%/environ}
		e2e_alive "$f" && echo "$f"
	done
	return 0
}

# A line for each thing that is there now and was not at e2e_setup. Others work on the machine too:
# a program or cgroup counts only when no living process has to do with it.
e2e_left() {
	local pid id name programs held dir live
	for pid in $(e2e_marked); do
		echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
	done
	programs=$(e2e_programs)
	held=" $(e2e_programs_held | tr '\n' ' ')"
	while read -r id name; do
		[[ -n $id && $e2e_programs_before != *" $id "* && $held != *" $id "* ]] || continue
		echo "BPF program $id '$name', held by no process: pinned or attached"
	done <<<"$programs"
	while read -r dir; do
		[ -n "$dir" ] || continue
		# hopscope-PID is another run's while that process lives.
		live=${dir##*hopscope-}
		live=${live%%[^0-9]*}
		[ -n "$live" ] && e2e_alive "$live" && continue
		# Processes below it that are not ours.
		[ -z "$(find "$dir" -name cgroup.procs -exec cat {} + 2>/dev/null)" ] || continue
		echo "cgroup $dir"
	done < <(comm -13 <(echo "$e2e_cgroups_before") <(e2e_cgroups))
	return 0
}

e2e_clean() {
	[ -z "$(e2e_left)" ]
}

# assert_nothing_left: of what is there now, nothing is there in 15 seconds: the kernel frees
# programs some grace periods after the last descriptor closed. Only what was there all the time
# counts, as others' programs come and go in the same way.
assert_nothing_left() {
	local end=$((SECONDS + 16)) left
	left=$(e2e_left | sort)
	while [ -n "$left" ] && [ $SECONDS -lt $end ]; do
		sleep 0.2
		left=$(comm -12 <(echo "$left") <(e2e_left | sort))
	done
	[ -n "$left" ] || return 0
	echo "left behind:" >&2
	echo "$left" >&2
	return 1
}

e2e_teardown() {
	local i rc=0 name pid
	for ((i = ${#e2e_pids[@]} - 1; i >= 0; i--)); do
		e2e_alive "${e2e_pids[i]}" || continue
		e2e_stop_pid "${e2e_pids[i]}" TERM || true
	done
	assert_nothing_left || rc=1
	# A test that failed may leave a child of a child: the next test is not to suffer for it.
	for pid in $(e2e_marked); do
		kill -KILL "$pid" 2>/dev/null || true
	done
	# Shown by bats only when the test failed.
	for name in ${e2e_names[@]+"${e2e_names[@]}"}; do
		[ ! -s "$(log_of "$name")" ] || {
			echo "--- $name"
			tail -n 20 "$(log_of "$name")"
		}
	done
	return $rc
}
