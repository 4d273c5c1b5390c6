#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope hops` on this kernel: known answers. A time that is put in one place of a round trip has
# to be found there and nowhere else. Who put it there says itself how much it was, by the same clock;
# what is compared, and how close it has to be, stands in tools/hops.js.

load helpers
load tools/trace
load tools/hops

setup_file() {
	node_ready
}

setup() {
	e2e_setup
	need_bpf
	need_command nats-server jq node
	hop_targets
	prefix=() host=127.0.0.1
}

teardown() {
	stop_all
	e2e_teardown
}

listens() {
	[ -n "$(ss -Htln "( sport = :$1 )")" ]
}

# relay_start SERVER_PORT PORT TIMES [PORT TIMES]...: a delay_relay. relay_stop: its account is
# then in $(out_of relay).
relay_start() {
	local port=$2
	spawn_out relay "$(out_of relay)" "$targets/delay_relay" "$@"
	wait_until 10 listens "$port"
}

relay_stop() {
	stop relay TERM
	expect "$(out_of relay)" 'length > 0'
}

# captured FILE PORT: the capture ends; its exchanges are in $BATS_TEST_TMPDIR/exchanges.
captured() {
	wait_until 10 at_rest "$1"
	stop cap INT || true
	tshark -r "$1" -T fields -e frame.time_epoch -e ip.src -e tcp.srcport -e tcp.dstport \
		-e tcp.seq_raw -e tcp.payload 2>"$BATS_TEST_TMPDIR/tshark.log" |
		node "$tools/exchanges.js" "$2" >"$BATS_TEST_TMPDIR/exchanges"
}

# A file that stays as long as it is for half a second.
at_rest() {
	local size
	size=$(stat -c %s "$1")
	sleep 0.5
	[ "$(stat -c %s "$1")" = "$size" ]
}

# ---- where a time is put

relayed='client relay relay_out broker broker_out service'
relayed_kinds='network process network process network'

@test "a relay that sleeps: in its residence, in that direction, and nowhere else" {
	local p=h01 n=250 d=10000 base there back lag w
	free_ports base there back lag
	nats_start n1
	relay_start "$NATS_PORT" "$base" 0 "$there" $d "$back" 0:$d "$lag" 0:0:$d
	answer svc "$NATS_PORT" "$p.*"
	hops_start h --port "$NATS_PORT" --port "$base" --port "$there" --port "$back" --port "$lag"
	# At the same time, so that whatever else the machine does meets all of them.
	ask_start base "$base" "$p.base" n=$n pace=$d
	for w in there back lag; do ask_start $w "${!w}" "$p.$w" n=$n; done
	ask_done base there back lag
	hops_stop h
	relay_stop
	for w in base there back lag; do
		same_way h "$p.$w" $n "$relayed" "$relayed_kinds"
	done
	hops_check moved h "\"base\": \"$p.base\", \"calls\": \"$(out_of base)\", \"delay\": ${d}000,
		\"moved\": [[\"$p.there\", 2, \"there\"], [\"$p.back\", 1, \"back\"],
			[\"$p.lag\", 1, \"back\"]]"
	# What waited in the relay's socket is in its residence, and told from what it did.
	for w in 'there 2 there' 'back 1 back' 'lag 1 back'; do
		set -- $w
		hops_check held h "\"route\": \"$p.$1\", \"span\": $2, \"direction\": \"$3\",
			\"port\": ${!1}, \"relay\": \"$(out_of relay)\", \"calls\": \"$(out_of base)\",
			\"delay\": ${d}000"
	done
}

@test "a relay in front of the responder that sleeps: there, too" {
	local p=h02 n=250 d=8000 base there back
	free_ports base there back
	nats_start n1
	# To the responder is where the server's side sends.
	relay_start "$NATS_PORT" "$base" 0 "$there" 0:$d "$back" $d
	for w in base there back; do answer svc-$w "${!w}" "$p.$w"; done
	hops_start h --port "$NATS_PORT" --port "$base" --port "$there" --port "$back"
	ask_start base "$NATS_PORT" "$p.base" n=$n pace=$d
	for w in there back; do ask_start $w "$NATS_PORT" "$p.$w" n=$n; done
	ask_done base there back
	hops_stop h
	for w in base there back; do
		same_way h "$p.$w" $n 'client broker broker_out relay_service relay_service_out service' \
			"$relayed_kinds"
	done
	# Number 3 is where it comes in, 4 where it goes out.
	hops_check moved h "\"base\": \"$p.base\", \"calls\": \"$(out_of base)\", \"delay\": ${d}000,
		\"moved\": [[\"$p.there\", 4, \"there\"], [\"$p.back\", 3, \"back\"]]"
}

@test "a responder that does not read: in its socket's queue, not in its own time" {
	local p=h03 n=250 d=10000 w
	nats_start n1
	answer svc-base "$NATS_PORT" "$p.base"
	answer svc-lag "$NATS_PORT" "$p.lag" lag=$d
	answer svc-held "$NATS_PORT" "$p.held"
	hops_start h --port "$NATS_PORT"
	ask_start base "$NATS_PORT" "$p.base" n=$n pace=$d
	ask_start lag "$NATS_PORT" "$p.lag" n=$n
	ask_start held "$NATS_PORT" "$p.held" n=$n delay=$d
	ask_done base lag held
	hops_stop h
	for w in base lag held; do
		same_way h "$p.$w" $n "$direct" "$direct_kinds"
		hops_check service h "\"route\": \"$p.$w\", \"calls\": \"$(out_of $w)\",
			\"base_calls\": \"$(out_of base)\""
	done
	hops_check moved h "\"base\": \"$p.base\", \"calls\": \"$(out_of base)\", \"delay\": ${d}000,
		\"moved\": [[\"$p.lag\", 3, \"in\"], [\"$p.held\", 3, \"in\"]]"
}

@test "a responder that is stopped: what came meanwhile waited in its queue" {
	local p=h04 n=40 i
	nats_start n1
	answer svc "$NATS_PORT" "$p.echo"
	hops_start h --port "$NATS_PORT" --slowest 10
	ask_start client "$NATS_PORT" "$p.echo" n=$n pace=50000
	for ((i = 0; i < 5; i++)); do
		kill -STOP "$(pid_of svc)"
		sleep 0.2
		kill -CONT "$(pid_of svc)"
		sleep 0.1
	done
	ask_done client
	hops_stop h
	same_way h "$p.echo" $n "$direct" "$direct_kinds"
	# At any moment one request is on its way or about to be; each stop held one up.
	expect "$BATS_TEST_TMPDIR/h.final" '.timelines | length == 10 and
		(map(select(.duration_ns > 100000000)) | length >= 5 and all(.[];
			.spans[3].queue_request_ns > 0.9 * .duration_ns))'
}

@test "a busy core: run-queue delay of the responder that is pinned to it, as the scheduler says" {
	local p=h05 n=400 core rest w
	need_command taskset chrt
	core=$(($(nproc) - 1))
	[ "$core" -ge 1 ] || skip 'one processor only'
	chrt -f 1 true 2>/dev/null || skip 'no real-time scheduling here'
	rest=0-$((core - 1))
	nats_start n1
	taskset -apc "$rest" "$(pid_of n1)" >&2
	prefix=(taskset -c "$core")
	answer svc-idle "$NATS_PORT" "$p.idle"
	answer svc-busy "$NATS_PORT" "$p.busy"
	hops_start h --port "$NATS_PORT" --sched
	prefix=(taskset -c "$rest")
	ask idle "$NATS_PORT" "$p.idle" n=$n pace=3000
	spawn spin chrt -f 1 taskset -c "$core" "$targets/hop_peer" spin 6000 3000 60
	wait_said spin ready
	ask busy "$NATS_PORT" "$p.busy" n=$n pace=3100
	stop spin TERM || true
	hops_stop h
	stop svc-idle TERM
	stop svc-busy TERM
	for w in idle busy; do same_way h "$p.$w" $n "$direct" "$direct_kinds"; done
	# An answer comes when the spinner sleeps, the next request when it is at work again.
	for w in 'idle 0' 'busy 3000000'; do
		set -- $w
		hops_check run_queue h "\"route\": \"$p.$1\", \"busy\": $2,
			\"account\": \"$BATS_TEST_TMPDIR/svc-$1.account\""
	done
}

# ---- ways

route_count() {
	[ "$(curl -s "http://127.0.0.1:$1/routez" | jq .num_routes)" = "$2" ]
}

route_knows() {
	curl -s "http://127.0.0.1:$1/routez?subs=1" |
		jq -e --arg s "$2" '[.routes[].subscriptions_list // [] | .[]] | index($s) != null' >/dev/null
}

# cluster: three servers, $client_ports, $route_ports, $http_ports; before there is a connection the
# probe is attached as h.
cluster() {
	local i c0 c1 c2 r0 r1 r2 filter
	http_ports=()
	free_ports c0 c1 c2 r0 r1 r2
	client_ports=("$c0" "$c1" "$c2") route_ports=("$r0" "$r1" "$r2")
	mapfile -t filter < <(printf -- '--port\n%s\n' "${client_ports[@]}" "${route_ports[@]}")
	hops_start h "${filter[@]}" "$@"
	for i in 0 1 2; do
		nats_start "n$i" --port "${client_ports[i]}" --cluster_name "$p" \
			--cluster "nats://127.0.0.1:${route_ports[i]}" \
			--routes "nats://127.0.0.1:${route_ports[0]}"
		http_ports+=("$NATS_HTTP_PORT")
	done
	for i in 0 1 2; do wait_until 10 route_count "${http_ports[i]}" 2; done
}

@test "a cluster: both brokers and the route between them, in order" {
	local p=h10 n=300
	need_command curl
	cluster
	answer near "${client_ports[0]}" "$p.near"
	answer far "${client_ports[2]}" "$p.far"
	wait_until 10 route_knows "${http_ports[0]}" "$p.far"
	ask near "${client_ports[0]}" "$p.near" n=$n
	ask far "${client_ports[0]}" "$p.far" n=$n delay=3000 inflight=5
	hops_stop h
	same_way h "$p.near" $n "$direct" "$direct_kinds"
	same_way h "$p.far" $n 'client broker route route_in broker_out service' \
		'network process network process network'
	hops_check accounted h "\"exchanges\": $((2 * n)), \"lost\": 0"
	expect "$BATS_TEST_TMPDIR/h.final" '.hops[] | select(.route == $p + ".far") |
		[.spans[].comm] == ["hop_ask", "nats-server", "nats-server", "nats-server", "nats-server",
			"hop_answer"]' \
		"[.hops[] | select(.route == \$p + \".far\").spans[].port] == [${client_ports[0]},
			${client_ports[0]}, ${route_ports[0]}, ${route_ports[0]}, ${client_ports[2]},
			${client_ports[2]}] or
		 [.hops[] | select(.route == \$p + \".far\").spans[].port] == [${client_ports[0]},
			${client_ports[0]}, ${route_ports[2]}, ${route_ports[2]}, ${client_ports[2]},
			${client_ports[2]}]"
}

@test "IPv6, and IPv4 on a socket of both" {
	local p=h11 n=200 port
	port=$(free_port)
	spawn n1 nats-server -a :: -p "$port"
	wait_tcp 127.0.0.1 "$port"
	hops_start h --port "$port"
	host=::1 answer svc "$port" "$p.*"
	host=::1 ask six "$port" "$p.six" n=$n delay=2000
	ask four "$port" "$p.four" n=$n delay=2000
	hops_stop h
	for w in six four; do
		same_way h "$p.$w" $n "$direct" "$direct_kinds"
		hops_check service h "\"route\": \"$p.$w\", \"calls\": \"$(out_of $w)\""
	done
}

@test "connections that were there before the probe" {
	local p=h12 n=200 relay
	relay=$(free_port)
	nats_start n1
	relay_start "$NATS_PORT" "$relay" 0:2000
	answer svc "$NATS_PORT" "$p.*"
	ask_start direct "$NATS_PORT" "$p.direct" n=$n warm=20 "go=$BATS_TEST_TMPDIR/go"
	ask_start relayed "$relay" "$p.relayed" n=$n warm=20 "go=$BATS_TEST_TMPDIR/go"
	hops_start h --port "$NATS_PORT" --port "$relay"
	touch "$BATS_TEST_TMPDIR/go"
	ask_done direct relayed
	hops_stop h
	same_way h "$p.direct" $n "$direct" "$direct_kinds"
	same_way h "$p.relayed" $n "$relayed" "$relayed_kinds"
	hops_check accounted h "\"exchanges\": $((2 * n)), \"lost\": 0"
}

@test "through socat, in front of the asker and of the responder" {
	local p=h13 n=200 forward
	need_command socat
	nats_start n1
	forward=$(free_port)
	hops_start h --port "$NATS_PORT" --port "$forward"
	spawn fwd socat "TCP-LISTEN:$forward,bind=127.0.0.1,fork,reuseaddr" \
		"TCP:127.0.0.1:$NATS_PORT,nodelay"
	wait_until 10 listens "$forward"
	answer near "$NATS_PORT" "$p.front"
	answer far "$forward" "$p.behind"
	ask front "$forward" "$p.front" n=$n
	ask behind "$NATS_PORT" "$p.behind" n=$n
	hops_stop h
	same_way h "$p.front" $n "$relayed" "$relayed_kinds"
	same_way h "$p.behind" $n 'client broker broker_out relay_service relay_service_out service' \
		"$relayed_kinds"
}

# veth, and what a service's address is translated to: $port at the broker.
@test "a translated address, between two network namespaces: one network hop" {
	local p=h14 n=300 service=10.213.1.9
	local cap=$BATS_TEST_TMPDIR/cap.pcapng
	need_command unshare nsenter ip nft tshark
	netns asks
	netns answers
	netns_join asks 10.213.0.1 answers 10.213.0.2
	port=$(free_port)
	in_netns asks ip route add $service via 10.213.0.2
	in_netns asks nft -f - <<-RULES
		table ip nat {
			chain output {
				type nat hook output priority -100;
				ip daddr $service tcp dport 4222 dnat to 10.213.0.2:$port
			}
		}
	RULES
	spawn n1 nsenter -t "$(pid_of answers)" -n nats-server -a 0.0.0.0 -p "$port"
	wait_until 10 in_netns_connects answers 10.213.0.2 "$port"
	spawn cap nsenter -t "$(pid_of asks)" -n tshark -i to-answers -f 'tcp' -w "$cap"
	wait_said cap 'Capturing on'
	wait_until 10 test -s "$cap"
	hops_start h --port "$port" --port 4222 --sample 1 -i 0.1
	prefix=(nsenter -t "$(pid_of answers)" -n)
	answer svc "$port" "$p.*"
	prefix=(nsenter -t "$(pid_of asks)" -n)
	host=10.213.0.2 ask direct "$port" "$p.direct" n=$n
	host=$service ask dnat 4222 "$p.dnat" n=$n
	hops_stop h
	captured "$cap" "$port"
	for w in direct dnat; do
		same_way h "$p.$w" $n "$direct" "$direct_kinds"
		hops_check service h "\"route\": \"$p.$w\", \"calls\": \"$(out_of $w)\""
		hops_check wire h "\"route\": \"$p.$w\", \"exchanges\": \"$BATS_TEST_TMPDIR/exchanges\""
	done
}

# One socket of a process alone is not known to be a relay's.
tunnelled='client broker client broker broker_out service'
tunnelled_kinds='network opaque network process network'

@test "a tunnel that encrypts: its ends are measured, the middle is one residual" {
	local p=h15 n=200 d=5000 into out slow slow_into w
	need_command socat openssl
	free_ports into out slow slow_into
	nats_start n1
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tunnel \
		-keyout "$BATS_TEST_TMPDIR/key.pem" -out "$BATS_TEST_TMPDIR/cert.pem" 2>/dev/null
	spawn out socat "OPENSSL-LISTEN:$out,bind=127.0.0.1,fork,reuseaddr,nodelay,verify=0,key=$BATS_TEST_TMPDIR/key.pem,cert=$BATS_TEST_TMPDIR/cert.pem" \
		"TCP:127.0.0.1:$NATS_PORT,nodelay"
	wait_until 10 listens "$out"
	relay_start "$out" "$slow" $d
	spawn into socat "TCP-LISTEN:$into,bind=127.0.0.1,fork,reuseaddr,nodelay" \
		"OPENSSL:127.0.0.1:$out,verify=0,nodelay"
	spawn slow_into socat "TCP-LISTEN:$slow_into,bind=127.0.0.1,fork,reuseaddr,nodelay" \
		"OPENSSL:127.0.0.1:$slow,verify=0,nodelay"
	wait_until 10 listens "$into"
	wait_until 10 listens "$slow_into"
	answer svc "$NATS_PORT" "$p.*"
	hops_start h --port "$NATS_PORT" --port "$into" --port "$slow_into"
	ask_start base "$into" "$p.base" n=$n pace=$d
	ask_start slow "$slow_into" "$p.slow" n=$n
	ask_done base slow
	hops_stop h
	for w in base slow; do
		hops_check shape h "\"route\": \"$p.$w\", \"count\": $n,
			\"comms\": \"hop_ask socat socat nats-server nats-server hop_answer\",
			\"roles\": \"$tunnelled\", \"kinds\": \"$tunnelled_kinds\""
	done
	hops_check moved h "\"base\": \"$p.base\", \"calls\": \"$(out_of base)\", \"delay\": ${d}000,
		\"moved\": [[\"$p.slow\", 2, \"there\"]]"
	expect "$BATS_TEST_TMPDIR/h.final" "[.hops[] | {(.route): .residual_mean_ns}] | add |
		.[\$p + \".slow\"] - .[\$p + \".base\"] > 0.8 * ${d}000"
}

# ssh_start USER_PORT SERVER_PORT: a tunnel through an sshd of our own, from $1 to $2.
ssh_start() {
	local dir=$BATS_TEST_TMPDIR/ssh at
	at=$(free_port)
	mkdir -p "$dir" /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
	ssh-keygen -q -t ed25519 -N '' -f "$dir/user"
	cat >"$dir/config" <<-CONFIG
		ListenAddress 127.0.0.1:$at
		HostKey $dir/host
		AuthorizedKeysFile $dir/user.pub
		PidFile none
		StrictModes no
		UsePAM no
		PermitRootLogin prohibit-password
	CONFIG
	spawn sshd /usr/sbin/sshd -D -e -f "$dir/config"
	wait_tcp 127.0.0.1 "$at"
	spawn ssh ssh -N -p "$at" -i "$dir/user" -o StrictHostKeyChecking=no -o IdentitiesOnly=yes \
		-o UserKnownHostsFile=/dev/null -F none -L "127.0.0.1:$1:127.0.0.1:$2" root@127.0.0.1
	wait_until 10 listens "$1"
}

@test "ssh -L: its ends are measured, the middle is one residual" {
	local p=h16 n=200 into
	need_command ssh ssh-keygen sshd
	into=$(free_port)
	nats_start n1
	ssh_start "$into" "$NATS_PORT"
	answer svc "$NATS_PORT" "$p.*"
	hops_start h --port "$NATS_PORT" --port "$into"
	ask one "$into" "$p.one" n=$n delay=1000
	ask many "$into" "$p.many%c" n=$n connections=3 inflight=20 delay=2000,5000,8000
	hops_stop h
	for w in one many0 many1 many2; do
		hops_check shape h "\"route\": \"$p.$w\", \"count\": $n,
			\"comms\": \"hop_ask ssh sshd nats-server nats-server hop_answer\",
			\"roles\": \"$tunnelled\", \"kinds\": \"$tunnelled_kinds\""
	done
	hops_check service h "\"route\": \"$p.one\", \"calls\": \"$(out_of one)\""
	hops_check apart h "\"route\": \"$p.many%c\", \"calls\": \"$(out_of many)\",
		\"connections\": 3, \"singles\": 0"
}

# ---- many

@test "10,000 exchanges, 64 at once on each of 8 connections: none gets another's hop" {
	local p=h20 n=1250 c
	nats_start n1
	answer svc "$NATS_PORT" "$p.*"
	hops_start h --port "$NATS_PORT" --sample 1 -i 0.1
	# Reply subjects differ by their inbox only: the numbers are the same on all connections.
	ask client "$NATS_PORT" "$p.c%c" n=$n connections=8 inflight=64 \
		delay=20000,40000,60000,80000,100000,120000,140000,160000
	hops_stop h
	for c in 0 1 2 3 4 5 6 7; do same_way h "$p.c$c" $n "$direct" "$direct_kinds"; done
	hops_check accounted h "\"exchanges\": $((8 * n)), \"lost\": 0"
	hops_check apart h "\"route\": \"$p.c%c\", \"calls\": \"$(out_of client)\", \"connections\": 8,
		\"singles\": 1000"
}

@test "64 at once on each of 8 connections, answered out of turn: none gets another's hop" {
	local p=h21 n=1000 c
	nats_start n1
	answer svc "$NATS_PORT" "$p.*"
	hops_start h --port "$NATS_PORT" --sample 1 -i 0.1
	ask client "$NATS_PORT" "$p.c%c" n=$n connections=8 inflight=64 mix=1 \
		delay=5000,25000,50000,75000,100000
	hops_stop h
	for c in 0 1 2 3 4; do same_way h "$p.c$c" $((8 * n / 5)) "$direct" "$direct_kinds"; done
	hops_check accounted h "\"exchanges\": $((8 * n)), \"lost\": 0"
	hops_check apart h "\"route\": \"$p.c%c\", \"calls\": \"$(out_of client)\", \"connections\": 5,
		\"singles\": 1000"
}

@test "through relays, 64 at once: none gets another's hop, each relay has its own time" {
	local p=h25 n=600 a b c w
	free_ports a b
	nats_start n1
	spawn a "$targets/lag_relay" "$a" "$NATS_PORT" 3000
	spawn b "$targets/lag_relay" "$b" "$NATS_PORT" 9000
	wait_until 10 listens "$a"
	wait_until 10 listens "$b"
	answer svc "$NATS_PORT" "$p.>"
	hops_start h --port "$NATS_PORT" --port "$a" --port "$b" --sample 1 -i 0.1
	ask_start a "$a" "$p.a.c%c" n=$n connections=4 inflight=64 delay=2000,6000
	ask_start b "$b" "$p.b.c%c" n=$n connections=4 inflight=64 delay=2000,6000
	ask_done a b
	hops_stop h
	for c in 0 1 2 3; do
		same_way h "$p.a.c$c" $n "$relayed" "$relayed_kinds"
		same_way h "$p.b.c$c" $n "$relayed" "$relayed_kinds"
	done
	hops_check accounted h "\"exchanges\": $((8 * n)), \"lost\": 0"
	for w in a b; do
		hops_check apart h "\"route\": \"$p.$w.c%c\", \"calls\": \"$(out_of $w)\",
			\"connections\": 4, \"singles\": 0"
	done
	expect "$BATS_TEST_TMPDIR/h.final" '[.hops[] | select(.route | startswith($p)) | . as $h |
		.edges[] | select(.span == 2 and .direction == "there") |
		.p50_ns * 1.016 >= (if $h.route | contains(".a.") then 3e6 else 9e6 end)] | all'
}

# A broker delivers to everybody who listens. Who answers first has made the round trip.
@test "others who listen, silent or too late: not in the way of who answers, and counted" {
	local p=h23 n=200
	nats_start n1
	answer svc "$NATS_PORT" "$p.*"
	node_spawn silent service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.both\", \"silent\": true}"
	answer later "$NATS_PORT" "$p.late" lag=20000
	hops_start h --port "$NATS_PORT"
	ask both "$NATS_PORT" "$p.both" n=$n
	ask late "$NATS_PORT" "$p.late" n=$n first=1 pace=3000
	sleep 0.5
	hops_stop h
	for w in both late; do same_way h "$p.$w" $n "$direct" "$direct_kinds"; done
	hops_check service h "\"route\": \"$p.both\", \"calls\": \"$(out_of both)\""
	hops_check accounted h "\"exchanges\": $((2 * n)), \"lost\": 0"
	# Each was delivered to one more: at most two spans, at the broker and at who listens.
	expect "$BATS_TEST_TMPDIR/h.final" ".hop_accounting.unanswered | . > 0 and . <= $((2 * 2 * n))"
}

@test "nobody answers: no path, and counted" {
	local p=h24 n=40
	nats_start n1
	node_spawn silent service "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\", \"silent\": true}"
	answer svc "$NATS_PORT" "$p.y"
	hops_start h --port "$NATS_PORT" --timeout 0.5
	node_run requests "{\"url\": \"$NATS_URL\", \"subject\": \"$p.x\", \"n\": $n,
		\"inflight\": $n, \"timeout\": 300}" >"$(out_of client)"
	expect "$(out_of client)" '.timeouts == $n'
	sleep 1.5
	ask after "$NATS_PORT" "$p.y" n=$n
	hops_stop h
	same_way h "$p.y" $n "$direct" "$direct_kinds"
	expect "$BATS_TEST_TMPDIR/h.final" '.hop_accounting.abandoned == $n' \
		'[.hops[].route] == [$p + ".y"]'
}

@test "one exchange in four: the same ones on every socket" {
	local p=h22 n=2000
	nats_start n1
	answer svc "$NATS_PORT" "$p"
	hops_start h --port "$NATS_PORT" --sample-hops 4
	ask client "$NATS_PORT" "$p" n=$n inflight=16 delay=2000
	hops_stop h
	hops_check shape h "\"route\": \"$p\", \"roles\": \"$direct\", \"kinds\": \"$direct_kinds\""
	hops_check accounted h "\"exchanges\": $n, \"sockets\": 4"
	# Five standard deviations.
	expect "$BATS_TEST_TMPDIR/h.final" '.hop_accounting.complete | . > $n / 4 - 100 and . < $n / 4 + 100'
}

# ---- HTTP and Redis

# From the caller to Redis: gateway in and out, relay, upstream in and out, Redis.
web='client server client server client server client server'
web_kinds='network process network process network process network'

@test "HTTP through nginx, a relay, nginx, to Redis: a delay is where it was put" {
	local p=/h40 n=250 d=10000 w
	web_need
	web_start
	mapfile -t filter < <(web_filter)
	hops_start h "${filter[@]}"
	ask_start base "$web_gateway" $p/base http=1 n=$n pace=$d
	for w in hop redis redis_back sleep; do
		ask_start $w "$web_gateway" "$p/$w" http=1 n=$n
	done
	ask_done base hop redis redis_back sleep
	hops_stop h
	for w in base hop redis redis_back sleep; do
		same_way h "GET $p/$w" $n "$web" "$web_kinds"
	done
	# A relay of Redis is where that ends: what it asks for is an exchange of its own.
	hops_check moved h "\"base\": \"GET $p/base\", \"calls\": \"$(out_of base)\",
		\"delay\": ${d}000, \"moved\": [[\"GET $p/hop\", 4, \"there\"],
			[\"GET $p/redis\", 7, \"in\"], [\"GET $p/redis_back\", 7, \"in\"],
			[\"GET $p/sleep\", 5, \"back\"]]"
	stop relay-up
	stop relay-get
}

@test "HTTP through socat" {
	local p=/plain/h41 n=200 forward
	need_command socat
	web_need
	web_start
	forward=$(free_port)
	mapfile -t filter < <(web_filter)
	hops_start h "${filter[@]}" --port "$forward"
	spawn fwd socat "TCP-LISTEN:$forward,bind=127.0.0.1,fork,reuseaddr" \
		"TCP:127.0.0.1:$web_upstream,nodelay"
	wait_until 10 listens "$forward"
	ask client "$forward" "$p" http=1 n=$n
	hops_stop h
	same_way h "GET $p" $n 'client server client server' 'network process network'
	expect "$BATS_TEST_TMPDIR/h.final" '[.hops[].spans[].comm] ==
		["hop_ask", "socat", "socat", "nginx"]'
}

@test "HTTP, 48 connections at once: none gets another's hop" {
	local p=/h42 n=200 w
	web_need
	web_start
	mapfile -t filter < <(web_filter)
	hops_start h "${filter[@]}"
	for w in base redis sleep; do
		ask_start $w "$web_gateway" "$p/$w" http=1 n=$n connections=16
	done
	ask_done base redis sleep
	hops_stop h
	# And those between the relay in front of Redis and Redis.
	hops_check accounted h "\"exchanges\": $((48 * n + 16 * n)), \"lost\": 0"
	for w in base redis sleep; do same_way h "GET $p/$w" $((16 * n)) "$web" "$web_kinds"; done
	# None of the base's has the time of another's relay or timer.
	hops_check moved h "\"base\": \"GET $p/base\", \"calls\": \"$(out_of base)\",
		\"delay\": 10000000, \"moved\": [[\"GET $p/redis\", 7, \"in\"],
			[\"GET $p/sleep\", 5, \"back\"]]"
}

# ---- single ones

@test "--slowest K: those that took longest, and no other" {
	local p=h30 n=400
	nats_start n1
	answer svc "$NATS_PORT" "$p.echo"
	hops_start h --port "$NATS_PORT" --slowest 8
	ask client "$NATS_PORT" "$p.echo" n=$n slow=8,60000,20000
	hops_stop h
	same_way h "$p.echo" $n "$direct" "$direct_kinds"
	hops_check slowest h "\"route\": \"$p.echo\", \"calls\": \"$(out_of client)\", \"k\": 8"
}

@test "a capture agrees, exchange by exchange" {
	local p=h31 n=250 cap=$BATS_TEST_TMPDIR/cap.pcapng
	need_command tshark
	nats_start n1
	spawn cap tshark -i lo -f "tcp port $NATS_PORT" -w "$cap"
	wait_said cap 'Capturing on'
	wait_until 10 test -s "$cap"
	answer svc "$NATS_PORT" "$p.echo"
	hops_start h --port "$NATS_PORT" --sample 1 -i 0.1
	ask client "$NATS_PORT" "$p.echo" n=$n delay=1000
	hops_stop h
	same_way h "$p.echo" $n "$direct" "$direct_kinds"
	captured "$cap" "$NATS_PORT"
	hops_check capture h "\"route\": \"$p.echo\", \"exchanges\": \"$BATS_TEST_TMPDIR/exchanges\""
}

@test "kill -9: nothing stays attached, the exchanges go on" {
	local p=h32 n=2000
	nats_start n1
	answer svc "$NATS_PORT" "$p.echo"
	hops_start h --port "$NATS_PORT" --sched
	ask_start client "$NATS_PORT" "$p.echo" n=$n
	stop h KILL || true
	ask_done client
	expect "$(out_of client)" '.ok == $n'
	stop client || true
	stop svc || true
	stop n1 || true
	assert_nothing_left
}
