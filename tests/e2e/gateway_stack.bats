#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The services of the gateway scenario, started for real, and what is done to them.

load helpers
load tools/stack

setup_file() {
	stack_make gateway-tools
}

setup() {
	stack_setup
	route=/claude-proxy/v1/messages
}

teardown() {
	stack_teardown
}

need_stack() {
	[ "$(id -u)" = 0 ] || skip 'needs root'
	[ -n "$(e2e_cgroup2)" ] || skip 'no cgroup v2 hierarchy is mounted'
	need_command nginx redis-server redis-cli openssl curl jq
}

# stack_start [NAME=VALUE...]: gateway_stack in the background, its commands on descriptor 7. What
# it says first is in $INFO.
stack_start() {
	need_stack
	stack_run 40 gateway_stack gateway.yaml "$@"
	proxy=http://127.0.0.1:$(port nginx-claude-proxy)
	kong=http://127.0.0.1:$(port kong-gateway)
	redis="redis-cli -p $(port redis-cache)"
}

# do_it COMMAND...: it must succeed.
do_it() {
	local answer
	answer=$(tell "$@")
	[ "$(jq .ok <<<"$answer")" = true ] || {
		echo "$*: $answer" >&2
		cat "$(log_of stack)" >&2
		return 1
	}
}

of() { # of SERVICE KEY
	jq -r ".services.\"$1\".$2" <<<"$INFO"
}

port() {
	of "$1" port
}

# What a command's answer holds under a key.
get() { # get KEY COMMAND...
	local key=$1
	shift
	tell "$@" | jq -r ".$key"
}

body() { # body TEXT
	jq -nc --arg t "$1" '{model: "claude-x", max_tokens: 10, messages: [{role: "user", content: $t}]}'
}

# ask TEXT [curl options]: the HTTP code; the answer is in $BATS_TEST_TMPDIR/answer.
ask() {
	local text=$1
	shift
	body "$text" | curl -s -m 15 -o "$BATS_TEST_TMPDIR/answer" -w '%{http_code}' \
		-D "$BATS_TEST_TMPDIR/head" -H 'Content-Type: application/json' "$@" --data-binary @- \
		"$proxy$route" || true
}

answer_text() {
	jq -r '.content[0].text' "$BATS_TEST_TMPDIR/answer"
}

error_type() {
	jq -r .error.type "$BATS_TEST_TMPDIR/answer"
}

pids_in() { # processes of a service
	cat "$(of "$1" cgroup)/cgroup.procs"
}

# v1's or v2's.
memory_limit() {
	cat "$(of "$1" memory_cgroup)"/memory.limit_in_bytes 2>/dev/null ||
		cat "$(of "$1" memory_cgroup)"/memory.max
}

all_ended() {
	local pid
	for pid in "$@"; do
		! e2e_alive "$pid" || return 1
	done
}

breaker_is() {
	[ "$(get breaker status)" = "$1" ]
}

all=(redis-cache claude-api kong-gateway nginx-claude-proxy)

# ---- what it does

@test "gateway stack: identifiers are masked on their way, and the client sees its own again" {
	stack_start latency='fixed 3 ms' map_ttl_s=300
	ids='i-0abc1234567890def, vpc-12345678, subnet-0123456789abcdef0, sg-0a1b2c3d, '
	ids+='arn:aws:iam::123456789012:role/admin, 210987654321, AKIAIOSFODNN7EXAMPLE, 54.12.3.4'
	[ "$(ask "Look at $ids and 10.1.2.3" -H 'X-Request-Id: req-1')" = 200 ]
	[ "$(answer_text)" = "I looked at $ids." ]
	[ "$(get requests counters)" = 1 ]
	[ "$(get with_identifiers counters)" = 0 ]
	[ "$(get masked status)" = 8 ]
	[ "$(get unmasked status)" = 8 ]

	# Redis knows both ways, and forgets.
	[ "$($redis get aws_masker:map:AWS_EC2_001)" = i-0abc1234567890def ]
	[ "$($redis get aws_masker:map:AWS_ACCOUNT_001)" = 210987654321 ]
	ttl=$($redis ttl aws_masker:map:AWS_EC2_001)
	[ "$ttl" -gt 200 ] && [ "$ttl" -le 300 ]
	# No identifier in the name of a key.
	[ -z "$($redis keys '*' | grep -E 'i-0abc|vpc-|AKIA|2109')" ]

	# The same identifier has the same mask in each request, another has another.
	[ "$(ask "again i-0abc1234567890def and i-11111111")" = 200 ]
	[ "$(answer_text)" = "I looked at i-0abc1234567890def, i-11111111." ]
	[ "$($redis get aws_masker:count:EC2)" = 2 ]
	[ "$($redis get aws_masker:map:AWS_EC2_002)" = i-11111111 ]

	# A mask that this request did not make is nobody's to ask for.
	[ "$(ask "what is AWS_EC2_001?")" = 200 ]
	[ "$(answer_text)" = "I looked at AWS_EC2_001." ]

	# What all of nginx wrote down about the first: the same request, one time within the other.
	for s in claude-api kong-gateway nginx-claude-proxy; do
		jq -c 'select(.request_id == "req-1")' "$(of $s access_log)" >"$BATS_TEST_TMPDIR/$s.log"
		[ "$(jq -r .status "$BATS_TEST_TMPDIR/$s.log")" = 200 ]
	done
	jq -se '.[0].request_time <= .[1].request_time + 0.001 and
		.[1].request_time <= .[2].request_time + 0.001 and
		(.[1].upstream_response_time | tonumber) >= 0.002' \
		"$BATS_TEST_TMPDIR"/{claude-api,kong-gateway,nginx-claude-proxy}.log
}

@test "gateway stack: health, limits, versions" {
	stack_start latency='fixed 1 ms' kong_memory=300000000
	for s in "${all[@]}"; do
		[ "$(get healthy health $s)" = true ]
	done
	[ "$(get 'why' health kong-gateway)" = "" ]
	# Page by page.
	limit=$(memory_limit kong-gateway)
	[ "$limit" -le 300000000 ] && [ "$limit" -gt 299000000 ]
	[ "$(memory_limit nginx-claude-proxy)" = $((256 << 20)) ]
	[ "$(memory_limit claude-client)" = $((512 << 20)) ]
	nginx -v 2>&1 | grep -qF "nginx/$(jq -r .nginx <<<"$INFO")"
	[[ $(jq -r .lua_module <<<"$INFO") =~ ^0\.10\.[0-9]+$ ]]
	[[ $(jq -r .redis <<<"$INFO") =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]
	# Each where it belongs: its own cgroup, and not one process too many.
	[ "$(pids_in redis-cache | wc -l)" = 1 ]
	[ "$(pids_in kong-gateway | wc -l)" = 2 ]
}

@test "gateway stack: what is not a Messages request goes no further; long ones do" {
	stack_start latency='fixed 1 ms'
	[ "$(curl -s -o /dev/null -w '%{http_code}' "$proxy$route")" = 405 ]
	[ "$(curl -s -o /dev/null -w '%{http_code}' -d 'i-0abc1234567890def' "$proxy$route")" = 400 ]
	[ "$(curl -s -o /dev/null -w '%{http_code}' -d '{"text": "i-0abc12345' "$proxy$route")" = 400 ]
	[ "$(curl -s -o /dev/null -w '%{http_code}' -d '{}' "$proxy/else")" = 404 ]
	[ "$(get requests counters)" = 0 ]
	# An identifier in the query or in a name of the client's own: not passed on.
	[ "$(body hello | curl -s -o /dev/null -w '%{http_code}' -H 'X-Request-Id: i-0abc1234567890def' \
		-H 'X-Other: vpc-12345678' -H 'traceparent: 00-i-0abc1234567890def' --data-binary @- \
		"$proxy$route?x=i-0abc1234567890def")" = 200 ]
	[ "$(get with_identifiers counters)" = 0 ]
	# claude-api does find them, when it is asked without the gateway.
	api=claude-api:$(port claude-api)
	[ "$(body 'i-0abc1234567890def' | curl -s --cacert "$(jq -r .ca <<<"$INFO")" -o /dev/null \
		-w '%{http_code}' --resolve "$api:127.0.0.1" --data-binary @- \
		"https://$api/v1/messages")" = 200 ]
	[ "$(get with_identifiers counters)" = 1 ]
}

@test "gateway stack: masking, fuzzed: every corner of JSON, pieces cut anywhere" {
	need_command node
	stack_start latency='lognormal 2 ms sigma 0.5' kong_workers=2
	for seed in 1 "$RANDOM"; do
		node "$BATS_TEST_DIRNAME/tools/mask_fuzz.js" "$proxy$route" 200 "$seed" 3>&- || {
			echo "seed $seed" >&2
			false
		}
	done
	counters=$(tell counters)
	[ "$(jq .requests <<<"$counters")" = 400 ]
	[ "$(jq .with_identifiers <<<"$counters")" = 0 ]
	# TLS connections are kept.
	[ "$(jq .connections <<<"$counters")" -le 40 ]
	# Drawn from the distribution (mean 2.27 ms; five standard errors), and not slept for less.
	jq -e '(.wanted_us / .answered / 2266 - 1 | fabs) < 0.14 and
		.waited_us > .wanted_us - 500 * .answered' <<<"$counters"
}

@test "gateway stack: many requests at once with the same new identifiers: one mask each" {
	stack_start latency='fixed 1 ms' kong_workers=2 redis_timeout_ms=20000
	ids=$(printf 'i-%08x ' {1..20})
	body "$ids" >"$BATS_TEST_TMPDIR/body"
	# All of them find nothing before one of them has written: Redis is away for a moment.
	do_it pause redis-cache
	for i in {1..8}; do
		spawn_out "c$i" "$BATS_TEST_TMPDIR/c$i" curl -s -m 15 -o /dev/null -w '%{http_code}' \
			--data-binary @"$BATS_TEST_TMPDIR/body" "$kong$route"
	done
	wait_until 5 all_ask
	do_it resume redis-cache
	for i in {1..8}; do
		wait_exit "c$i" 15
		[ "$(cat "$BATS_TEST_TMPDIR/c$i")" = 200 ]
	done
	[ "$($redis keys 'aws_masker:id:*' | wc -l)" = 20 ]
	[ "$($redis keys 'aws_masker:map:*' | wc -l)" = 20 ]
	# Each knows of the other, and some numbers were drawn in vain.
	$redis keys 'aws_masker:map:*' | xargs $redis mget | sort -u >"$BATS_TEST_TMPDIR/mapped"
	[ "$(tr ' ' '\n' <<<"$ids" | grep . | sort)" = "$(cat "$BATS_TEST_TMPDIR/mapped")" ]
	$redis keys 'aws_masker:id:*' | xargs $redis mget | sed 's/^/aws_masker:map:/' | sort |
		cmp - <($redis keys 'aws_masker:map:*' | sort)
	[ "$($redis get aws_masker:count:EC2)" -gt 20 ]
}

# Eight connections with something in them that Redis has not read.
all_ask() {
	[ "$(ss -Htn state established "( sport = :$(port redis-cache) )" | awk '$1 > 0' | wc -l)" = 8 ]
}

@test "gateway stack: errors of claude-api in their share, its slow ones too" {
	stack_start latency='fixed 1 ms slow 50 % 60 ms' error_share=0.5 breaker_failures=1000
	for i in {1..40}; do
		ask "hello $i"
		echo
	done >"$BATS_TEST_TMPDIR/codes"
	bad=$(grep -c 529 "$BATS_TEST_TMPDIR/codes")
	# Seeded; binomial(40, 0.5) is within this but for one in a million.
	[ "$bad" -ge 5 ] && [ "$bad" -le 35 ]
	[ "$(get errors counters)" = "$bad" ]
	[ "$(get upstream_failures status)" = "$bad" ]
	wanted=$(get wanted_us counters)
	[ "$wanted" -gt $((5 * 60000)) ] && [ "$wanted" -lt $((35 * 60000 + 40000)) ]
}

# ---- faults

@test "gateway stack: without Redis nothing leaves; the breaker opens after 5 and closes again" {
	stack_start latency='fixed 1 ms' breaker_open_ms=1500
	[ "$(ask 'i-0abc1234567890def')" = 200 ]
	do_it terminate redis-cache
	[ "$(get healthy health redis-cache)" = false ]
	[ "$(get healthy health kong-gateway)" = false ]
	for i in 1 2 3 4 5; do
		[ "$(ask 'i-0abc1234567890def')" = 503 ]
		[ "$(error_type)" = mask_unavailable ]
	done
	breaker_is open
	[ "$(ask 'i-0abc1234567890def')" = 503 ]
	[ "$(error_type)" = circuit_open ]
	grep -qi '^Retry-After: [12]' "$BATS_TEST_TMPDIR/head"
	[ "$(get requests counters)" = 1 ]
	[ "$(get opened status)" = 1 ]

	# Half open, one goes through, fails, and it opens again.
	wait_until 5 breaker_is half_open
	[ "$(ask 'i-0abc1234567890def')" = 503 ]
	[ "$(error_type)" = mask_unavailable ]
	[ "$(get opened status)" = 2 ]
	[ "$(ask 'i-0abc1234567890def')" = 503 ]
	[ "$(error_type)" = circuit_open ]

	# Redis is there again: the next probe closes it.
	do_it launch redis-cache
	do_it await redis-cache
	wait_until 5 breaker_is half_open
	[ "$(ask 'i-0abc1234567890def')" = 200 ]
	breaker_is closed
	[ "$(ask 'i-0abc1234567890def')" = 200 ]
	[ "$(get requests counters)" = 3 ]
	[ "$(get with_identifiers counters)" = 0 ]
	[ "$(get deaths info)" = 0 ]
}

@test "gateway stack: claude-api away: 502, the breaker counts those too; 4 and a success do not open it" {
	stack_start latency='fixed 1 ms' breaker_open_ms=1000 upstream_timeout_ms=400
	do_it kill claude-api
	for i in 1 2 3 4; do
		[ "$(ask 'i-0abc1234567890def')" = 502 ]
	done
	do_it launch claude-api
	do_it await claude-api
	[ "$(ask hello)" = 200 ]
	do_it kill claude-api
	for i in 1 2 3 4; do
		[ "$(ask hello)" = 502 ]
	done
	breaker_is closed
	[ "$(ask hello)" = 502 ]
	breaker_is open
	do_it launch claude-api
	do_it await claude-api
	wait_until 5 breaker_is half_open
	[ "$(ask hello)" = 200 ]
	breaker_is closed

	# One that does not answer is as good as away.
	do_it pause claude-api
	for i in 1 2 3 4 5; do
		[ "$(ask hello)" = 504 ]
	done
	breaker_is open
	do_it resume claude-api
	wait_until 5 breaker_is half_open
	[ "$(ask hello)" = 200 ]
	breaker_is closed
}

@test "gateway stack: a paused service answers later, not never; paused Redis is a failure" {
	stack_start latency='fixed 1 ms' redis_timeout_ms=300
	do_it pause nginx-claude-proxy
	[ "$(get healthy health nginx-claude-proxy)" = false ]
	body 'i-0abc1234567890def' >"$BATS_TEST_TMPDIR/body"
	spawn_out client "$BATS_TEST_TMPDIR/late" curl -s -m 20 -o /dev/null -w '%{http_code}' \
		--data-binary @"$BATS_TEST_TMPDIR/body" "$proxy$route"
	# The kernel has accepted for it.
	wait_until 5 connected_to "$(port nginx-claude-proxy)"
	e2e_alive "$SPAWNED"
	do_it resume nginx-claude-proxy
	wait_exit client 10
	[ "$(cat "$BATS_TEST_TMPDIR/late")" = 200 ]

	do_it pause redis-cache
	[ "$(ask 'i-0abc1234567890def')" = 503 ]
	[ "$(error_type)" = mask_unavailable ]
	do_it resume redis-cache
	[ "$(ask 'i-0abc1234567890def')" = 200 ]

	# Asking for what cannot be is refused.
	[ "$(get ok resume redis-cache)" = false ]
	[ "$(get ok launch redis-cache)" = false ]
	# A paused one can be ended, and is not paused when it starts again.
	do_it pause kong-gateway
	do_it kill kong-gateway
	[ "$(get ok pause kong-gateway)" = false ]
	do_it launch kong-gateway
	do_it await kong-gateway
	[ "$(ask 'i-0abc1234567890def')" = 200 ]
	do_it pause claude-api
	do_it terminate claude-api
	do_it launch claude-api
	do_it await claude-api
	[ "$(ask 'i-0abc1234567890def')" = 200 ]
}

connected_to() {
	[ -n "$(ss -Htn state established "( dport = :$1 )")" ]
}

@test "gateway stack: killed: master and workers at once, the same port again" {
	stack_start latency='fixed 1 ms' kong_workers=2
	victims=$(pids_in kong-gateway)
	[ "$(wc -l <<<"$victims")" = 3 ]
	do_it kill kong-gateway
	all_ended $victims
	[ -z "$(pids_in kong-gateway)" ]
	[ "$(get state state kong-gateway)" = 0 ]
	[ "$(ask hello)" = 502 ]
	do_it launch kong-gateway
	do_it await kong-gateway
	[ "$(ask 'i-0abc1234567890def')" = 200 ]
	[ "$(pids_in kong-gateway | wc -l)" = 3 ]
	[ "$(tell info | jq -r '.services."kong-gateway".starts')" = 2 ]
	# None of it was a surprise; this is.
	[ "$(get deaths info)" = 0 ]
	kill -KILL "$(of redis-cache pid)"
	wait_until 5 state_is redis-cache 3
	[ "$(get deaths info)" = 1 ]
	grep -q 'redis-cache (pid .*) ended' "$(log_of stack)"
	do_it launch redis-cache
	do_it await redis-cache
	[ "$(ask 'i-0abc1234567890def')" = 200 ]
}

state_is() {
	[ "$(get state state "$1")" = "$2" ]
}

@test "gateway stack: reset connections: the client is told, those of others stay" {
	stack_start latency='fixed 1 ms'
	exec 8<>"/dev/tcp/127.0.0.1/$(port nginx-claude-proxy)"
	exec 9<>"/dev/tcp/127.0.0.1/$(port kong-gateway)"
	printf 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n' >&8
	read -t 5 -r line <&8
	[[ $line == *200* ]]
	printf 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n' >&9
	read -t 5 -r line <&9
	[[ $line == *200* ]]
	answer=$(tell reset nginx-claude-proxy)
	[ "$(jq .ok <<<"$answer")" = true ] || [ "$(jq .err <<<"$answer")" != -95 ] ||
		skip 'the kernel cannot destroy sockets'
	[ "$(jq .n <<<"$answer")" -ge 1 ]
	LC_ALL=C run cat <&8
	[[ $output == *'Connection reset by peer'* ]]
	printf 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n' >&9
	read -t 5 -r line <&9
	exec 8<&- 9<&-
	[ "$(ask 'i-0abc1234567890def')" = 200 ]
	# In and out: its connections to redis-cache and claude-api go, too; new ones are made.
	[ "$(get n reset kong-gateway)" -ge 3 ]
	[ "$(ask 'i-0abc1234567890def')" = 200 ]
}

# ---- delays of known size

@test "gateway stack: delays are where they were put, and not less" {
	free_ports redis_port relay_port
	need_stack
	spawn relay "$tools/targets/lag_relay" "$relay_port" "$redis_port" 40000
	wait_tcp 127.0.0.1 "$relay_port"
	stack_start latency='fixed 10 ms' api_delay_ms=20 proxy_delay_ms=50 redis_port="$redis_port" \
		redis_via="$relay_port"
	[ "$(ask 'i-0abc1234567890def')" = 200 ] # connects, makes the mask
	[ "$(ask 'i-0abc1234567890def' -H 'X-Request-Id: known')" = 200 ]
	delay_of() {
		sed -n "s/^$1: *\([0-9]*\).*/\1/ip" "$BATS_TEST_TMPDIR/head"
	}
	[ "$(delay_of X-Delay-Us)" -ge 29500 ]
	[ "$(delay_of X-Proxy-Delay-Us)" -ge 49500 ]
	log_value() { # log_value SERVICE JQ: milliseconds
		jq -r "select(.request_id == \"known\") | $2 * 1000 | round" "$(of "$1" access_log)"
	}
	# Two round trips to Redis for a mask that is known; nginx's log has whole milliseconds.
	[ "$(log_value kong-gateway '(.request_time - (.upstream_response_time | tonumber))')" -ge 79 ]
	[ "$(log_value kong-gateway '(.upstream_response_time | tonumber)')" -ge 29 ]
	[ "$(log_value nginx-claude-proxy '(.request_time - (.upstream_response_time | tonumber))')" -ge 49 ]
}

# ---- bad luck

@test "gateway stack: kill -9: all of it ends, workers too, before anybody cleans up" {
	stack_start latency='fixed 1 ms' kong_workers=2 api_workers=2
	victims=$(for s in "${all[@]}"; do pids_in $s; done)
	[ "$(wc -l <<<"$victims")" = 9 ]
	pid=$stack_pid
	kill -KILL "$pid"
	wait_until 5 all_ended $victims
	wait "$pid" || true
	# The next one takes away the rest.
	exec 7<&-
	rm "$BATS_TEST_TMPDIR/commands"
	stack_start latency='fixed 1 ms'
	grep -q "cleaning up after an earlier run that was killed (pid $pid)" "$(log_of stack)"
	[ ! -e "/run/hopscope/$pid" ]
}

@test "gateway stack: it ends with SIGTERM, paused or not, and leaves nothing" {
	stack_start latency='fixed 1 ms'
	do_it pause kong-gateway
	victims=$(for s in "${all[@]}"; do pids_in $s; done)
	pid=$stack_pid
	kill -TERM "$pid"
	wait_exit stack 15
	all_ended $victims
	[ ! -e "/run/hopscope/$pid" ]
	[ -z "$(e2e_cgroups | grep "hopscope-$pid")" ]
}

@test "gateway stack: a template that is wrong, a service that cannot start: said with their words" {
	need_stack
	cp -r "$E2E_ROOT/scenarios/gateway" "$BATS_TEST_TMPDIR/gateway"
	driver=$tools/e2e/tools/gateway_stack
	conf=$BATS_TEST_TMPDIR/gateway/nginx-claude-proxy.conf

	sed -i 's/@KONG_PORT@/@KONG_POT@/' "$conf"
	line=$(grep -n KONG_POT "$conf" | cut -d : -f 1)
	run --separate-stderr "$driver" "$BATS_TEST_TMPDIR/x.yaml" </dev/null
	[ "$status" = 1 ]
	[[ $stderr == *"nginx-claude-proxy.conf:$line: @KONG_POT@ is no name"* ]]

	sed -i 's/@KONG_POT@/@KONG_PORT@/; s/keepalive_timeout 75s/keepalive_timeoutt 75s/' "$conf"
	run --separate-stderr "$driver" "$BATS_TEST_TMPDIR/x.yaml" </dev/null
	[ "$status" = 1 ]
	[[ $stderr == *'unknown directive "keepalive_timeoutt"'* ]]
	[[ $stderr == *'nginx-claude-proxy ended'* ]]

	rm "$BATS_TEST_TMPDIR/gateway/masks.lua"
	run --separate-stderr "$driver" "$BATS_TEST_TMPDIR/x.yaml" </dev/null
	[ "$status" = 1 ]
	[[ $stderr == *"masks.lua: No such file or directory"* ]]

	run --separate-stderr "$driver" "$E2E_ROOT/scenarios/x.yaml" redis_port="$(taken_port)" </dev/null
	[ "$status" = 1 ]
	[[ $stderr == *"cannot use port"*"for redis-cache: Address already in use"* ]]
}

# A port on which somebody listens.
taken_port() {
	ss -Hltn | awk '{ sub(/.*:/, "", $4); print $4; exit }'
}
