#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Peers that mean no good, or are gone: bytes that are not the protocol in the middle of connections
# that speak it, numbers of processes and ports that somebody else had before, containers that vanish.
# Beside them are good clients, whose numbers must stay exact.

load helpers
load tools/trace
load tools/http
load tools/hops
load tools/flood

setup() {
	flood_setup
	hop_targets
}

teardown() {
	stop_all
	boxes_remove || true
	e2e_teardown
}

# ---- bytes

# What the good client did, and nothing that is only in payloads.
good='(view($p + ".good") | . == '$four') and view("GET /good") == {"client 2xx": $n, "server 2xx": $n} and
	(routes | map(select(test("never|GETDEL"))) == [])'

@test "hostile bytes on live connections: those beside them are exact, what is no message is counted" {
	local p=x01 n=4000 claimed web
	need_command node
	free_ports claimed web
	nats_start n1
	trace_spawn t --port "$NATS_PORT" --port "$claimed" --port "$web" --timeout 60
	trace_spawn tree --tree --port "$NATS_PORT" --port "$claimed" --port "$web" --timeout 60
	hops_start h --port "$NATS_PORT" --port "$claimed" --port "$web" --timeout 60
	trace_ready t tree
	flood_spawn good nats "$NATS_PORT" "$p.good" n=$n inflight=8
	flood_spawn web http "$web" /good n=$n inflight=4
	"$programs/hostile" "$claimed" fuzz=300 seed="${SEED:-1}" >"$(out_of hostile)"
	wait_exit good 60
	wait_exit web 60
	trace_stop t
	trace_stop tree
	hops_stop h
	expect "$(out_of hostile)" '.cases > 350'
	local nats http redis
	read -r nats http redis < <(jq -r '"\(.nats) \(.http) \(.redis)"' "$(out_of hostile)")
	for name in t tree; do
		check "$name" identity "$good" \
			"view(\"hostile.before\") == {\"client ok\": $nats, \"broker ok\": $nats}" \
			"view(\"GET /before\") == {\"client 2xx\": $http, \"server 2xx\": $http}" \
			"view(\"INCR\") == {\"client ok\": $redis, \"server ok\": $redis}" \
			"[view(\"hostile.after\")[]] | all(. <= $nats)" \
			"[view(\"GET /after\")[]] | all(. <= $http)" \
			"[view(\"DECR\")[]] | all(. <= $redis)" \
			'.accounting.reasons | .bad > 0 and .resync > 0'
	done
}

@test "hostile bytes to nats-server, nginx and Redis: clients of the same servers are exact" {
	local p=x02 n=3000
	need_command nginx redis-server redis-cli wrk
	nats_start n1
	nginx_start web
	redis_start cache
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	trace_start t --port "$NATS_PORT" --port "$HTTP_PORT" --port "$REDIS_PORT" --timeout 60
	spawn h-nats "$programs/hostile" 0 to="$NATS_PORT" proto=nats
	spawn h-http "$programs/hostile" 0 to="$HTTP_PORT" proto=http
	spawn h-redis "$programs/hostile" 0 to="$REDIS_PORT" proto=redis
	flood good nats "$NATS_PORT" "$p.good" n=$n
	curl_lines "$HTTP_URL/users/[1-200]" >/dev/null
	yes 'INCR good' | head -n 500 | redis-cli -p "$REDIS_PORT" >/dev/null
	wait_exit h-nats 60
	wait_exit h-http 60
	wait_exit h-redis 60
	trace_stop t
	check t identity "view(\$p + \".good\") == $four" \
		'view("GET /users/{n}") == {"client 2xx": 200, "server 2xx": 200}' \
		'view("INCR") == {"client ok": 500, "server ok": 500}' \
		'routes | map(select(test("never|GETDEL"))) == []' '.accounting.bytes_unparsed > 0'
	within t good
}

# ---- numbers that somebody else had

@test "a client with the process number that a forwarder had is no forwarder" {
	local p=x10 n=300 port pid rc=0
	need_command socat
	port=$(free_port)
	nats_start n1
	trace_start t --port "$NATS_PORT" --port "$port"
	answer svc "$NATS_PORT" "$p.first"
	spawn fwd socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr" "TCP:127.0.0.1:$NATS_PORT"
	pid=$(pid_of fwd)
	wait_until 10 listens "$port"
	ask client "$port" "$p.first" n=$n # its connection is socat's only one
	wait_exit fwd 10
	spawn_out again "$(out_of again)" "$programs/with_pid" "$pid" "$programs/flood" nats 127.0.0.1 \
		"$NATS_PORT" "$p.again" n=$n
	wait_exit again 30 || rc=$?
	[ $rc != 125 ] || skip 'a process cannot be given a number here'
	[ $rc = 0 ]
	trace_stop t
	check t clean 'view($p + ".first") == {"client ok": $n, "relay ok": $n, "relay_out ok": $n,
			"broker ok": $n, "broker_out ok": $n, "service ok": $n}' \
		"view(\$p + \".again\") == $four"
}

listens() {
	[ -n "$(ss -Hltn "( sport = :$1 )")" ]
}

@test "a port that is used again at once, a thousand times over: nothing is inherited" {
	local p=x11 n=1000 site from_nats from_http
	free_ports site from_nats from_http
	nats_start n1
	trace_start t --port "$NATS_PORT" --port "$site"
	flood one nats "$NATS_PORT" "$p.x" n=$n per=1 rst=1 from="$from_nats"
	flood two http "$site" /x n=$n per=1 rst=1 from="$from_http"
	trace_stop t
	check t clean "view(\$p + \".x\") == $four" \
		'view("GET /x") == {"client 2xx": $n, "server 2xx": $n}' \
		'.accounting.connections == 2 * ($n + 1) + 2 * $n'
	within t one
}

# ---- containers

@test "containers that come, go and vanish under load" {
	local p=x20 n=60000 i churn=60 path
	path=$(box live)
	path=${path#"$(e2e_cgroup2)"}
	nats_start n1
	trace_start t --port "$NATS_PORT" --max-series 100 --timeout 60
	spawn_out live "$(out_of live)" boxed live "$programs/flood" nats 127.0.0.1 "$NATS_PORT" \
		"$p.live" n=$n inflight=16
	for ((i = 0; i < churn; i++)); do
		boxed "c$i" "$programs/flood" nats 127.0.0.1 "$NATS_PORT" "$p.short" n=20 >/dev/null
		rmdir "$(box "c$i")"
		[ $i != 2 ] || {
			# Its sockets stay with the cgroup that they were made in, when that is gone too.
			e2e_alive "$(pid_of live)"
			pid_of live >"$(e2e_cgroup2)/cgroup.procs"
			rmdir "$(box live)"
		}
	done
	wait_exit live 60
	trace_stop t
	check t clean "view(\$p + \".live\") == $four" \
		"[.series[] | select(.route == \$p + \".live\" and (.role | IN(\"client\", \"service\"))).container] |
			unique == [\"$path\"]" \
		'[.series[] | select(.route == $p + ".short" and (.role | IN("client", "service"))).count] |
			length > 0 and all(. == 20)' \
		"all == {\"client ok\": (\$n + 20 * $churn), \"broker ok\": (\$n + 20 * $churn),
			\"broker_out ok\": (\$n + 20 * $churn), \"service ok\": (\$n + 20 * $churn)}" \
		'.accounting.reasons.series_full > 0 and (.series | length) <= 100 + 4'
}

# ---- sockets that are not what they seem

# The kernel shows the first segment of such a connection at the listening socket, and not again.
@test "a server that is woken up with the first request: no connection's bytes are another's" {
	local p=x20 n=200 port
	port=$(free_port)
	trace_start t --port "$port"
	trace_start other --port 1
	flood web http "$port" "/$p" n=$n per=1 defer=1
	trace_stop t
	trace_stop other
	# Of an answer without its request the body cannot be told: "hi".
	check t identity 'all == {"client 2xx": $n}' '.accounting.reasons | .accepting == $n and .resync == 2 * $n' \
		'.accounting | .bytes_unparsed == 2 * $n and .unanswered == 0 and .in_flight == 0 and .reasons.retransmitted == 0'
	check other identity '.accounting.reasons.accepting == 0'
}

@test "a process is called by its first thread, whichever sends" {
	local p=x21 n=200 port
	port=$(free_port)
	trace_start t --port "$port" --comm flood
	trace_start worker --port "$port" --comm worker
	flood web http "$port" "/$p" n=$n per=1 thread=1
	trace_stop t
	trace_stop worker
	# Whose the accepted socket is, is known when it answers.
	check t identity 'all == {"client 2xx": $n}' '.accounting | .seen == $n and .reasons.owner == $n'
	check worker identity 'all == {}'
}
