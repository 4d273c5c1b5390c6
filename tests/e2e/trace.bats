#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope trace` on this kernel, with a nats-server and clients (nats.js) that nobody here wrote.
# What it says is compared with what they say themselves, and with tshark; never with a clock's
# idea of fast.

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
	cgroup_remove || true
	stop_all
	e2e_teardown
}

# echo_service SUBJECT [URL]
echo_service() {
	node_spawn svc service "{\"url\": \"${2:-$NATS_URL}\", \"subject\": \"$1\"}"
}

# requests SUBJECT [MORE]: $n of them, what became of them in $(out_of client).
requests() {
	node_run requests "{\"url\": \"$NATS_URL\", \"subject\": \"$1\", \"n\": $n, ${2:-\"size\": 32}}" \
		>"$(out_of client)"
}

exemplars_of() {
	node "$tools/exemplars.js" <"$(log_of "$1")" >"$BATS_TEST_TMPDIR/$1.exemplars"
}


monotonic_ns() {
	node -p 'String(process.hrtime.bigint())'
}

# ---- counts

@test "N requests are N exchanges in each view, with headers and without" {
	local p=t01 n=300
	nats_start n1
	trace_start t --port "$NATS_PORT"
	echo_service "$p.*"
	requests "$p.plain" '"size": 100'
	expect "$(out_of client)" '.ok == $n and .wrong == 0'
	requests "$p.headers" '"headers": "all"'
	requests "$p.mixed" '"headers": "mixed", "size": 3000'
	requests "$p.inbox" '"noMux": true, "size": 0'
	expect "$(out_of client)" '.ok == $n and .wrong == 0'
	trace_stop t
	check t clean \
		". as \$t | [\"plain\", \"headers\", \"mixed\", \"inbox\"] |
			all(. as \$r | \$t | view(\$p + \".\" + \$r) == $four)" \
		'(.series | length) == 16 and .accounting.seen == 16 * $n' \
		'[.series[] | select(.route == $p + ".plain").bytes] | all(. == $n * 200)' \
		'[.series[] | select(.route == $p + ".inbox").bytes] | all(. == 0)' \
		'[.series[].container] | unique == ["/"]'
}

@test "short-lived connections: one request each" {
	local p=t02 n=1 i
	nats_start n1
	trace_start t --port "$NATS_PORT"
	echo_service "$p.echo"
	n=120
	node_run requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.echo\", \"connections\": $n}" \
		>"$(out_of client)"
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	# Both ends of each, and of the service's own.
	check t clean "view(\$p + \".echo\") == $four" '.accounting.connections == 2 * ($n + 1)'
}

@test "1000 requests at once on one connection" {
	local p=t03 n=3000
	nats_start n1
	trace_start t --port "$NATS_PORT"
	echo_service "$p.echo"
	requests "$p.echo" '"inflight": 1000, "headers": "mixed"'
	expect "$(out_of client)" '.ok == $n and .wrong == 0'
	trace_stop t
	check t clean "view(\$p + \".echo\") == $four"
}

# On a busy loopback a connection's segments reach its receiver on two CPUs, out of turn. In front
# of the probe too: what was awaited and came late is then booked as a gap, in the middle of a
# payload, where nothing is lost with it.
@test "payloads of 1 MB" {
	local p=t04 n=20
	nats_start n1
	trace_start t --port "$NATS_PORT"
	echo_service "$p.echo"
	requests "$p.echo" '"size": 1048576, "inflight": 4'
	expect "$(out_of client)" '.ok == $n and .wrong == 0'
	trace_stop t
	check t identity "all == $four" '[.series[].bytes] | all(. == $n * 2 * 1048576)' \
		'.accounting | .orphans == 0 and .dropped == 0 and .in_flight == 0 and .unanswered == 0' \
		'.accounting | .bytes_unparsed == .reasons.gap and .reasons.gap <= .reasons.retransmitted' \
		'.accounting.bytes_framed > 0.95 * $n * 8 * 1048576'
}

@test "thousands of tiny messages in one segment" {
	local p=t05 n=60000
	nats_start n1
	trace_start t --port "$NATS_PORT"
	node_spawn sub service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\", \"count\": $n}"
	node_run publish "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\", \"n\": $n, \"batch\": 20000}"
	wait_said sub all
	stop sub
	expect "$(out_of sub)" '.seen == $n'
	trace_stop t
	# As PUB and as MSG, each at both ends.
	check t clean '.accounting.reasons.no_reply == 4 * $n and .accounting.seen == 4 * $n' \
		'.accounting.packets < $n' '.series == []'
}

@test "IPv6, and IPv4 on a socket of both" {
	local p=t06 n=200 port
	port=$(free_port)
	spawn n1 nats-server -a :: -p "$port"
	wait_tcp 127.0.0.1 "$port"
	trace_start t --port "$port"
	echo_service "$p.>" "nats://[::1]:$port"
	NATS_URL="nats://[::1]:$port" requests "$p.six" '"headers": "mixed"'
	NATS_URL="nats://127.0.0.1:$port" requests "$p.four"
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	check t clean "view(\$p + \".six\") == $four and view(\$p + \".four\") == $four"
}

@test "another network namespace, and a loopback there that loses packets" {
	local p=t07 n=200 port
	need_command unshare nsenter tc ip clang
	port=$(free_port) # others may have a namespace of their own, and the probe sees them all
	spawn ns unshare -n sleep 600
	wait_until 10 ns_is_apart
	in_ns ip link set lo up
	ns_is_apart
	spawn n1 nsenter -t "$(pid_of ns)" -n nats-server -a 127.0.0.1 -p "$port"
	wait_until 10 in_ns_connects "$port"
	trace_start t --port "$port"
	spawn_out svc "$(out_of svc)" nsenter -t "$(pid_of ns)" -n node "$nodejs/service.js" \
		"{\"url\": \"127.0.0.1:$port\", \"subject\": \"$p.>\"}"
	wait_said svc ready
	in_ns node "$nodejs/requests.js" "{\"url\": \"127.0.0.1:$port\", \"subject\": \"$p.still\",
		\"n\": $n}" >"$(out_of client)"
	expect "$(out_of client)" '.ok == $n'
	clang -O2 -g -target bpf -idirafter "/usr/include/$(uname -m)-linux-gnu" \
		-c "$tools/drop.bpf.c" -o "$BATS_TEST_TMPDIR/drop.o"
	in_ns tc qdisc add dev lo clsact
	in_ns tc filter add dev lo ingress bpf da obj "$BATS_TEST_TMPDIR/drop.o" sec tc
	in_ns node "$nodejs/requests.js" "{\"url\": \"127.0.0.1:$port\", \"subject\": \"$p.lossy\",
		\"n\": $((n / 5)), \"inflight\": 2, \"connections\": 10}" >"$(out_of client)"
	expect "$(out_of client)" '.ok == 2 * $n'
	trace_stop t
	# A sender's view has no holes: every PUB was seen once. Where segments came out of turn, what
	# was not read is booked: nothing is lost in silence.
	check t identity "view(\$p + \".still\") == $four" \
		'.accounting.reasons.retransmitted > 0' \
		'view($p + ".lossy") | .["client ok"] <= 2 * $n and .["client ok"] > $n' \
		'.accounting | .seen - .reasons.no_reply <= 12 * $n' \
		'.accounting | 12 * $n - .seen <= .orphans + .bytes_unparsed / 90'
}

ns_is_apart() {
	[ "$(readlink "/proc/$(pid_of ns)/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

# Never in ours.
in_ns() {
	ns_is_apart && nsenter -t "$(pid_of ns)" -n "$@" 3>&-
}

in_ns_connects() {
	in_ns bash -c "exec 4<>/dev/tcp/127.0.0.1/$1" 2>/dev/null
}

# ---- latency

@test "an exchange lies within the client's own call, and each view within the one before" {
	local p=t10 n=400
	nats_start n1
	trace_start t --port "$NATS_PORT" --sample 1
	echo_service "$p.echo"
	requests "$p.echo" '"calls": true, "headers": "mixed", "size": 500'
	trace_stop t
	check t clean "view(\$p + \".echo\") == $four" '.accounting.exemplars_lost == 0'
	exemplars_of t
	node "$tools/compare.js" client "$(out_of client)" "$BATS_TEST_TMPDIR/t.exemplars"
	# Whose they are, from both ends of the connections.
	jq -e --argjson client "$(pid_of svc)" --argjson broker "$(pid_of n1)" --argjson port "$NATS_PORT" \
		'all(.[]; if .role == "broker" or .role == "broker_out"
			then .pid == $broker and .comm == "nats-server" and .local == $port
			else .comm == "node" and .remote == $port and
				(.role == "service") == (.pid == $client) end)' \
		"$BATS_TEST_TMPDIR/t.exemplars"
}

@test "the histogram's figures are those of every single exchange" {
	local p=t11 n=1500
	nats_start n1
	trace_start t --port "$NATS_PORT" --sample 1
	echo_service "$p.echo"
	requests "$p.echo" '"inflight": 25'
	trace_stop t
	check t clean "view(\$p + \".echo\") == $four" '.accounting.exemplars_lost == 0'
	exemplars_of t
	node "$tools/compare.js" histogram "$BATS_TEST_TMPDIR/t.final" "$BATS_TEST_TMPDIR/t.exemplars"
}

# A capture on loopback stamps between the two ends' probes: see tools/compare.js.
@test "p50, p90 and p99 are tshark's: every exchange's, between the two ends of its connection" {
	local p=t12 n=200 cap=$BATS_TEST_TMPDIR/cap.pcapng
	need_command tshark
	nats_start n1
	spawn cap tshark -i lo -f "tcp port $NATS_PORT" -w "$cap"
	wait_said cap 'Capturing on'
	wait_until 10 test -s "$cap"
	trace_start t --port "$NATS_PORT" --sample 1
	echo_service "$p.echo"
	requests "$p.echo" '"connections": 3, "headers": "mixed", "size": 200'
	trace_stop t
	stop svc
	wait_until 10 at_rest "$cap"
	stop cap INT || true
	tshark -r "$cap" -T fields -e frame.time_epoch -e ip.src -e tcp.srcport -e tcp.dstport \
		-e tcp.seq_raw -e tcp.payload 2>"$BATS_TEST_TMPDIR/tshark.log" |
		node "$tools/exchanges.js" "$NATS_PORT" >"$BATS_TEST_TMPDIR/exchanges"
	n=600
	expect "$BATS_TEST_TMPDIR/exchanges" '(.exchanges | length) == 2 * $n'
	check t clean "view(\$p + \".echo\") == $four" \
		".accounting.bytes_seen == 2 * $(jq .bytes "$BATS_TEST_TMPDIR/exchanges")"
	exemplars_of t
	node "$tools/compare.js" capture "$BATS_TEST_TMPDIR/exchanges" "$BATS_TEST_TMPDIR/t.exemplars" \
		"$BATS_TEST_TMPDIR/t.final" >"$BATS_TEST_TMPDIR/said"
	sed 's/^/# /' "$BATS_TEST_TMPDIR/said" >&3
}

# A file that stays as long as it is for half a second.
at_rest() {
	local size
	size=$(stat -c %s "$1")
	sleep 0.5
	[ "$(stat -c %s "$1")" = "$size" ]
}

# ---- attaching late

@test "connections that were there before: idle at the attach, nothing is missed" {
	local p=t20 n=300
	nats_start n1
	echo_service "$p.*"
	node_spawn client requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.%c\", \"n\": $n,
		\"warm\": 50, \"connections\": 3, \"headers\": \"mixed\",
		\"go\": \"$BATS_TEST_TMPDIR/go\"}" warm
	trace_start t --port "$NATS_PORT"
	touch "$BATS_TEST_TMPDIR/go"
	wait_exit client 30
	expect "$(out_of client)" '.ok == 3 * $n'
	trace_stop t
	# A PING of the broker's is no message, and alone it proves no protocol.
	check t identity \
		". as \$t | [\"a\", \"b\", \"c\"] | all(. as \$r | \$t | view(\$p + \".\" + \$r) == $four)" \
		'.accounting | .seen == 12 * $n and .orphans == 0 and .dropped == 0 and .in_flight == 0' \
		'.accounting | .bytes_unparsed == .reasons.unknown and .reasons.unknown <= 8 * 12'
}

@test "connections that were there before: a subscription and a request in one segment" {
	local p=t23 n=50
	nats_start n1
	echo_service "$p.echo"
	node_spawn client requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.echo\", \"n\": $n,
		\"go\": \"$BATS_TEST_TMPDIR/go\"}" warm
	trace_start t --port "$NATS_PORT"
	# The library subscribes to its inbox with the first request.
	touch "$BATS_TEST_TMPDIR/go"
	wait_exit client 30
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	check t identity "view(\$p + \".echo\") == $four" '.accounting.orphans == 0'
}

@test "connections that were there before: busy at the attach, at most one exchange each" {
	local p=t21 attached
	nats_start n1
	echo_service "$p.*"
	node_spawn client requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.%c\", \"calls\": true,
		\"connections\": 3, \"until\": \"$BATS_TEST_TMPDIR/until\"}" warm
	trace_start t --port "$NATS_PORT" --sample 1 -i 0.1
	attached=$(monotonic_ns)
	sleep 0.5
	touch "$BATS_TEST_TMPDIR/until"
	wait_exit client 30
	trace_stop t
	# 4 views of 3 connections, each with one exchange half over.
	check t identity '.accounting | .in_flight == 0 and .unanswered == 0 and .dropped == 0' \
		'.accounting.orphans <= 12' '.accounting.exemplars_lost == 0'
	adds_up t
	exemplars_of t
	node "$tools/compare.js" late "$(out_of client)" "$BATS_TEST_TMPDIR/t.exemplars" "$attached"
}

@test "connections that were there before: 100 at once, owners and roles are right" {
	local p=t22 n=2000 mark
	nats_start n1
	echo_service "$p.*"
	node_spawn client requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.%c\", \"n\": $n,
		\"connections\": 2, \"inflight\": 100, \"until\": \"$BATS_TEST_TMPDIR/until\",
		\"again\": \"$BATS_TEST_TMPDIR/again\"}" warm
	trace_start t --port "$NATS_PORT" -i 0.2
	sleep 0.5
	touch "$BATS_TEST_TMPDIR/until"
	wait_said client idle
	mark=$(monotonic_ns)
	wait_until 10 has_line_after "$mark"
	mark=$(jq -s '[.[].time_ns] | max' "$(out_of t)")
	touch "$BATS_TEST_TMPDIR/again"
	wait_exit client 30
	expect "$(out_of client)" '.ok == 2 * $n'
	trace_stop t
	check t identity '[.series[].role] | unique == ["broker", "broker_out", "client", "service"]'
	# From the mark on, exactly.
	jq -cs --argjson mark "$mark" 'map(select(.final | not) | select(.time_ns > $mark)) |
		{series: map(.series[]), accounting: {}}' "$(out_of t)" >"$BATS_TEST_TMPDIR/t.final"
	check t "view(\$p + \".a\") == $four and view(\$p + \".b\") == $four"
}

has_line_after() {
	[ -n "$(jq "select(.time_ns > $1)" "$(out_of t)")" ]
}

# ---- what NATS does

@test "JetStream: publishes are exchanges, a pull is one-way, acknowledgements close" {
	local p='EVENTS.orders.*' n=150
	nats_start n1 -js
	trace_start t --port "$NATS_PORT"
	node_run jetstream "{\"url\": \"$NATS_URL\", \"n\": $n, \"fetches\": 3}" >"$(out_of client)"
	expect "$(out_of client)" '.acked == $n and .fetched == $n and .unacknowledged == 0'
	trace_stop t
	# broker_out, service: from a delivery to its acknowledgement.
	check t clean "view(\$p) == $four" '.accounting.reasons.pull == 2 * 3' \
		'.accounting.one_way == 2 * 3' \
		'view("$JS.API.STREAM.CREATE.EVENTS") == {"client ok": 1, "broker ok": 1}'
}

@test "a cluster: from one node to another, over the route" {
	local p=t31 n=300 i client=() route=() http=() filter=()
	# Before there is a connection, so that nothing is missed: ports of our choice.
	for i in 0 1 2; do
		client+=("$(free_port)") route+=("$(free_port)")
		filter+=(--port "${client[i]}" --port "${route[i]}")
	done
	trace_start t "${filter[@]}"
	for i in 0 1 2; do
		nats_start "n$i" --port "${client[i]}" --cluster_name "$p" \
			--cluster "nats://127.0.0.1:${route[i]}" --routes "nats://127.0.0.1:${route[0]}"
		http+=("$NATS_HTTP_PORT")
	done
	for i in 0 1 2; do wait_until 10 route_count "${http[i]}" 2; done
	echo_service "$p.echo" # on the third
	wait_until 10 route_knows "${http[0]}" "$p.echo"
	NATS_URL=nats://127.0.0.1:${client[0]} requests "$p.echo" '"headers": "mixed", "inflight": 5'
	expect "$(out_of client)" '.ok == $n and .wrong == 0'
	trace_stop t
	# The brokers tell each other things too, without asking for a reply.
	check t clean 'view($p + ".echo") == {"client ok": $n, "broker ok": $n, "route ok": $n,
			"route_in ok": $n, "broker_out ok": $n, "service ok": $n}' \
		'.accounting.matched == 6 * $n'
}

http_get() {
	local reply
	exec 4<>"/dev/tcp/127.0.0.1/$1" || return
	printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&4
	reply=$(cat <&4)
	exec 4>&-
	echo "${reply#*$'\r\n\r\n'}"
}

route_count() {
	[ "$(http_get "$1" /routez | jq .num_routes)" = "$2" ]
}

route_knows() {
	http_get "$1" '/routez?subs=1' |
		jq -e --arg s "$2" '[.routes[].subscriptions_list // [] | .[]] | index($s) != null' >/dev/null
}

@test "through socat: the forwarder's sockets are relays" {
	local p=t32 n=200 forward
	need_command socat
	nats_start n1
	forward=$(free_port)
	trace_start t --port "$NATS_PORT" --port "$forward"
	spawn fwd socat "TCP-LISTEN:$forward,bind=127.0.0.1,fork,reuseaddr" "TCP:127.0.0.1:$NATS_PORT"
	wait_until 10 listens "$forward"
	echo_service "$p.echo"
	NATS_URL=nats://127.0.0.1:$forward requests "$p.echo" '"connections": 2, "headers": "mixed"'
	n=400
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	check t clean 'view($p + ".echo") == {"client ok": $n, "relay ok": $n, "relay_out ok": $n,
		"broker ok": $n, "broker_out ok": $n, "service ok": $n}'
}

@test "a service behind socat: the forwarder's sockets are relays" {
	local p=t34 n=200 forward
	need_command socat
	nats_start n1
	forward=$(free_port)
	trace_start t --port "$NATS_PORT" --port "$forward"
	spawn fwd socat "TCP-LISTEN:$forward,bind=127.0.0.1,fork,reuseaddr" "TCP:127.0.0.1:$NATS_PORT"
	wait_until 10 listens "$forward"
	echo_service "$p.echo" "nats://127.0.0.1:$forward"
	requests "$p.echo"
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	check t clean 'view($p + ".echo") == {"client ok": $n, "broker ok": $n, "broker_out ok": $n,
		"relay_service ok": $n, "relay_service_out ok": $n, "service ok": $n}'
}

@test "through socat, service and all, on connections that were there before" {
	local p=t33 n=200 forward
	need_command socat
	nats_start n1
	forward=$(free_port)
	spawn fwd socat "TCP-LISTEN:$forward,bind=127.0.0.1,fork,reuseaddr" "TCP:127.0.0.1:$NATS_PORT"
	wait_until 10 listens "$forward"
	echo_service "$p.echo" "nats://127.0.0.1:$forward"
	node_spawn client requests "{\"url\": \"nats://127.0.0.1:$forward\", \"subject\": \"$p.echo\",
		\"n\": $n, \"warm\": 10, \"go\": \"$BATS_TEST_TMPDIR/go\"}" warm
	trace_start t --port "$NATS_PORT" --port "$forward"
	touch "$BATS_TEST_TMPDIR/go"
	wait_exit client 30
	trace_stop t
	check t identity 'view($p + ".echo") == {"client ok": $n, "relay ok": $n, "relay_out ok": $n,
			"broker ok": $n, "broker_out ok": $n, "relay_service ok": $n,
			"relay_service_out ok": $n, "service ok": $n}' \
		'.accounting | .seen == 8 * $n and .orphans == 0 and .dropped == 0'
}

listens() {
	[ -n "$(ss -Htln "( sport = :$1 )")" ]
}

# ---- routes

@test "300 subjects with ids in them are one route" {
	local p=t40 n=300
	nats_start n1
	trace_start t --port "$NATS_PORT"
	echo_service "$p.>"
	NODE_PATH=$nodejs/node_modules node -e 'const { randomUUID } = require("crypto"), { nuid } = require("nats");
		const id = (i) => [String(i * 7919), randomUUID(), nuid.next()][i % 3];
		console.log(JSON.stringify(Array.from({ length: 300 }, (_, i) =>
			process.argv[1] + ".users." + id(i) + ".get")))' "$p" \
		>"$BATS_TEST_TMPDIR/subjects"
	expect "$BATS_TEST_TMPDIR/subjects" '(unique | length) == $n'
	requests '' "\"subjects\": \"$BATS_TEST_TMPDIR/subjects\", \"inflight\": 10"
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	check t clean 'routes == [$p + ".users.*.get"]' "view(\$p + \".users.*.get\") == $four"
}

@test "more routes than --max-routes: the rest is (other), and counted" {
	local p=t41 n=50
	nats_start n1
	trace_start t --port "$NATS_PORT" --max-routes 10
	echo_service "$p.>"
	jq -n --arg p "$p" '[range(100) | $p + ".r" + ([. % 50 + 65, . % 50 + 66] | implode) + "."
		+ (. % 50 | tostring | explode | map(. + 49) | implode)]' >"$BATS_TEST_TMPDIR/subjects"
	expect "$BATS_TEST_TMPDIR/subjects" '(unique | length) == $n and length == 100'
	requests '' "\"subjects\": \"$BATS_TEST_TMPDIR/subjects\""
	expect "$(out_of client)" '.ok == 100'
	trace_stop t
	# 9 names and (other). A name was there twice, in four views.
	check t clean '(routes | length) == 10 and (routes | index("(other)")) != null' \
		'[.series[] | select(.route != "(other)").count] | length == 36 and all(. == 2)' \
		'view("(other)") == {"client ok": 82, "broker ok": 82, "broker_out ok": 82,
			"service ok": 82}' \
		'.accounting.reasons.route_full == 4 * 82 and .accounting.reasons.series_full == 0'
}

@test "more series than --max-series: the rest is (other), its views apart, and counted" {
	local p=t42 n=100
	nats_start n1
	trace_start t --port "$NATS_PORT" --max-series 6
	echo_service "$p.>"
	jq -n --arg p "$p" '[range(100) | $p + "." + ([. / 20 + 97 | floor] | implode)]' \
		>"$BATS_TEST_TMPDIR/subjects"
	requests '' "\"subjects\": \"$BATS_TEST_TMPDIR/subjects\""
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	check t clean '.accounting.matched == 4 * $n and .accounting.reasons.series_full > 0' \
		'[.series[] | select(.route != "(other)")] | length == 6 and all(.count == 20)' \
		"all == $four"
}

# ---- filters

@test "--pid: the sockets of one process" {
	local p=t50 n=200
	nats_start n1
	node_spawn client requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.echo\", \"n\": $n,
		\"start\": \"$BATS_TEST_TMPDIR/go\"}" here
	trace_spawn tc --pid "$(pid_of client)"
	trace_spawn both --pid "$(pid_of client)" --pid "$(pid_of n1)" --port "$NATS_PORT"
	trace_ready tc both
	echo_service "$p.echo"
	touch "$BATS_TEST_TMPDIR/go"
	wait_exit client 30
	trace_stop tc
	trace_stop both
	check tc identity 'all == {"client ok": $n}' \
		'.accounting | .seen == $n and .orphans == 0 and .connections == 1'
	check both identity 'all == {"client ok": $n, "broker ok": $n, "broker_out ok": $n}'
}

@test "--pid of processes whose connections were there before" {
	local p=t54 n=150
	nats_start n1
	echo_service "$p.echo"
	node_spawn client requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.echo\", \"n\": $n,
		\"warm\": 5, \"go\": \"$BATS_TEST_TMPDIR/go\"}" warm
	trace_spawn ts --pid "$(pid_of svc)"
	trace_spawn tb --pid "$(pid_of n1)" --port "$NATS_PORT"
	trace_spawn tc --pid "$(pid_of client)" --comm node --port "$NATS_PORT"
	# Different kinds must all match.
	trace_spawn port --pid "$(pid_of client)" --port 1
	trace_spawn comm --pid "$(pid_of client)" --comm nats-server --port "$NATS_PORT"
	trace_ready ts tb tc port comm
	touch "$BATS_TEST_TMPDIR/go"
	wait_exit client 30
	for t in ts tb tc port comm; do trace_stop "$t"; done
	check ts identity 'all == {"service ok": $n}' '.accounting | .seen == $n and .orphans == 0'
	check tb identity 'all == {"broker ok": $n, "broker_out ok": $n}'
	check tc identity 'all == {"client ok": $n}'
	check port clean '.series == [] and .accounting.bytes_seen == 0'
	check comm clean '.series == [] and .accounting.bytes_seen == 0'
}

@test "--comm: the sockets of processes of a name" {
	local p=t51 n=200
	nats_start n1
	cp "$(command -v node)" "$BATS_TEST_TMPDIR/$p-client" 2>/dev/null
	trace_spawn t --comm "$p-client" --port "$NATS_PORT"
	trace_spawn none --comm "$p-clien" --port "$NATS_PORT"
	trace_ready t none
	echo_service "$p.echo"
	PATH=$BATS_TEST_TMPDIR:$PATH "$p-client" "$nodejs/requests.js" "{\"url\": \"$NATS_URL\",
		\"subject\": \"$p.echo\", \"n\": $n}" 3>&- >"$(out_of client)"
	expect "$(out_of client)" '.ok == $n'
	trace_stop t
	trace_stop none
	check t identity 'all == {"client ok": $n}' '.accounting.seen == $n'
	check none identity '.series == [] and .accounting.seen == 0'
}

@test "--cgroup and --container: the sockets of a cgroup v2, named in its column" {
	local p=t52 n=200 dir name
	cgroup_make
	dir=$(cgroup_dir)
	name=${dir##*/}
	nats_start n1
	trace_spawn all --port "$NATS_PORT"
	trace_spawn path --cgroup "/$name"
	trace_spawn full --cgroup "$dir/below"
	trace_spawn name --container "$name"
	trace_ready all path full name
	echo_service "$p.*"
	in_cgroup "$dir" requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.top\", \"n\": $n}"
	in_cgroup "$dir/below" requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.below\", \"n\": $n}"
	for t in all path full name; do trace_stop "$t"; done
	check all clean \
		'[.series[] | select(.role == "client") | {(.route): .container}] | add ==
			{($p + ".top"): "/'"$name"'", ($p + ".below"): "/'"$name"'/below"}' \
		'[.series[] | select(.role != "client").container] | unique == ["/"]' \
		"view(\$p + \".top\") == $four"
	check path clean 'all == {"client ok": (2 * $n)}'
	check name clean 'all == {"client ok": (2 * $n)}'
	check full clean 'all == {"client ok": $n} and routes == [$p + ".below"]'
	cgroup_remove
}

cgroup_dir() {
	echo "$(e2e_cgroup2)/hopscope-$$"
}

cgroup_make() {
	mkdir -p "$(cgroup_dir)/below"
}

cgroup_remove() {
	[ ! -d "$(cgroup_dir)" ] || rmdir "$(cgroup_dir)/below" "$(cgroup_dir)"
}

# in_cgroup DIR SCRIPT OPTIONS
in_cgroup() {
	bash -c 'echo $$ >"$1/cgroup.procs" && exec node "$2" "$3"' - "$1" "$nodejs/$2.js" "$3" \
		3>&- >"$(out_of client)"
	expect "$(out_of client)" '.ok == $n'
}

@test "--route: what is printed; the counters cover all" {
	local p=t53 n=100
	nats_start n1
	trace_start t --port "$NATS_PORT" --route "$p.a*" --route "*.c"
	echo_service "$p.*"
	for r in ab b c; do requests "$p.$r"; done
	trace_stop t
	check t sums 'routes == [$p + ".ab", $p + ".c"]' "view(\$p + \".ab\") == $four" \
		'.accounting.matched == 12 * $n'
}

# ---- output

@test "--json: intervals add up to the total, each closes its books and has every key" {
	local p=t60 n=3000
	nats_start n1
	trace_start t --port "$NATS_PORT" -i 0.1 --overhead
	echo_service "$p.echo"
	requests "$p.echo" '"inflight": 10, "connections": 2'
	trace_stop t
	n=6000
	check t clean "view(\$p + \".echo\") == $four"
	adds_up t
	jq -es "$prelude"'all(.[]; .accounting.settled and sums)' "$(out_of t)" >/dev/null
	# The keys of docs/session.md.
	jq -es '
		def numbers($keys): . as $o | $keys | all(. as $k | $o | has($k) and (.[$k] | type == "number"));
		length > 1 and all(.[];
			.schema == 1 and (.final | type == "boolean") and numbers(["time_ns", "duration_s"]) and
			.targets == [] and
			(.series | all(numbers(["count", "errors", "bytes", "min_ns", "mean_ns", "p50_ns", "p90_ns",
				"p99_ns", "p999_ns", "max_ns"]) and ([.proto, .role, .route, .container, .status] |
				all(type == "string")) and .proto == "nats" and .min_ns <= .p50_ns and
				.p50_ns <= .p90_ns and .p90_ns <= .p99_ns and .p99_ns <= .p999_ns and
				.p999_ns <= .max_ns and .min_ns <= .mean_ns and .mean_ns <= .max_ns)) and
			(.accounting | numbers(["seen", "matched", "one_way", "in_flight", "unanswered", "dropped",
				"orphans", "bytes_seen", "bytes_framed", "bytes_unparsed", "exemplars_lost", "packets",
				"messages", "connections"]) and (.settled | type == "boolean") and
				(.holds | type == "boolean") and (.reasons | all(type == "number")) and
				(.reasons | numbers(["timeout", "closed", "orphan", "gap", "route_full"]))) and
			(.overhead | numbers(["user_cpu_s", "rss_bytes"]) and has("ns_per_exchange") and
				(.programs | length > 0 and all(numbers(["runs", "ns"]) and (.name | type == "string"))))) and
		(last.overhead | .ns_per_exchange > 0 and
			([.programs[] | select(.name | startswith("wire_") and endswith("gress")).runs] | all(. > 0)))
		' "$(out_of t)" >/dev/null
}

# adds_up NAME: what the intervals say is together what the total says.
adds_up() {
	jq -es "$prelude"'
		map(select(.final | not)) as $intervals | last as $total |
		($intervals | length) > 3 and
		({series: [$intervals[].series[]]} | all) == ($total | all) and
		(["seen", "matched", "one_way", "unanswered", "dropped", "orphans", "bytes_seen",
			"bytes_framed", "bytes_unparsed", "packets", "messages", "connections"] |
			all(. as $k | ([$intervals[].accounting[$k]] | add) == $total.accounting[$k]))
		' "$(out_of "$1")" >/dev/null
}

@test "the table: one an interval, then the total" {
	local p=t62 n=100 text=$BATS_TEST_TMPDIR/text
	nats_start n1
	spawn_out t "$text" "$HOPSCOPE" trace --port "$NATS_PORT" -i 0.3
	wait_said t 'tracing NATS'
	echo_service "$p.echo"
	requests "$p.echo"
	stop t INT
	cat "$text"
	grep -Eq '^[0-9]{2}:[0-9]{2}:[0-9]{2}$' "$text"
	[ "$(grep -c '^total of [0-9.]* s$' "$text")" = 1 ]
	sed -n '/^total of/,$p' "$text" >"$BATS_TEST_TMPDIR/total"
	for role in client broker broker_out service; do
		grep -Eq "^nats +$role +$p\.echo +ok +$n " "$BATS_TEST_TMPDIR/total"
	done
	grep -Eq '^seen 400 = matched 400 \+ one-way 0 ' "$BATS_TEST_TMPDIR/total"
	fails grep -q 'DOES NOT ADD UP' "$text"
}

@test "--slow prints those that took as long, and no other" {
	local p=t63 n=40
	nats_start n1
	trace_start t --port "$NATS_PORT" --slow 20
	echo_service "$p.quick"
	node_spawn slow service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.slow\", \"delay\": 25}"
	requests "$p.quick"
	requests "$p.slow" '"inflight": 10'
	trace_stop t
	check t clean "view(\$p + \".slow\") == $four and view(\$p + \".quick\") == $four"
	exemplars_of t
	expect "$BATS_TEST_TMPDIR/t.exemplars" 'all(.[]; .ns >= 20000000)' \
		'map(select(.route == $p + ".slow")) | group_by(.role) | map(length) == [$n, $n, $n, $n]'
	# Some of the others may have been that slow, on a machine that is busy.
	[ "$(jq --arg r "$p.quick" 'map(select(.route == $r)) | length' "$BATS_TEST_TMPDIR/t.exemplars")" = \
		"$(jq --arg r "$p.quick" '[.series[] | select(.route == $r and .max_ns >= 20000000)] |
			if length == 0 then 0 else -1 end' "$BATS_TEST_TMPDIR/t.final")" ]
}

@test "-d: ends by itself; the first table came within a second or so" {
	local t0 t1
	t0=$(monotonic_ns)
	trace_start t --port 1 -i 0.2 -d 0.5
	wait_exit t 10
	trace_final t
	expect "$BATS_TEST_TMPDIR/t.final" '.duration_s >= 0.5'
	t1=$(jq -s '.[0].time_ns' "$(out_of t)")
	echo "# from the start to the first line: $(((t1 - t0) / 1000000)) ms" >&3
	[ $((t1 - t0)) -lt 5000000000 ]
}

# ---- beside others

@test "--proto nats: HTTP and Redis are left alone, and on a claimed port counted as unparsed" {
	local p=t70 n=100 http redis
	node_spawn others others "{\"n\": $n, \"go\": \"$BATS_TEST_TMPDIR/go\"}"
	read -r _ http redis < <(grep ready "$(log_of others)")
	trace_spawn pid --proto nats --pid "$(pid_of others)"
	trace_spawn port --proto nats --port "$http" --port "$redis"
	trace_ready pid port
	touch "$BATS_TEST_TMPDIR/go"
	wait_exit others 30
	trace_stop pid
	trace_stop port
	check pid sums '.series == []' \
		'.accounting | .connections == 0 and .seen == 0 and .bytes_seen == 0 and .messages == 0'
	check port sums '.series == [] and .accounting.connections == 0 and .accounting.seen == 0' \
		".accounting.bytes_seen == $(jq '.http + .redis' "$(out_of others)")" \
		'.accounting.bytes_unparsed == .accounting.bytes_seen'
}

@test "two traces at once count the same, a third that comes and is killed changes nothing" {
	local p=t71 n=600
	nats_start n1
	trace_spawn t1 --port "$NATS_PORT"
	trace_spawn t2 --port "$NATS_PORT" --sample 1
	trace_ready t1 t2
	echo_service "$p.echo"
	node_spawn client requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.echo\", \"n\": $n,
		\"go\": \"$BATS_TEST_TMPDIR/go\", \"calls\": true}" warm
	trace_start t3 --port "$NATS_PORT"
	touch "$BATS_TEST_TMPDIR/go"
	stop t3 KILL || true
	wait_exit client 30
	expect "$(out_of client)" '.ok == $n'
	trace_stop t1
	trace_stop t2
	check t1 clean "all == $four"
	check t2 clean "all == $four"
	# Each its own clock reading, microseconds apart.
	jq -es '.[0].series as $a | .[1].series as $b | all($a[]; . as $s | $b[] |
		select(.role == $s.role) | (.min_ns - $s.min_ns | fabs) < 0.5 * $s.min_ns)' \
		"$BATS_TEST_TMPDIR/t1.final" "$BATS_TEST_TMPDIR/t2.final" >/dev/null
}
