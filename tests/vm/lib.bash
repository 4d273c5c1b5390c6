# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# For tests/vm/smoke and what it sources: TAP, processes and waiting, in a machine that is ours alone
# and gone afterwards. A test is a function:
#
#	test_x() { ...; }          fails with its first command that fails, or `fail WHY`
#	run_test 'name' test_x     `skip WHY` ends it as skipped
#
# VM_TESTS='REGEX' is matched with the names: only those run.
# Its own folder is $tmp; what it starts with `spawn` is killed at its end. Files keep.NAME in it are the
# host's, as NAME.

# shellcheck disable=SC2154 # pid_NAME is made by spawn
n_tests=0 n_failed=0
out=/run/vm # shared with the host

run_test() {
	local name=$1 fn=$2 rc file
	[[ $name =~ ${VM_TESTS:-} ]] || return 0
	n_tests=$((n_tests + 1))
	tmp=/tmp/test-$n_tests
	mkdir -p "$tmp"
	(
		set -eE -o pipefail
		trap 'echo "line $LINENO: $BASH_COMMAND" >>"$tmp/.why"' ERR
		pids=()
		trap 'end_all' EXIT
		"$fn"
	) >"$tmp/.out" 2>&1 </dev/null
	rc=$?
	if [ $rc = 0 ]; then
		echo "ok $n_tests - $name"
	elif [ $rc = 77 ]; then
		echo "ok $n_tests - $name # skip $(cat "$tmp/.skip")"
	else
		n_failed=$((n_failed + 1))
		echo "not ok $n_tests - $name"
		# The first is where it happened, the others where that was called from.
		head -n 3 "$tmp/.why" 2>/dev/null | sed 's/^/# /'
		tail -n 60 "$tmp/.out" | sed 's/^/# | /; $a\'
	fi
	for file in "$tmp"/keep.*; do
		[ ! -e "$file" ] || cp "$file" "$out/${file##*/keep.}"
	done
	rm -rf "$tmp"
}

fail() {
	echo "$*" >>"$tmp/.why"
	exit 1
}

skip() {
	echo "$*" >"$tmp/.skip"
	exit 77
}

# ---- processes

# spawn NAME CMD...: in the background; stdout in $tmp/NAME.out, stderr in $tmp/NAME.log.
spawn() {
	local name=$1
	shift
	"$@" >"$tmp/$name.out" 2>"$tmp/$name.log" </dev/null &
	eval "pid_$name=$!"
	pids+=($!)
}

pid_of() {
	local var=pid_$1
	echo "${!var}"
}

alive() {
	local stat
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
	stat=${stat##*) }
	[ "${stat%% *}" != Z ]
}

ended() {
	! alive "$1"
}

# wait_for SECONDS CMD...: until CMD succeeds. Seconds are a limit against hanging, nothing more: a
# processor that is interpreted is slow.
wait_for() {
	local end=$((SECONDS + $1)) what
	shift
	what=$*
	until "$@"; do
		[ $SECONDS -lt $end ] || fail "gave up waiting for: $what"
		sleep 0.1
	done
}

# wait_said NAME WORD: until it stands in NAME's log or output.
said() {
	grep -qs -- "$2" "$tmp/$1.log" "$tmp/$1.out" || ended "$(pid_of "$1")"
}

wait_said() {
	wait_for 90 said "$@"
	grep -qs -- "$2" "$tmp/$1.log" "$tmp/$1.out" || {
		cat "$tmp/$1.log" "$tmp/$1.out"
		fail "'$1' ended and did not say '$2'"
	}
}

# stop NAME [SIGNAL]: and waits; its exit code in $rc.
stop() {
	local pid
	pid=$(pid_of "$1")
	kill -s "${2:-INT}" "$pid" 2>/dev/null || true
	wait_exit "$1"
}

wait_exit() {
	local pid
	pid=$(pid_of "$1")
	wait_for 120 ended "$pid"
	rc=0
	wait "$pid" 2>/dev/null || rc=$?
}

end_all() {
	local pid i
	for pid in ${pids[@]+"${pids[@]}"}; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	for pid in ${pids[@]+"${pids[@]}"}; do
		for ((i = 0; i < 100; i++)); do
			alive "$pid" || break
			sleep 0.1
		done
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}

# ---- results

# holds FILE FILTER...: each is true for the last line of the file.
holds() {
	local file=$1 filter
	shift
	tail -n 1 "$file" >"$tmp/last"
	for filter in "$@"; do
		jq -e "$filter" "$tmp/last" >/dev/null && continue
		head -c 6000 "$tmp/last"
		echo
		fail "does not hold: $filter"
	done
}

connects() {
	(exec 4<>"/dev/tcp/$1/$2") 2>/dev/null
}

# Ids of all programs in the kernel.
programs() {
	bpftool -j prog show | jq -r '.[].id' | sort
}
