#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope doctor`.

load helpers
load tools/trace

setup() {
	e2e_setup
	need_bpf
	need_command jq
}

teardown() {
	e2e_teardown
}

@test "where trace works, doctor says so; --json: one object, its checks those of the table" {
	local name state
	run --separate-stderr "$HOPSCOPE" trace -d 0.1 --port 1
	[ "$status" = 0 ]
	run --separate-stderr "$HOPSCOPE" doctor
	[ "$status" = 0 ]
	[[ $output == *'trace works here.'* ]]
	[[ $output != *MISSING* ]]
	[[ $output == *"$(uname -r)"* ]]
	[[ $output == *"$(e2e_cgroup2)"* ]]
	[ -z "$stderr" ]
	echo "$output" >"$BATS_TEST_TMPDIR/text"
	"$HOPSCOPE" doctor --json >"$BATS_TEST_TMPDIR/json"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/json")" = 1 ]
	expect "$BATS_TEST_TMPDIR/json" '.schema == 1 and .usable == true and (.checks | length) > 8' \
		'all(.checks[]; (.name, .state, .found | type == "string" and length > 0) and has("advice") and
			(.state | IN("ok", "limited", "MISSING")) and
			(.state == "ok") == (.advice == null))' \
		'[.checks[].name] | contains(["kernel", "BTF", "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN",
			"cgroup v2", "wire programs: load", "wire programs: attach"])' \
		'[.checks[].name] | length == (unique | length)'
	while IFS=$'\t' read -r state name; do
		grep -qE "^$state +$name +" "$BATS_TEST_TMPDIR/text"
	done < <(jq -r '.checks[] | [.state, .name] | @tsv' "$BATS_TEST_TMPDIR/json")
}

@test "not root: exit code 1, the capabilities named, each with advice" {
	need_command setpriv
	run --separate-stderr setpriv --reuid nobody --regid nogroup --clear-groups "$HOPSCOPE" doctor
	[ "$status" = 1 ]
	[[ $output == *'trace does not work here'* ]]
	for cap in CAP_BPF CAP_PERFMON CAP_NET_ADMIN; do
		grep -qE "^MISSING +$cap " <<<"$output"
	done
	[ "$(grep -c '^MISSING' <<<"$output")" -le "$(grep -c -- '-> ' <<<"$output")" ]
	setpriv --reuid nobody --regid nogroup --clear-groups "$HOPSCOPE" doctor --json \
		>"$BATS_TEST_TMPDIR/json" || [ $? = 1 ]
	expect "$BATS_TEST_TMPDIR/json" '.usable == false' \
		'[.checks[] | select(.state == "MISSING").name] |
			contains(["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"])' \
		'all(.checks[] | select(.state == "MISSING"); .advice | length > 10)'
}

@test "one capability short: that one is named, and no other" {
	need_command setpriv
	run --separate-stderr setpriv --bounding-set -net_admin --inh-caps -net_admin "$HOPSCOPE" doctor
	[ "$status" = 1 ]
	grep -qE '^MISSING +CAP_NET_ADMIN ' <<<"$output"
	fails grep -qE '^MISSING +CAP_(BPF|PERFMON) ' <<<"$output"
}

@test "what bench's gateway is made of is looked for, as a run of it does" {
	local nothing=$BATS_TEST_TMPDIR/bin
	need_command nginx
	run --separate-stderr "$HOPSCOPE" doctor --json
	[ "$status" = 0 ]
	echo "$output" >"$BATS_TEST_TMPDIR/json"
	expect "$BATS_TEST_TMPDIR/json" '[.checks[].name] | contains(["trace --tree", "trace --tls", "nginx",
		"nginx'"'"'s Lua module", "lua-nginx-redis", "lua-cjson", "redis-server", "openssl"])' \
		'.commands[] | select(.name == "bench, gateway").works == "yes"'
	# An nginx that has no Lua module.
	mkdir "$nothing"
	printf '#!/bin/sh\necho "nginx version: nginx/1.0" >&2\necho "--modules-path=/nonexistent" >&2\n' >"$nothing/nginx"
	chmod +x "$nothing/nginx"
	run --separate-stderr env PATH="$nothing:$PATH" "$HOPSCOPE" doctor
	[ "$status" = 0 ]
	grep -q "^limited  nginx's Lua module .*nginx has no ndk_http_module.so in /nonexistent" <<<"$output"
	grep -q 'apt install libnginx-mod-http-lua' <<<"$output"
	grep -q '^bench, gateway *no: nginx has no ndk_http_module.so' <<<"$output"
	grep -q '^trace  *yes' <<<"$output"
}

@test "doctor leaves nothing attached" {
	local before
	before=$(bpftool -j cgroup show "$(e2e_cgroup2)" | jq -c '[.[].id] | sort')
	"$HOPSCOPE" doctor >/dev/null
	ours_gone() {
		# Others' come and go: nothing that is attached may be held by nobody.
		[ -z "$(bpftool -j prog show | jq -r --argjson now "$(bpftool -j cgroup show "$(e2e_cgroup2)" |
			jq -c '[.[].id]')" --argjson before "$before" '.[] | select(.id | IN($now[])) |
			select((.id | IN($before[])) | not) | select((.pids // []) == []).id')" ]
	}
	wait_until 5 ours_gone
}

@test "unknown options and arguments: exit code 2" {
	run --separate-stderr "$HOPSCOPE" doctor --nonsense
	[ "$status" = 2 ]
	[ -z "$output" ]
	run --separate-stderr "$HOPSCOPE" doctor surplus
	[ "$status" = 2 ]
	[[ $stderr == *"'surplus'"* ]]
}

@test "a full disk under stdout is a run-time error" {
	run --separate-stderr bash -c '"$0" doctor >/dev/full' "$HOPSCOPE"
	[ "$status" = 1 ]
	[[ $stderr == *'cannot write to standard output'* ]]
}
