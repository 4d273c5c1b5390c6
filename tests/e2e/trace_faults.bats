#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope trace` where something goes wrong: with the exchanges, with the options, with trace.

load helpers
load tools/trace

setup_file() {
	node_ready
}

setup() {
	e2e_setup
	need_bpf
	need_command nats-server jq node
}

teardown() {
	stop_all
	e2e_teardown
}

# requests SUBJECT [MORE]: $n of them, what became of them in $(out_of client).
requests() {
	node_run requests "{\"url\": \"$NATS_URL\", \"subject\": \"$1\", \"n\": $n, ${2:-\"size\": 32}}" \
		>"$(out_of client)"
}


# so_far NAME EXPRESSION: does it hold for all intervals until now?
so_far() {
	jq -es "$prelude"'{series: map(.series[]), accounting: {
			unanswered: map(.accounting.unanswered) | add,
			orphans: map(.accounting.orphans) | add,
			in_flight: last.accounting.in_flight}} |
		'"$2" "$(out_of "$1")" >/dev/null 2>&1
}

# ---- exchanges without a good end

@test "no responders: a status of its own" {
	local p=f01 n=150
	nats_start n1
	trace_start t --port "$NATS_PORT"
	requests "$p.nobody"
	expect "$(out_of client)" '.no_responders == $n and .ok == 0'
	trace_stop t
	check t clean 'all == {"client no_responders": $n, "broker no_responders": $n}' \
		'[.series[].errors] == [$n, $n]' '.accounting.matched == 2 * $n'
}

@test "no answer in time: unanswered, the deliveries apart" {
	local p=f02 n=20
	nats_start n1
	trace_start t --port "$NATS_PORT" --timeout 0.4 -i 0.1
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.>\", \"silent\": true}"
	requests "$p.silent" '"timeout": 1000, "inflight": 20'
	expect "$(out_of client)" '.timeouts == $n and .ok == 0'
	wait_until 10 so_far t ".accounting.unanswered == 4 * $n"
	trace_stop t
	check t identity 'all == {"client unanswered": $n, "broker unanswered": $n,
			"broker_out unanswered": $n, "service unanswered": $n}' \
		'.accounting.reasons | .timeout == 2 * $n and .not_answered == 2 * $n' \
		'.accounting | .matched == 0 and .in_flight == 0 and .orphans == 0' \
		'[.series[] | .p50_ns, .max_ns, .min_ns, .mean_ns] | unique == [null]' \
		'[.series[].errors] | unique == [$n]'
}

@test "no answer in time, through a forwarder: its sockets are relays all the same" {
	local p=f09 n=20 forward
	need_command socat
	nats_start n1
	forward=$(free_port)
	trace_start t --port "$NATS_PORT" --port "$forward" --timeout 0.4 -i 0.1
	spawn fwd socat "TCP-LISTEN:$forward,bind=127.0.0.1,fork,reuseaddr" "TCP:127.0.0.1:$NATS_PORT"
	wait_until 10 e2e_connects 127.0.0.1 "$forward"
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.>\", \"silent\": true}"
	NATS_URL=nats://127.0.0.1:$forward requests "$p.silent" '"timeout": 1000, "inflight": 20'
	expect "$(out_of client)" '.timeouts == $n and .ok == 0'
	wait_until 10 so_far t ".accounting.unanswered == 6 * $n"
	trace_stop t
	check t identity 'all == {"client unanswered": $n, "relay unanswered": $n, "relay_out unanswered": $n,
			"broker unanswered": $n, "broker_out unanswered": $n, "service unanswered": $n}'
}

@test "an answer after the timeout: unanswered, then a reply without request" {
	local p=f03 n=10
	nats_start n1
	trace_start t --port "$NATS_PORT" --timeout 0.3 -i 0.1
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.>\", \"delay\": 900}"
	requests "$p.late" '"inflight": 10'
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	check t identity '.accounting | .unanswered == 4 * $n and .orphans == 4 * $n and .matched == 0'
}

@test "two answer: the second is a reply without request" {
	local p=f04 n=100
	nats_start n1
	trace_start t --port "$NATS_PORT" -i 0.1
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\"}"
	node_spawn other service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\"}"
	node_spawn client requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\", \"n\": $n,
		\"hold\": \"$BATS_TEST_TMPDIR/hold\"}" warm
	wait_until 10 so_far t ".accounting.orphans == 2 * $n"
	touch "$BATS_TEST_TMPDIR/hold"
	wait_exit client 10
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	check t identity 'all == {"client ok": $n, "broker ok": $n, "broker_out ok": (2 * $n),
			"service ok": (2 * $n)}' \
		'.accounting | .orphans == 2 * $n and .unanswered == 0 and .in_flight == 0'
}

@test "the client dies with requests in flight: unanswered, because closed" {
	local p=f05 n=25
	nats_start n1
	trace_start t --port "$NATS_PORT" --timeout 60 -i 0.2
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.>\", \"silent\": true,
		\"count\": $n}"
	node_spawn client requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\", \"n\": $n,
		\"inflight\": $n, \"stay\": true}" sent
	wait_said svc all
	stop client KILL || true
	wait_until 10 so_far t ".accounting.unanswered == 2 * $n"
	so_far t ".accounting.in_flight == 2 * $n"
	stop svc KILL || true
	wait_until 10 so_far t ".accounting.unanswered == 4 * $n"
	trace_stop t
	check t identity '.accounting.reasons | .closed == 4 * $n and .timeout == 0' \
		'all == {"client unanswered": $n, "broker unanswered": $n, "broker_out unanswered": $n,
			"service unanswered": $n}'
}

@test "the broker dies with requests in flight" {
	local p=f06 n=600 # more than a connection's own table holds
	nats_start n1
	trace_start t --port "$NATS_PORT" --timeout 60 -i 0.2
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.>\", \"silent\": true,
		\"count\": $n}"
	node_spawn client requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\", \"n\": $n,
		\"inflight\": $n, \"stay\": true}" sent
	wait_said svc all
	wait_until 10 so_far t ".accounting.in_flight == 4 * $n"
	stop n1 KILL || true
	stop client KILL || true
	stop svc KILL || true
	wait_until 10 so_far t ".accounting.unanswered == 4 * $n"
	trace_stop t
	check t identity '.accounting | .reasons.closed == 4 * $n and .in_flight == 0'
}

@test "-ERR of the broker: counted at both ends" {
	local p=f07 n=40
	cat >"$BATS_TEST_TMPDIR/nats.conf" <<-E
		authorization { users = [ { user: "u", password: "w",
			permissions: { publish: { allow: ["$p.ok", "_INBOX.>"] }, subscribe: ">" } } ] }
	E
	nats_start n1 -c "$BATS_TEST_TMPDIR/nats.conf"
	trace_start t --port "$NATS_PORT"
	node_run publish "{\"url\": \"$NATS_URL\", \"user\": \"u\", \"pass\": \"w\", \"subject\": \"$p.denied\",
		\"n\": $n, \"batch\": 1, \"errors\": true, \"expect\": $n}" >"$(out_of client)"
	expect "$(out_of client)" '.errors == $n'
	trace_stop t
	[ "$(grep -c 'Publish Violation' "$(log_of n1)")" = "$n" ]
	check t clean 'all == {"client proto_err": $n, "broker proto_err": $n}' \
		'.accounting.reasons.no_reply == 2 * $n' '[.series[].p50_ns] == [null, null]'
}

# with_listener SUBJECT TIMEOUT: a service, beside it a subscriber to all of $p that answers nothing, and the trace t.
with_listener() {
	nats_start n1
	trace_start t --port "$NATS_PORT" --timeout "$2" -i 0.05
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"$1\"}"
	node_spawn mute service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.>\", \"silent\": true}"
}

@test "a subscriber that only listens is no failed request, and is soon left alone" {
	local p=f08 n=100
	with_listener "$p.x" 0.2
	requests "$p.x"
	sleep 0.4
	n=$((n + 200))
	node_run requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\", \"n\": 200}" >"$(out_of client)"
	expect "$(out_of client)" '.ok == 200'
	wait_until 10 so_far t '.accounting.in_flight == 0'
	trace_stop t
	check t identity "view(\$p + \".x\") | with_entries(select(.key | endswith(\" ok\"))) == $four" \
		'.accounting.reasons | .timeout == 0 and .listener > 0 and .orphan == 0' \
		'.accounting.reasons | .listener + .not_answered == 2 * $n'
}

# More of them than a connection has places for what it knows of routes.
@test "a subscriber that listens to 40 routes is soon left alone, too" {
	local p=f10 n=1600
	with_listener "$p.*" 0.1
	jq -nc --arg p "$p" '[range(1600) | "\($p).route\([(. % 40 / 26 | floor), . % 40 % 26] | map(. + 97) | implode)"]' \
		>"$BATS_TEST_TMPDIR/subjects"
	for _ in 1 2 3 4; do
		node_run requests "{\"url\": \"$NATS_URL\", \"subjects\": \"$BATS_TEST_TMPDIR/subjects\",
			\"n\": $n, \"inflight\": 20}" >"$(out_of client)"
		expect "$(out_of client)" '.ok == $n'
		sleep 0.3
	done
	wait_until 10 so_far t '.accounting.in_flight == 0'
	trace_stop t
	check t identity '(routes | length) == 40' '.accounting.reasons | .timeout == 0 and .orphan == 0' \
		'.accounting.reasons | .listener + .not_answered == 8 * $n and .listener > 2 * $n'
}

# ---- trace itself

@test "Ctrl-C and SIGTERM: the total, exit code 0, nothing left attached" {
	local signal ids
	for signal in INT TERM; do
		trace_start "t$signal" --port 1
		ids=$(programs_of "$(pid_of "t$signal")")
		[ "$(wc -w <<<"$ids")" -ge 3 ]
		[ "$(attached $ids)" = 2 ] # ingress and egress
		stop "t$signal" "$signal"
		trace_final "t$signal"
		wait_until 5 programs_gone $ids
	done
}

@test "kill -9: nothing left attached" {
	local ids
	trace_start t --port 1
	ids=$(programs_of "$(pid_of t)")
	[ "$(attached $ids)" = 2 ]
	stop t KILL || true
	wait_until 5 programs_gone $ids
	[ "$(attached $ids)" = 0 ]
}

# Ids of the programs that a process holds, itself or by a link.
programs_of() {
	grep -hs '^prog_id:' /proc/"$1"/fdinfo/* | awk '{ print $2 }' | sort -u | tr '\n' ' '
}

# attached ID...: how many of them are, to the root cgroup.
attached() {
	bpftool -j cgroup show "$(e2e_cgroup2)" |
		jq -s --argjson ids "[$(tr ' ' , <<<"$*")]" '[.[][].id | select(IN($ids[]))] | length'
}

programs_gone() {
	local ids
	ids=$(bpftool -j prog show | jq -r '.[].id')
	fails grep -qxF -f <(printf '%s\n' "$@") <<<"$ids"
}

@test "a reader that goes away: ends with a message, not a signal, and leaves nothing" {
	local ids
	spawn pipe bash -c '"$0" trace --json --port 1 -i 0.1 2>"$1" | head -1 >"$2"
		echo "${PIPESTATUS[0]}" >"$1.rc"' "$HOPSCOPE" "$BATS_TEST_TMPDIR/errors" "$(out_of t)"
	wait_exit pipe 10
	[ "$(wc -l <"$(out_of t)")" = 1 ]
	jq -e '.schema == 1' "$(out_of t)"
	[ "$(cat "$BATS_TEST_TMPDIR/errors.rc")" = 1 ]
	grep 'cannot write to standard output' "$BATS_TEST_TMPDIR/errors"
}

@test "a full disk under stdout" {
	run --separate-stderr bash -c '"$0" trace -d 0.3 --port 1 >/dev/full' "$HOPSCOPE"
	[ "$status" = 1 ]
	[[ $stderr == *'cannot write to standard output'* ]]
}

@test "options that make no sense: exit code 2, and which one" {
	local args
	while read -r args; do
		run --separate-stderr "$HOPSCOPE" trace $args
		echo "trace $args: $status: $stderr"
		[ "$status" = 2 ]
		[ -z "$output" ]
		[ "$(wc -l <<<"$stderr")" -le 2 ]
		[[ $stderr == *"${args%% *}"* ]] || [[ $stderr == *"$(long_of "${args%% *}")"* ]]
	done <<-'E'
		--pid x
		--pid 0
		--pid -5
		--pid 99999999999
		--pid 12x
		--port 0
		--port 65536
		--port http
		--cgroup /no/such/cgroup
		--host-root /no/such/root
		--proto gopher
		--sort p50
		--sample 0
		--sample x
		--slow -1
		--slow x
		--timeout 0
		--timeout nan
		--max-routes 1
		--max-routes 99999999
		--max-series 0
		-d -1
		-d 0
		-i 0
		-i x
		-n -1
		--nonsense
		--pid
		surplus
	E
	args=$(printf -- '--port %s ' {1..17})
	run --separate-stderr "$HOPSCOPE" trace $args
	[ "$status" = 2 ]
	[[ $stderr == *'--port: at most 16'* ]]
	run --separate-stderr "$HOPSCOPE" trace --comm ''
	[ "$status" = 2 ]
	run --separate-stderr "$HOPSCOPE" trace --container ''
	[ "$status" = 2 ]
	run --separate-stderr "$HOPSCOPE" trace --pod ''
	[ "$status" = 2 ]
}

long_of() {
	case $1 in
	-d) echo --duration ;;
	-i) echo --interval ;;
	-n) echo --rows ;;
	--nonsense) echo nonsense ;;
	esac
}

@test "not root: exit code 1, and the capabilities that are missing" {
	need_command setpriv
	run --separate-stderr setpriv --reuid nobody --regid nogroup --clear-groups \
		"$HOPSCOPE" trace -d 0.1
	[ "$status" = 1 ]
	[ -z "$output" ]
	for cap in CAP_BPF CAP_PERFMON CAP_NET_ADMIN; do
		[[ $stderr == *$cap* ]]
	done
	run --separate-stderr setpriv --bounding-set -net_admin --inh-caps -net_admin \
		"$HOPSCOPE" trace -d 0.1
	[ "$status" = 1 ]
	[[ $stderr == *CAP_NET_ADMIN* ]]
	[[ $stderr != *CAP_BPF* && $stderr != *CAP_PERFMON* ]]
}

@test "not root, with the three capabilities that it asks for: measures" {
	local p=f20 n=100 caps=+bpf,+perfmon,+net_admin
	need_command setpriv
	nats_start n1
	spawn_out t "$(out_of t)" setpriv --reuid nobody --regid nogroup --clear-groups \
		--inh-caps "$caps" --ambient-caps "$caps" "$HOPSCOPE" trace --json --port "$NATS_PORT"
	wait_said t 'tracing NATS'
	[ "$(awk '/^Uid/ { print $2 }' "/proc/$(pid_of t)/status")" = "$(id -u nobody)" ]
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\"}"
	requests "$p.x"
	trace_stop t
	check t clean "all == $four"
}

# ---- secrets

@test "what was sent is in no output: payload, headers, inboxes, credentials" {
	local p=f30 n=30 secret=SECRETxK9vQ2mZ7w log inbox
	cat >"$BATS_TEST_TMPDIR/nats.conf" <<-E
		authorization { user: "u", password: "$secret-password" }
	E
	nats_start n1 -c "$BATS_TEST_TMPDIR/nats.conf" -DV
	trace_start t --port "$NATS_PORT" --sample 1 -i 0.1 -v
	spawn_out text "$(out_of text)" "$HOPSCOPE" trace --port "$NATS_PORT" --slow 0.001 -i 0.1 -v
	wait_said text 'tracing NATS'
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.>\", \"user\": \"u\",
		\"pass\": \"$secret-password\", \"reply\": \"$secret-reply\"}"
	node_run requests "{\"url\": \"$NATS_URL\", \"user\": \"u\", \"pass\": \"$secret-password\",
		\"subject\": \"$p.x\", \"n\": $n, \"headers\": \"all\", \"header\": \"Bearer $secret-header\",
		\"text\": \"GET /?api_key=$secret-payload HTTP/1.1\"}" >"$(out_of client)"
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	stop text INT
	check t clean "view(\$p + \".x\") == $four"
	# The broker's own log shows that all of it passed; trace's show none.
	log=$(log_of n1)
	inbox=$(grep -o '_INBOX\.[A-Za-z0-9]*' "$log" | sort -u | head -1)
	[ ${#inbox} -ge 20 ]
	for what in reply header payload; do
		grep -q "$secret-$what" "$log" || echo "# the broker does not show '$what'" >&3
	done
	for f in "$(out_of t)" "$(log_of t)" "$(out_of text)" "$(log_of text)"; do
		[ -s "$f" ]
		fails grep -a "$secret" "$f"
		fails grep -aF "${inbox#_INBOX.}" "$f"
		fails grep -a api_key "$f"
	done
	grep -q "$p.x" "$(log_of t)"
	grep -q "$p.x" "$(out_of text)"
}

@test "an inbox that is asked itself is shown as _INBOX.*" {
	local p=f31 n=25
	nats_start n1
	trace_start t --port "$NATS_PORT"
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"_INBOX.Tq3kPLUB5bVfQ7u0aYx8Zc.$p\"}"
	requests "_INBOX.Tq3kPLUB5bVfQ7u0aYx8Zc.$p"
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	check t clean 'routes == ["_INBOX.*"]' "view(\"_INBOX.*\") == $four"
}

@test "no cgroup v2 hierarchy is mounted: exit 1, says so and how to mount one" {
	run unshare -m bash -c '
		for point in $(awk "/ - cgroup2 / {print \$5}" /proc/self/mountinfo); do
			umount "$point" || exit 99
		done
		exec "$0" trace -d 1' "$HOPSCOPE"
	[ "$status" -eq 1 ]
	[[ $output == *"no cgroup v2 hierarchy is mounted"*"mount -t cgroup2"* ]]
}
