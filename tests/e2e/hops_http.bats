#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# hops of HTTP and Redis, whose exchanges have no id that travels: relays in front of nginx, and
# nginx that asks Redis and another nginx. Every exchange is whole, parts are the sum, and nginx's
# own times are what is told of it.

load helpers
load tools/trace.bash

CONFIGS=$BATS_TEST_DIRNAME/tools/hops_http

setup() {
	e2e_setup
	need_bpf
	need_command nginx redis-server socat wrk jq curl
	[ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || skip 'nginx has no Lua module'
	free_ports UPSTREAM GATEWAY RELAY REDIS
	nginx_start upstream "$UPSTREAM"
}

teardown() {
	e2e_teardown
}

# nginx_start NAME PORT
nginx_start() {
	local dir=$BATS_TEST_TMPDIR/$1
	mkdir -p "$dir"
	sed -e "s|@DIR@|$dir|g; s|@UPSTREAM@|$UPSTREAM|g; s|@GATEWAY@|$GATEWAY|g; s|@REDIS@|$REDIS|g" \
		"$CONFIGS/$1.conf" >"$dir/nginx.conf"
	spawn "$1" nginx -p "$dir" -c "$dir/nginx.conf"
	wait_tcp 127.0.0.1 "$2"
}

# hops_start [OPTION...]: begins to watch; returns when it does.
hops_start() {
	spawn_out hops "$BATS_TEST_TMPDIR/hops.json" "$HOPSCOPE" hops --json -i 600 \
		--port "$UPSTREAM" --port "$GATEWAY" --port "$RELAY" --port "$REDIS" "$@"
	wait_until 60 grep -q following "$(log_of hops)"
}

# hops_done: ends it. The line of the whole run is then in $HOPS.
hops_done() {
	stop hops INT
	HOPS=$BATS_TEST_TMPDIR/last.json
	tail -n 1 "$BATS_TEST_TMPDIR/hops.json" >"$HOPS"
	jq -c '.hop_accounting, (.hops[] | [.route, .status, .count, [.spans[].comm]])' "$HOPS"
	jq -e .final "$HOPS" >/dev/null
}

# curls N URL
curls() {
	local i
	for ((i = 0; i < $1; i++)); do
		[ "$(curl -gs "$2")" = hello ]
	done
}

# wrk_load CONNECTIONS SECONDS URL: the number of requests in $SENT. None may fail.
wrk_load() {
	wrk -t 1 -c "$1" -d "$2" --timeout 10 "$3" >"$BATS_TEST_TMPDIR/wrk.log"
	fails grep -E 'Non-2xx|Socket errors' "$BATS_TEST_TMPDIR/wrk.log"
	SENT=$(awk '$2 == "requests" { print $1 }' "$BATS_TEST_TMPDIR/wrk.log")
}

# whole N ROUTE COMM...: so many exchanges took this way, and no other one was seen on it. (wrk may
# end with requests under way, one a connection.)
whole() {
	local n=$1 route=$2
	shift 2
	printf '%s\n' "$@" | jq -R . | jq -s . >"$BATS_TEST_TMPDIR/way.json"
	jq -e --argjson n "$n" --arg route "$route" --slurpfile way "$BATS_TEST_TMPDIR/way.json" '
		[.hops[] | select(.route == $route)] |
		(map(select([.spans[].comm] == $way[0]) | .count) | add) as $whole |
		(map(.count) | add) == $whole and $whole >= $n and $whole <= $n + 64' "$HOPS"
}

# Of every way the edges' means are the round trip's; nothing was lost or left out.
adds_up() {
	jq -e '.hops | length > 0 and all(
		([.edges[].mean_ns] | add) - .rtt_mean_ns | fabs < 30) and all(.[].edges[]; .mean_ns >= 0)' "$HOPS"
	jq -e '.hop_accounting | del(.complete) | all(. == 0)' "$HOPS"
	jq -e '.accounting.holds' "$HOPS"
}

# span_us ROUTE INDEX: mean of a span as its program sees it: from the read of its request, or what is
# called there, to the read of the reply where that comes in.
span_us() {
	jq --arg route "$1" --argjson i "$2" '
		def inside($s; $i): $i == . or (. > 0 and ($s[.].parent | inside($s; $i)));
		.hops[] | select(.route == $route) | .spans as $s | .edges as $e |
		[$e | to_entries[] | select(.value.span | inside($s; $i))] |
		map(select(.value.direction != "there" or .value.span != $i)) |
		($e[(if $s[$i].request_in then .[0].key else .[-1].key + 1 end)].queue_mean_ns // 0) as $queue |
		(map(.value.mean_ns) | add) + (if $s[$i].request_in then - $queue else $queue end) | . / 1000' "$HOPS"
}

# logged_us NAME COLUMN PATH: mean of nginx' log.
logged_us() {
	awk -v c="$2" -v path="$3" '$NF == path { s += $c; n++ } END { print 1e6 * s / n }' \
		"$BATS_TEST_TMPDIR/$1/times"
}

# near US US: nginx' clock goes by the millisecond.
near() {
	echo "$1 us, nginx says $2"
	awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(d < 1500 && d > -1500) }'
}

@test "a relay: every exchange whole, the time where it is" {
	spawn relay socat TCP4-LISTEN:"$RELAY",bind=127.0.0.1,fork,reuseaddr "TCP4:127.0.0.1:$UPSTREAM"
	wait_tcp 127.0.0.1 "$RELAY"
	hops_start
	curls 20 "http://127.0.0.1:$RELAY/slow"
	wrk_load 8 2 "http://127.0.0.1:$RELAY/fast"
	hops_done
	whole 20 'GET /slow' curl socat socat nginx
	whole "$SENT" 'GET /fast' wrk socat socat nginx
	adds_up
	near "$(span_us 'GET /slow' 3)" "$(logged_us upstream 1 /slow)"
	# Network, process and service: no residual.
	jq -e 'all(.hops[]; .residual_mean_ns == 0 and
		([.edges[].kind] | unique == ["network", "process", "service"]))' "$HOPS"
}

@test "haproxy in TCP mode, which connects before it reads" {
	need_command haproxy
	cat >"$BATS_TEST_TMPDIR/haproxy.cfg" <<-EOF
		defaults
		  mode tcp
		  timeout connect 5s
		  timeout client 30s
		  timeout server 30s
		listen relay
		  bind 127.0.0.1:$RELAY
		  server upstream 127.0.0.1:$UPSTREAM
	EOF
	spawn relay haproxy -db -f "$BATS_TEST_TMPDIR/haproxy.cfg"
	wait_tcp 127.0.0.1 "$RELAY"
	hops_start
	curls 20 "http://127.0.0.1:$RELAY/slow"
	wrk_load 8 2 "http://127.0.0.1:$RELAY/fast"
	hops_done
	whole 20 'GET /slow' curl haproxy haproxy nginx
	adds_up
	near "$(span_us 'GET /slow' 3)" "$(logged_us upstream 1 /slow)"
}

@test "IPv6, without a relay" {
	hops_start
	curls 20 "http://[::1]:$UPSTREAM/slow"
	hops_done
	whole 20 'GET /slow' curl nginx
	adds_up
	near "$(span_us 'GET /slow' 1)" "$(logged_us upstream 1 /slow)"
}

@test "a gateway: Redis and the upstream are hops of the request" {
	spawn redis redis-server --port "$REDIS" --bind 127.0.0.1 --save '' --dir "$BATS_TEST_TMPDIR"
	wait_tcp 127.0.0.1 "$REDIS"
	nginx_start gateway "$GATEWAY"
	hops_start
	curls 20 "http://127.0.0.1:$GATEWAY/slow"
	wrk_load 16 3 "http://127.0.0.1:$GATEWAY/fast"
	hops_done
	local way=(nginx nginx redis-server nginx nginx)
	whole 20 'GET /slow' curl "${way[@]}"
	whole "$SENT" 'GET /fast' wrk "${way[@]}"
	adds_up
	near "$(span_us 'GET /slow' 1)" "$(logged_us gateway 1 /slow)"
	near "$(span_us 'GET /slow' 4)" "$(logged_us gateway 2 /slow)"
	near "$(span_us 'GET /slow' 5)" "$(logged_us upstream 1 /slow)"
	# Both are asked by the gateway, one after the other.
	jq -e 'all(.hops[]; [.spans[].parent] == [null, 0, 1, 2, 1, 4])' "$HOPS"
}

@test "a gateway behind a relay, one exchange in four" {
	spawn redis redis-server --port "$REDIS" --bind 127.0.0.1 --save '' --dir "$BATS_TEST_TMPDIR"
	wait_tcp 127.0.0.1 "$REDIS"
	nginx_start gateway "$GATEWAY"
	spawn relay socat TCP4-LISTEN:"$RELAY",bind=127.0.0.1,fork,reuseaddr "TCP4:127.0.0.1:$GATEWAY"
	wait_tcp 127.0.0.1 "$RELAY"
	hops_start --sample-hops 4
	wrk_load 8 2 "http://127.0.0.1:$RELAY/fast"
	hops_done
	# All that were taken are whole.
	jq -e --argjson n "$SENT" '(.hops | length) == 1 and
		([.hops[0].spans[].comm] == ["wrk", "socat", "socat", "nginx", "nginx", "redis-server", "nginx", "nginx"])
		and .hops[0].count > $n / 5 and .hops[0].count < $n / 3' "$HOPS"
}

@test "a NATS request made for an HTTP request is a hop of it" {
	node_ready
	nats_start n1
	node_spawn service service \
		"{\"url\": \"$NATS_URL\", \"subject\": \"time\", \"reply\": \"hello\", \"delay\": 5}"
	node_spawn front http_nats "{\"url\": \"$NATS_URL\", \"subject\": \"time\", \"port\": $GATEWAY}"
	hops_start --port "$NATS_PORT"
	curls 20 "http://127.0.0.1:$GATEWAY/one"
	wrk_load 16 2 "http://127.0.0.1:$GATEWAY/many"
	hops_done
	local way=(node node nats-server nats-server node)
	whole 20 'GET /one' curl "${way[@]}"
	adds_up
	jq -e '.hops[] | select(.route == "GET /one") |
		[.spans[].proto] == ["http", "http", "nats", "nats", "nats", "nats"]' "$HOPS"
	# Many at a time on one NATS connection: a call whose request is not certain is on its own, and
	# so is that request; none has another's.
	jq -e --argjson n "$SENT" '[.hops[] | {n: (.spans | length), route, count}] |
		def of(r; k): map(select(.route == r and .n == k) | .count) | add // 0;
		of("GET /many"; 6) >= $n * 0.9 and of("GET /many"; 6) + of("GET /many"; 2) >= $n and
		of("GET /many"; 2) == of("time"; 4) and
		all(.[]; .route + (.n | tostring) | IN("GET /one6", "GET /many6", "GET /many2", "time4"))' "$HOPS"
}

@test "pipelines: as many exchanges as Redis counts commands" {
	spawn redis redis-server --port "$REDIS" --bind 127.0.0.1 --save '' --dir "$BATS_TEST_TMPDIR"
	wait_tcp 127.0.0.1 "$REDIS"
	hops_start
	redis-benchmark -p "$REDIS" -t set -n 4000 -c 4 -P 16 -q
	hops_done
	whole 4000 SET redis-benchmark redis-server
	adds_up
}
