# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# For tests of a stack of services: a program of tools/ that starts it and obeys (stack_tool.h).

# stack_make TARGET, of the Makefile: in setup_file.
stack_make() {
	local build
	cd "$E2E_ROOT" || return
	build=$(dirname "${HOPSCOPE:-$PWD/build/hopscope}")
	# As it was named before: another name is another build to make.
	make BUILD="${build#"$PWD"/}" "$1" >&2
}

stack_setup() {
	e2e_setup
	tools=$(dirname "$HOPSCOPE")/tests
	exec 7<&-
}

stack_teardown() {
	exec 7<&-
	e2e_teardown
}

# stack_run SECONDS PROGRAM SCENARIO [NAME=VALUE...]: in the background, its commands on descriptor
# 7. What it says first, within so many seconds, is in $INFO.
stack_run() {
	local seconds=$1 program=$2 file=$3
	shift 3
	commands=$BATS_TEST_TMPDIR/commands said=$BATS_TEST_TMPDIR/said
	mkfifo "$commands"
	: >"$said"
	exec 7<>"$commands"
	PATH=${stack_path:-$PATH} "$tools/e2e/tools/$program" "$E2E_ROOT/scenarios/$file" "$@" \
		<"$commands" >"$said" 2>"$(log_of stack)" 3>&- 7>&- &
	stack_pid=$!
	e2e_pids+=("$stack_pid")
	e2e_names+=(stack)
	wait_until "$seconds" has_said 1
	INFO=$(sed -n 1p "$said")
	[ "$(jq .ok <<<"$INFO")" = true ]
}

has_said() {
	[ "$(wc -l <"$said")" -ge "$1" ] || ! e2e_alive "$stack_pid"
}

# tell COMMAND...: its answer.
tell() {
	local n
	n=$(($(wc -l <"$said") + 1))
	echo "$*" >&7
	wait_until 30 has_said $n
	sed -n "${n}p" "$said"
}
