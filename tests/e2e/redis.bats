#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Redis in `hopscope trace`, with a server and clients that nobody here wrote: redis-server;
# redis-cli, redis-benchmark, ioredis, node-redis. What it says is compared with their own accounts.

load helpers
load tools/trace
load tools/http

setup_file() {
	node_ready
}

setup() {
	e2e_setup
	need_bpf
	need_command redis-server redis-cli redis-benchmark jq node socat
}

teardown() {
	stop_all
	e2e_teardown
}

cli() {
	redis-cli -p "$REDIS_PORT" "$@"
}

# Commands as the server counted them since CONFIG RESETSTAT, which it then counts as the first:
# {"SET": 2, "CONFIG GET": 1, ..}. Calls and those refused before they were one, as "(unknown)".
server_counts() {
	cli INFO commandstats | tr -d '\r' | jq -Rn '[inputs | capture(
		"^cmdstat_(?<name>[^:]+):calls=(?<calls>\\d+).*rejected_calls=(?<refused>\\d+)") |
		{key: (.name | ascii_upcase | sub("[|]"; " ")),
			value: ((.calls | tonumber) + (.refused | tonumber))}] | from_entries'
}

# ---- counts

@test "Redis: every command is an exchange at both ends, by name and outcome" {
	redis_start cache
	printf '%s\n' PING 'SET a 1' 'SET a 2' 'GET a' 'GET nothing' 'INCR a' 'LPUSH l x y z' \
		'LRANGE l 0 -1' 'INCR l' 'GET l' 'CONFIG GET maxmemory' 'CONFIG GET save' \
		'HSET h f v g w' 'HGETALL h' MULTI 'SET b 2' 'GET b' 'INCR l' EXEC MULTI 'SET b' DISCARD \
		'EVAL "return {1,{2,{3,{}}},false}" 0' 'EVAL "return redis.error_reply(\"MINE no\")" 0' \
		'XADD s * k v' 'XRANGE s - +' 'SCAN 0' 'OBJECT ENCODING l' 'CLIENT ID' 'DBSIZE' \
		'HELLO 3' 'HGETALL h' 'SMEMBERS none' 'ZADD z 1.5 m' 'ZSCORE z m' 'DEBUG PROTOCOL push' \
		'DEBUG PROTOCOL map' 'DEBUG PROTOCOL verbatim' 'NOSUCH x' 'DEL a b l h s z' >"$BATS_TEST_TMPDIR/in"
	cli CONFIG RESETSTAT
	trace_start t --port "$REDIS_PORT"
	cli <"$BATS_TEST_TMPDIR/in" >/dev/null
	server_counts >"$(out_of server)"
	trace_stop t
	# redis-cli asks for the commands' descriptions first; the server's INFO is ours as well.
	check t identity '.accounting | .unanswered == 0 and .dropped == 0 and .in_flight == 0 and
			.orphans == 0 and .bytes_unparsed == 0' \
		"view(\"GET\") == {\"client ok\": 3, \"server ok\": 3, \"client error\": 1, \"server error\": 1}" \
		'view("INCR") == {"client ok": 2, "server ok": 2, "client error": 1, "server error": 1}' \
		'view("SET") == {"client ok": 3, "server ok": 3, "client error": 1, "server error": 1}' \
		'view("EVAL") == {"client ok": 1, "server ok": 1, "client error": 1, "server error": 1}' \
		'view("CONFIG GET") == {"client ok": 2, "server ok": 2}' \
		'view("EXEC") == {"client ok": 1, "server ok": 1}' \
		'view("DEBUG PROTOCOL") == {"client ok": 3, "server ok": 3}' \
		'view("?") == {"client error": 1, "server error": 1}' \
		'.accounting.reasons.push == 2 and .accounting.one_way == 2' \
		'[.series[] | select(.proto != "redis" or .container != "/" or .part != null)] == []'
	# The server's own account, command by command, but for the word that is no command, which nobody
	# names, and its INFO, which had not ended. It does not tell the kinds of DEBUG apart.
	jq -c '[.series[] | select(.role == "server" and (.route | IN("?", "INFO") | not))] |
		map(.route |= sub("^DEBUG .*"; "DEBUG")) | group_by(.route) |
		map({(.[0].route): (map(.count) | add)}) | add' \
		"$BATS_TEST_TMPDIR/t.final" >"$BATS_TEST_TMPDIR/ours"
	jq -c 'del(.["CONFIG RESETSTAT"], .INFO)' "$(out_of server)" >"$BATS_TEST_TMPDIR/theirs"
	jq -es '.[0] == .[1]' "$BATS_TEST_TMPDIR/ours" "$BATS_TEST_TMPDIR/theirs" || {
		cat "$BATS_TEST_TMPDIR/ours" "$BATS_TEST_TMPDIR/theirs"
		false
	}
}

# Quantiles: what a command takes at the server's socket is within what it takes at the client's, and
# that within redis-benchmark's own clock, for each, so for every quantile. Off by a bucket (1/64 each)
# and by its 3 digits.
@test "Redis: redis-benchmark -P 16, to the command; its percentiles lie around ours" {
	local n=100000 depth
	redis_start cache
	trace_start t --port "$REDIS_PORT"
	redis-benchmark -p "$REDIS_PORT" -P 16 -c 20 -n $n -r 1000 --csv SET key:__rand_int__ x >"$(out_of deep)"
	redis-benchmark -p "$REDIS_PORT" -P 1 -c 1 -n 5000 --csv GET key:000000000001 >"$(out_of flat)"
	trace_stop t
	check t clean 'view("SET") == {"client ok": $n, "server ok": $n}' \
		'view("GET") == {"client ok": 5000, "server ok": 5000}' \
		'view("CONFIG GET") == {"client ok": 4, "server ok": 4}'
	for depth in "SET deep" "GET flat"; do
		set -- $depth
		tail -n 1 "$(out_of "$2")" | tr -d '"' | jq -R 'split(",") | [.[2, 3, 4, 6, 7] | tonumber * 1e6]' \
			>"$BATS_TEST_TMPDIR/theirs"
		jq -e --slurpfile theirs "$BATS_TEST_TMPDIR/theirs" --arg route "$1" '
			def figures(role): .series[] | select(.route == $route and .role == role) |
				[.mean_ns, .min_ns, .p50_ns, .p99_ns, .max_ns];
			[figures("server"), figures("client"), $theirs[0]] | transpose |
				all(.[0] <= .[1] * (1 + 1/32) and .[1] <= .[2] * (1 + 1/32) + 2000)' \
			"$BATS_TEST_TMPDIR/t.final" || {
			jq -c '.series[] | [.route, .role, .mean_ns, .min_ns, .p50_ns, .p99_ns, .max_ns]' \
				"$BATS_TEST_TMPDIR/t.final"
			cat "$BATS_TEST_TMPDIR/theirs"
			false
		}
	done
}

@test "Redis: ioredis and node-redis, many at once" {
	local n=600
	redis_start cache
	trace_start t --port "$REDIS_PORT"
	node_run redis_load "{\"port\": $REDIS_PORT, \"library\": \"ioredis\", \"n\": $n, \"inflight\": 100,
		\"connections\": 2}" >"$(out_of io)"
	node_run redis_load "{\"port\": $REDIS_PORT, \"library\": \"redis\", \"n\": $n, \"inflight\": 100,
		\"connections\": 2}" >"$(out_of node)"
	expect "$(out_of io)" '. == {set: (2 * $n), get: (2 * $n), wrong: 0}'
	expect "$(out_of node)" '. == {set: (2 * $n), get: (2 * $n), wrong: 0}'
	trace_stop t
	check t identity 'view("SET") == {"client ok": (4 * $n), "server ok": (4 * $n)}' \
		'view("GET") == {"client ok": (4 * $n), "server ok": (4 * $n)}' \
		'.accounting | .orphans == 0 and .dropped == 0 and .bytes_unparsed == 0 and .in_flight == 0'
}

@test "Redis: deeper pipelines than are remembered are dropped and counted, and nobody is mixed up" {
	local n=20000
	redis_start cache
	yes $'*2\r\n$4\r\nINCR\r\n$1\r\na\r' | head -n $((5 * n)) >"$BATS_TEST_TMPDIR/in"
	trace_start t --port "$REDIS_PORT"
	cli --pipe <"$BATS_TEST_TMPDIR/in"
	cli GET a
	trace_stop t
	check t identity '.accounting | .orphans == .dropped and .in_flight == 0 and .bytes_unparsed == 0' \
		'.accounting.dropped == .accounting.reasons.table_full' \
		'.accounting.matched + .accounting.dropped == 2 * ($n + 2)' '.accounting.dropped > 0' \
		'view("GET") == {"client ok": 1, "server ok": 1}'
}

# ---- what is no latency

@test "Redis: blocking commands have a status of their own; pushes answer nothing" {
	redis_start cache
	trace_start t --port "$REDIS_PORT"
	printf '%s\n' 'BLPOP q 0' 'BRPOP q2 0.02' 'XREAD BLOCK 20 STREAMS st $' 'XREAD STREAMS st 0' \
		'WAIT 0 0' PING >"$BATS_TEST_TMPDIR/in"
	spawn blocked bash -c "redis-cli -p $REDIS_PORT <'$BATS_TEST_TMPDIR/in'"
	wait_until 10 blocked_clients
	sleep 0.3 # how long it waits
	cli RPUSH q value
	wait_exit blocked 10
	node_spawn two redis_subscribe "{\"port\": $REDIS_PORT, \"resp\": 2, \"n\": 4}" ready
	node_spawn three redis_subscribe "{\"port\": $REDIS_PORT, \"resp\": 3, \"n\": 4}" ready
	for i in 1 2 3; do cli PUBLISH news "item $i"; done
	cli PUBLISH old.x y
	wait_exit two 10
	wait_exit three 10
	trace_stop t
	check t identity '.accounting | .unanswered == 0 and .dropped == 0 and .orphans == 0 and
			.bytes_unparsed == 0 and .in_flight == 0' \
		'["BLPOP", "BRPOP", "WAIT"] as $r | . as $t | $r |
			all(. as $one | $t | view($one) == {"client blocking": 1, "server blocking": 1})' \
		'view("XREAD") == {"client blocking": 1, "server blocking": 1, "client ok": 1, "server ok": 1}' \
		'[.series[] | select(.route == "BLPOP").min_ns] | all(. > 250e6)' \
		'[.series[] | select(.status == "ok" and (.route | test("^B")))] == []' \
		'view("PUBLISH") == {"client ok": 4, "server ok": 4}' \
		'[.series[] | select(.route | test("SUBSCRIBE|MESSAGE"; "i"))] == []' \
		'.accounting.reasons.no_answer == 2 * 2 * 4' \
		'.accounting.reasons.push == 2 * 2 * (4 + 4)'
}

blocked_clients() {
	redis-cli -p "$REDIS_PORT" INFO clients | grep -q '^blocked_clients:1'
}

@test "Redis: every command that the server itself calls blocking is labelled so" {
	local name
	declare -A args=([BLPOP]='q 0.01' [BRPOP]='q 0.01' [BRPOPLPUSH]='q r 0.01'
		[BLMOVE]='q r LEFT LEFT 0.01' [BLMPOP]='0.01 1 q LEFT' [BZPOPMIN]='z 0.01'
		[BZPOPMAX]='z 0.01' [BZMPOP]='0.01 1 z MIN' [XREAD]='COUNT 1 BLOCK 10 STREAMS s $'
		[XREADGROUP]='GROUP g me BLOCK 10 STREAMS s >' [WAIT]='1 10' [WAITAOF]='0 1 10')
	redis_start cache
	cli XGROUP CREATE s g '$' MKSTREAM
	cli COMMAND LIST FILTERBY ACLCAT blocking | tr a-z A-Z >"$BATS_TEST_TMPDIR/names"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/names")" -ge 8 ]
	while read -r name; do
		echo "$name ${args[$name]:?"nothing is known of $name"}"
	done <"$BATS_TEST_TMPDIR/names" >"$BATS_TEST_TMPDIR/in"
	trace_start t --port "$REDIS_PORT"
	cli <"$BATS_TEST_TMPDIR/in" >"$(out_of cli)"
	trace_stop t
	jq -e --rawfile names "$BATS_TEST_TMPDIR/names" '($names | split("\n") | map(select(. != "")) | sort) ==
		([.series[] | select(.status == "blocking" and .role == "server" and .count == 1).route] | sort)' \
		"$BATS_TEST_TMPDIR/t.final"
}

@test "Redis: MONITOR, CLIENT REPLY and replication are not taken for answers" {
	redis_start cache --repl-diskless-sync-delay 0
	trace_start t --port "$REDIS_PORT"
	spawn monitor redis-cli -p "$REDIS_PORT" MONITOR
	wait_until 10 grep -q OK "$(log_of monitor)"
	{
		printf '*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n'
		printf '*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n*1\r\n$4\r\nPING\r\n'
	} |
		timeout 10 socat -t 5 - "TCP:127.0.0.1:$REDIS_PORT" >"$(out_of raw)"
	wait_until 10 cli_set
	stop monitor || true
	spawn replica redis-cli -p "$REDIS_PORT" --replica
	wait_until 10 grep -q 'SYNC done' "$(log_of replica)"
	cli SET b 2
	stop replica || true
	trace_stop t
	check t identity '.accounting | .orphans == 0 and .dropped == 0 and .unanswered == 0' \
		'.accounting.bytes_unparsed == 0' \
		'view("SET") == {"client ok": 2, "server ok": 2}' \
		'[.series[] | select(.route | IN("MONITOR", "PSYNC", "SYNC"))] == []'
}

cli_set() {
	cli SET b 1 >/dev/null && grep -q '"SET" "b"' "$(log_of monitor)"
}

# ---- latency

@test "Redis: a delay of known size is the server's, within 5 %, and no one else's" {
	redis_start cache
	trace_start t --port "$REDIS_PORT"
	for _ in 1 2 3 4 5; do cli DEBUG SLEEP 0.08; done
	redis-benchmark -p "$REDIS_PORT" -P 1 -c 1 -n 500 -q PING >/dev/null
	trace_stop t
	check t clean '[.series[] | select(.route == "DEBUG SLEEP")] | length == 2 and
			all(.count == 5 and .min_ns >= 80e6 and .min_ns <= 84e6)' \
		'def least(role): .series[] | select(.route == "DEBUG SLEEP" and .role == role).min_ns;
			least("client") - least("server") | . >= 0 and . < 4e6' \
		'[.series[] | select(.route == "PING").p50_ns] | all(. < 40e6)'
}

# ---- attaching late, garbage, filters, secrets

@test "Redis: connections older than the probe, and one that the probe met in a subscription" {
	local n=200
	redis_start cache
	for library in ioredis redis; do
		node_spawn $library redis_load "{\"port\": $REDIS_PORT, \"library\": \"$library\", \"n\": $n,
			\"connections\": 3, \"go\": \"$BATS_TEST_TMPDIR/go\"}" warm
	done
	node_spawn sub redis_subscribe "{\"port\": $REDIS_PORT, \"resp\": 2, \"n\": 2}" ready
	trace_start t --port "$REDIS_PORT"
	touch "$BATS_TEST_TMPDIR/go"
	wait_exit ioredis 20
	wait_exit redis 20
	cli PUBLISH news one
	cli PUBLISH news two
	wait_exit sub 10
	# A first command may be any.
	cli ZSCORE none none
	trace_stop t
	check t identity 'view("ZSCORE") == {"client ok": 1, "server ok": 1}' 'view("SET") == {"client ok": (6 * $n), "server ok": (6 * $n)}' \
		'view("GET") == {"client ok": (6 * $n), "server ok": (6 * $n)}' \
		'.accounting | .orphans == 0 and .dropped == 0 and .unanswered == 0 and .in_flight == 0' \
		'[.series[] | select(.route | test("MESSAGE"; "i"))] == []' \
		'.accounting.bytes_unparsed <= 2 * 600'
}

@test "Redis: garbage and inline commands; values and keys are never printed" {
	local secret=s3cr3tVALUE n=20
	redis_start cache --requirepass "$secret"
	trace_spawn t --port "$REDIS_PORT" --sample 1
	spawn_out table "$(out_of table)" "$HOPSCOPE" trace --port "$REDIS_PORT" -i 1
	trace_ready t
	wait_said table tracing
	seq $n | sed "s/.*/SET key:$secret:& $secret/" | cli -a "$secret" --no-auth-warning >/dev/null
	cli --no-auth-warning -a "$secret" CONFIG GET "$secret" >/dev/null
	printf '*1\r\n$4\r\nPING\r\nAUTH %s\r\nSET inline %s\r\nPING\r\n' "$secret" "$secret" |
		timeout 10 socat -t 5 - "TCP:127.0.0.1:$REDIS_PORT" >"$(out_of raw)"
	head -c 3000 /dev/urandom | timeout 10 socat -t 5 - "TCP:127.0.0.1:$REDIS_PORT" >/dev/null || true
	trace_stop t
	stop table INT
	[ "$(grep -c OK "$(out_of raw)")" = 2 ]
	check t identity 'view("SET") == {"client ok": ($n + 1), "server ok": ($n + 1)}' \
		'view("PING") | .["client ok"] == 1 and .["server ok"] == 1' \
		'.accounting.bytes_unparsed >= 3000'
	# Names of commands are in capitals.
	fails grep -riq "$secret" "$(out_of t)" "$(log_of t)" "$(out_of table)" "$(log_of table)"
}
