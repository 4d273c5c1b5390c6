# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The command line itself: src/main.c.

bats_require_minimum_version 1.5.0

: "${HOPSCOPE:=$BATS_TEST_DIRNAME/../../build/hopscope}"

@test "--version is one line on stdout" {
	run --separate-stderr "$HOPSCOPE" --version
	[ "$status" = 0 ]
	[[ $output =~ ^hopscope\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
	[ -z "$stderr" ]
}

@test "--help lists every command" {
	run --separate-stderr "$HOPSCOPE" --help
	[ "$status" = 0 ]
	for name in doctor trace hops mem heap bench report; do
		[[ $output == *"  $name "* ]]
	done
	[[ $output != *worker* ]]
	run --separate-stderr "$HOPSCOPE" help
	[ "$status" = 0 ]
}

@test "every command explains itself, with and without 'help'" {
	for name in doctor trace hops mem heap bench report; do
		run --separate-stderr "$HOPSCOPE" help "$name"
		[ "$status" = 0 ]
		[ -n "$output" ]
		first=$output
		run --separate-stderr "$HOPSCOPE" "$name" --help
		[ "$status" = 0 ]
		[ "$output" = "$first" ]
	done
}

@test "bench: what is for NATS only is no option of a gateway scenario" {
	for option in --ab --ab-only --nats-url=nats://127.0.0.1:1 --nats-server=/bin/true; do
		run --separate-stderr "$HOPSCOPE" bench \
			"$BATS_TEST_DIRNAME/../../scenarios/gateway.yaml" "$option"
		[ "$status" = 2 ]
		[ -z "$output" ]
		[[ $stderr == *"${option%%=*}"*'scenarios of NATS'* ]]
	done
}

@test "no command: usage on stderr, exit code 2" {
	run --separate-stderr "$HOPSCOPE"
	[ "$status" = 2 ]
	[ -z "$output" ]
	[[ $stderr == *usage:* ]]
}

@test "an unknown command: exit code 2 and a suggestion" {
	run --separate-stderr "$HOPSCOPE" trcae
	[ "$status" = 2 ]
	[ -z "$output" ]
	[[ $stderr == *"unknown command 'trcae': did you mean 'trace'?"* ]]
	run --separate-stderr "$HOPSCOPE" rep
	[ "$status" = 2 ]
	[[ $stderr == *"'report'"* ]]
	run --separate-stderr "$HOPSCOPE" help bnch
	[ "$status" = 2 ]
	[[ $stderr == *"'bench'"* ]]
}

@test "an unknown command that is like none: no suggestion" {
	for name in frobnicate x "" "$(printf '%0300d' 0)"; do
		run --separate-stderr "$HOPSCOPE" "$name"
		[ "$status" = 2 ]
		[[ $stderr == *"unknown command"* ]]
		[[ $stderr != *"did you mean"* ]]
	done
}

@test "a full disk under stdout is a run-time error" {
	run --separate-stderr bash -c "'$HOPSCOPE' --help >/dev/full"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write to standard output: No space left on device"* ]]
}

@test "a closed stdout is a run-time error" {
	run --separate-stderr bash -c "'$HOPSCOPE' --version >&-"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write to standard output: Bad file descriptor"* ]]
}

@test "a reader that went away is a run-time error, not a signal" {
	run --separate-stderr bash -c \
		"{ sleep 0.2; '$HOPSCOPE' --help; echo \"rc \$?\" >&2; } | true; wait"
	[[ $stderr == *"Broken pipe"* ]]
	[[ $stderr == *"rc 1"* ]]
}

@test "words of others that are repeated in a message do not steer the terminal" {
	run --separate-stderr "$HOPSCOPE" $'x\e[2Jy\x07\xc2\x9b2J'
	[ "$status" = 2 ]
	[[ $stderr == *"unknown command 'x?[2Jy??"* ]]
	! grep -q $'[\e\x07]' <<<"$stderr" || false
}
