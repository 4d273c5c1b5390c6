#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The load worker of the role "http" (src/load/worker.h), driven as bench drives it, against nginx,
# whose access log is the other witness, and against a server that goes wrong on demand.

load helpers

setup() {
	e2e_setup
	need_command nginx jq node
	# The worker must not look at this.
	export http_proxy=http://127.0.0.1:1
}

teardown() {
	e2e_teardown
}

# web [MORE]: nginx, one process, on $web_port; its log of "STATUS TRACEPARENT" is $web_log.
web() {
	local dir=$BATS_TEST_TMPDIR/nginx
	mkdir -p "$dir"
	web_port=$(free_port)
	web_log=$dir/access.log
	head -c 5000000 /dev/zero >"$dir/big"
	cat >"$dir/nginx.conf" <<-EOF
		daemon off; master_process off; pid $dir/pid; error_log $dir/error.log;
		events { worker_connections 512; }
		http {
			log_format status '\$status \$http_traceparent';
			access_log $web_log status;
			client_body_buffer_size 256k; large_client_header_buffers 4 64k;
			client_body_temp_path $dir/t1; proxy_temp_path $dir/t2; fastcgi_temp_path $dir/t3;
			uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
			keepalive_requests 100000; reset_timedout_connection on;
			split_clients "\$connection.\$connection_requests.\$msec" \$fate {
				20% 503; 10% 404; 10% 302; * 200;
			}
			server {
				listen 127.0.0.1:$web_port; root $dir; ${1:-}
				location = /ok { return 200 "ok"; }
				location = /busy { return 503; }
				location = /mix {
					if (\$fate = 503) { return 503; }
					if (\$fate = 404) { return 404; }
					if (\$fate = 302) { return 302 /ok; }
					return 200 "ok";
				}
				location = /some { keepalive_requests 7; return 200 "ok"; }
				# Gives the body back: as a header of a call to itself.
				location = /body {
					proxy_set_header X-Body \$request_body;
					proxy_pass http://127.0.0.1:$web_port/header;
				}
				location = /header { access_log off; return 200 \$http_x_body; }
			}
		}
	EOF
	spawn nginx nginx -c "$dir/nginx.conf"
	wait_tcp 127.0.0.1 "$web_port"
	: >"$web_log"
}

# faults: the server that goes wrong, on $faults_port.
faults() {
	local out=$BATS_TEST_TMPDIR/faults
	rm -f "$out"
	spawn_out faults "$out" node "$BATS_TEST_DIRNAME/tools/http_faults.js"
	wait_until 10 test -s "$out"
	faults_port=$(head -n 1 "$out")
}

# faults_saw PATH N: that many requests, and no more.
faults_saw() {
	stop faults || true
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/faults" | jq ".[\"$1\"]")" = "$2" ]
}

# worker URL CONFIG COMMAND...: in the background; its output is $events.
worker() {
	local url=$1 config=$2
	shift 2
	events=$BATS_TEST_TMPDIR/events
	jq -nc --arg url "$url" --argjson more "$config" '{role: "http", $url} + $more' \
		>"$BATS_TEST_TMPDIR/commands"
	printf '%s\n' "$@" >>"$BATS_TEST_TMPDIR/commands"
	spawn_out load "$events" bash -c 'exec "$0" __worker http <"$1"' "$HOPSCOPE" \
		"$BATS_TEST_TMPDIR/commands"
}

# drive ...: the same, to its end.
drive() {
	worker "$@"
	wait_exit load 60
}

open() {
	echo "{\"cmd\":\"run\",\"mode\":\"open\",\"rate\":$1,\"calls\":$2${3:+,$3}}"
}

closed() {
	echo "{\"cmd\":\"run\",\"mode\":\"closed\",\"calls\":$1,\"concurrency\":$2${3:+,$3}}"
}

# expect EXPRESSION...: of the "done" events (the first is `.`, all are $all), each is to be true.
expect() {
	local e
	for e in "$@"; do
		jq -es 'map(select(.event == "done")) as $all | def none: map_values(select(. > 0)) == {};
			$all[0] | '"$e" "$events" >/dev/null && continue
		echo "not true: $e" >&2
		jq -c 'del(.client, .intended, .calls, .timeline)' "$events" >&2
		return 1
	done
}

# In every answer.
closes='[$all[] | .attempted == .succeeded + .failed and
	.attempted == ([.codes[]] | add // 0) + ([.errors[]] | add) - .errors.bad_body and
	([.codes[]] | add // 0) == ([.status[]] | add) and
	([.client.buckets[][1]] | add // 0) == .succeeded and
	(.first_failures | length) == ([.failed, 20] | min)] | all'

log_lines() {
	[ "$(wc -l <"$web_log")" -ge "$1" ]
}

@test "counts are those of the access log, code by code" {
	local log
	web
	drive "http://127.0.0.1:$web_port/mix" '{"connections":8}' "$(closed 3000 8)" \
		"$(open 2000 1000)"
	log=$(awk '{ n[$1]++ } END { for (s in n) print s, n[s] }' "$web_log" |
		jq -Rs 'split("\n") | map(select(. != "") | split(" ") | {(.[0]): (.[1] | tonumber)}) | add')
	expect '[$all[].attempted] == [3000, 1000]' "$closes" \
		"[\$all[].codes | to_entries[]] | group_by(.key) | map({(.[0].key): map(.value) | add}) |
			add == $log" \
		'.codes | keys == ["200", "302", "404", "503"]' \
		'.succeeded == .codes["200"] and .status["5xx"] == .codes["503"]' \
		'.peak_in_flight == 8 and .connections_opened == 8 and $all[1].connections_opened == 0' \
		'.intended == null and .late_ns_max == null and .aborted == false' '.errors | none'
}

@test "open loop at 500/s: every call at its time, and told when it was not" {
	web
	drive "http://127.0.0.1:$web_port/ok" '{"connections":32}' \
		"$(open 500 1000 '"record":true,"bucket_ms":100,"traceparent":true')"
	[ "$(wc -l <"$web_log")" = 1000 ]
	[ "$(grep -cE '^200 00-[0-9a-f]{32}-[0-9a-f]{16}-01$' "$web_log")" = 1000 ]
	[ "$(sort -u "$web_log" | wc -l)" = 1000 ]
	# What it says about its schedule follows from its own times.
	expect '.succeeded == 1000 and .unsent == 0 and .aborted == false' "$closes" \
		'.start_ns as $t | [.calls[][0] - $t] == [range(1000) * 2000000]' \
		'[.calls[] | .[1] >= .[0] and .[2] > .[1]] | all' \
		'.behind_schedule == ([.calls[] | select(.[1] - .[0] > 1000000)] | length)' \
		'.late_ns_max == ([.calls[] | .[1] - .[0]] | max)' \
		'.client.sum == ([.calls[] | .[2] - .[1]] | add)' \
		'.intended.sum == ([.calls[] | .[2] - .[0]] | add)' \
		'.intended.max_ns == ([.calls[] | .[2] - .[0]] | max)' \
		'.duration_s >= 1.998 and .cpu_s > 0' '[.timeline[].due] == [range(20) | 50]'
	# This machine may be busy, but not so busy.
	expect '.behind_schedule < 500'
}

@test "the timeline adds up to the totals, its quantiles are those of its calls" {
	web
	drive "http://127.0.0.1:$web_port/mix" '{"connections":8}' \
		"$(open 1000 700 '"record":true,"bucket_ms":50')" \
		"$(closed 700 4 '"record":true,"bucket_ms":20')"
	expect "$closes" '[$all[] | (.timeline | map(.due) | add) == .attempted and
			(.timeline | map(.succeeded) | add) == .succeeded and
			(.timeline | map(.failed) | add) == .failed] | all' \
		'[$all[] | . as $d | .codes | to_entries[] |
			.value == ([$d.timeline[].codes[.key] // 0] | add)] | all' \
		'def q($q): if length == 0 then null else sort[((length * $q | ceil) - 1)] end;
		[$all[] | . as $d | (if .mode == "open" then 50000000 else 20000000 end) as $w |
			.timeline[] | . as $b |
			[$d.calls[] | select(.[0] >= $b.t_ns and .[0] < $b.t_ns + $w)] |
			length == $b.due and
			([.[] | select(.[3] == 200) | .[2] - .[0]] |
				q(.5) == $b.p50_ns and q(.99) == $b.p99_ns and max == $b.max_ns)] | all'
}

@test "a server that stops for 300 ms: the intended latency shows it, the calls are all made" {
	local n=1000
	web
	worker "http://127.0.0.1:$web_port/ok" '{"connections":4}' \
		"$(open 500 $n '"record":true,"timeout_ms":20000')"
	wait_until 10 log_lines 100
	kill -STOP "$(pid_of nginx)"
	sleep 0.3 # this is the fault
	kill -CONT "$(pid_of nginx)"
	wait_exit load 60
	[ "$(wc -l <"$web_log")" = $n ]
	# 150 calls were due in the pause: half of them waited for half of it or longer, but only
	# the 4 that had a connection saw it from their own start.
	expect ".succeeded == $n and .unsent == 0" "$closes" \
		'[.calls[] | select(.[2] - .[0] >= 150000000)] | length >= 70' \
		'[.calls[] | select(.[2] - .[1] >= 150000000)] | length <= 4' \
		'def over($h): [$h.buckets[] | select(.[0] > 739)[1]] | add // 0; # 150 ms
			over(.intended) >= 70 and over(.client) <= 4' \
		'.intended.max_ns >= 280000000 and .late_ns_max >= 270000000' \
		'.waited >= 100 and .behind_schedule >= 100 and .peak_in_flight == 4' \
		'[.calls[] | .[2] - .[0]] | sort[(length * .99 | ceil) - 1] >= 270000000' \
		'.connections_opened <= 4'
}

@test "nothing listens: refused, one by one and at their times" {
	local port
	port=$(free_port)
	drive "http://127.0.0.1:$port/" '{"connections":4}' "$(open 200 60 '"record":true')" \
		"$(closed 30 3)"
	expect "$closes" '[$all[] | .errors.refused == .attempted and .codes == {}] | all' \
		'[$all[].attempted] == [60, 30] and .connections_opened == 60' \
		'[$all[].first_failures[].what] | unique == ["refused"]' \
		'.first_failures | [.[].t_ns] == ([.[].t_ns] | sort)' \
		'.client == {sum: 0, min_ns: null, max_ns: null, buckets: []}' \
		'[.calls[][3]] | unique == [0]' '.end_ns - .start_ns >= 295000000'
}

@test "no answer in time: timeout, and the connection is closed" {
	faults
	drive "http://127.0.0.1:$faults_port/hang" '{"connections":3}' \
		"$(closed 9 3 '"timeout_ms":50,"record":true')"
	expect "$closes" '.errors.timeout == 9 and .connections_opened == 9' \
		'[.calls[] | .[2] - .[1] >= 50000000] | all' '.end_ns - .start_ns >= 150000000'
	faults_saw /hang 9
}

@test "a reset is a reset, an end is an end, and no request is sent twice" {
	local what n
	for what in reset:reset close:closed; do
		faults
		drive "http://127.0.0.1:$faults_port/${what%:*}" '{"connections":1}' "$(closed 20 1)"
		expect "$closes" ".errors.${what#*:} == 20 and .failed == 20"
		faults_saw "/${what%:*}" 20
		# Every second request, on a connection that had served one.
		faults
		drive "http://127.0.0.1:$faults_port/${what%:*}2" '{"connections":1}' "$(closed 20 1)"
		expect "$closes" ".errors.${what#*:} == 10 and .succeeded == 10" '.connections_opened == 10'
		faults_saw "/${what%:*}2" 20
	done
	faults
	drive "http://127.0.0.1:$faults_port/cut" '{"connections":1}' "$(closed 5 1)"
	expect "$closes" '.errors.closed == 5 and .codes == {}'
}

@test "a server that closes kept connections in order costs connections, not calls" {
	web
	drive "http://127.0.0.1:$web_port/some" '{"connections":2}' "$(closed 70 1)"
	expect "$closes" '.succeeded == 70 and .connections_opened == 10'
}

@test "503s are answers that failed, not errors" {
	web
	drive "http://127.0.0.1:$web_port/busy" '{"connections":4}' "$(open 500 50 '"bucket_ms":1000')"
	expect "$closes" '.failed == 50 and .status["5xx"] == 50 and .codes == {"503": 50}' \
		'.errors | none' '[.first_failures[].what] | unique == ["503"]' \
		'.timeline[0] | .p50_ns == null and .errors == {} and .codes == {"503": 50}'
	[ "$(sort "$web_log" | uniq -c | awk '{ print $1, $2 }')" = '50 503' ]
}

@test "SIGTERM ends a run under way, which says so" {
	web
	worker "http://127.0.0.1:$web_port/ok" '{"connections":4}' "$(open 200 100000 '"bucket_ms":100')"
	wait_until 10 log_lines 50
	kill -TERM "$(pid_of load)"
	wait_exit load 10
	expect '.aborted and .attempted < 100000 and .attempted >= 50' "$closes" \
		'(.timeline | map(.due) | add) == .attempted'
	# A call that was in flight may or may not have reached the server.
	expect ".succeeded <= $(wc -l <"$web_log") and .attempted >= $(wc -l <"$web_log")"
	jq -es 'last | .event == "stats" and .final' "$events"
}

@test "SIGTERM while no server answers: nothing is waited for" {
	faults
	worker "http://127.0.0.1:$faults_port/hang" '{"connections":3}' \
		"$(open 100 10000 '"timeout_ms":600000')"
	wait_until 10 e2e_connected "$faults_port" 3
	kill -TERM "$(pid_of load)"
	wait_exit load 10
	expect "$closes" '.aborted and .attempted == 3 and .errors.other == 3 and .peak_in_flight == 3'
}

e2e_connected() {
	[ "$(ss -Htn "( dport = :$1 )" | grep -c ESTAB)" = "$2" ]
}

@test "limit_s ends a run, and what was due is not forgotten" {
	faults
	drive "http://127.0.0.1:$faults_port/hang" '{"connections":2}' \
		"$(open 100 10000 '"timeout_ms":400,"limit_s":0.3')"
	# 30 were due, 2 had a connection.
	expect "$closes" '.aborted and .attempted == 2 and .errors.timeout == 2' \
		'.unsent >= 25'
}

@test "masker: the identifiers come back, or the call is a bad_body" {
	local path
	web
	drive "http://127.0.0.1:$web_port/body" '{"connections":4}' \
		"$(open 500 300 '"content":"masker","payload":2000,"seed":7')"
	expect "$closes" '.succeeded == 300 and .codes == {"200": 300}'
	for path in slash mask lose echo; do
		faults
		drive "http://127.0.0.1:$faults_port/$path" '{"connections":2}' \
			"$(closed 20 2 '"content":"masker","record":true')" \
			"$(closed 20 2 '"content":"none","method":"POST","payload":30')"
		case $path in
		mask | lose) expect "$closes" '.errors.bad_body == 20 and .codes == {"200": 20}' \
			'.succeeded == 0 and [.calls[][3]] == [range(20) | 0]' \
			'.first_failures[0].what == "bad_body"' ;;
		*) expect "$closes" '.succeeded == 20 and $all[1].succeeded == 20' ;;
		esac
		stop faults || true
	done
}

@test "an answer without end is given up" {
	web
	drive "http://127.0.0.1:$web_port/big" '{"connections":1}' "$(closed 2 1)"
	expect "$closes" '.errors.other == 2'
}

@test "TLS: with its authority, and without" {
	local dir=$BATS_TEST_TMPDIR
	need_command openssl
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj /CN=test -addext subjectAltName=IP:127.0.0.1 -keyout "$dir/key.pem" \
		-out "$dir/cert.pem" 2>/dev/null
	tls_port=$(free_port)
	web "listen 127.0.0.1:$tls_port ssl; ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;"
	drive "https://127.0.0.1:$tls_port/ok" "{\"connections\":2,\"ca\":\"$dir/cert.pem\"}" \
		"$(closed 50 2)"
	expect "$closes" '.succeeded == 50 and .connections_opened == 2'
	drive "https://127.0.0.1:$tls_port/ok" '{"connections":2}' "$(closed 6 2)"
	expect "$closes" '.errors.tls == 6'
	# Nobody speaks TLS there.
	drive "https://127.0.0.1:$web_port/ok" "{\"connections\":2,\"ca\":\"$dir/cert.pem\"}" \
		"$(closed 6 2)"
	expect "$closes" '.errors.tls == 6'
}

@test "what it cannot do is said, and the worker goes on" {
	web
	worker "http://localhost:$web_port/" '{}' "$(closed 1 1)"
	wait_exit load 10 && return 1
	jq -es '.[0] | .event == "error" and (.why | test("localhost"))' "$events"
	drive "http://127.0.0.1:$web_port/ok" '{"connections":2}' "$(closed 1 3)" "$(open 0 1)" \
		"$(closed 1 1 '"content":"other"')" "$(closed 1 1 '"content":"masker","method":"GET"')" \
		'{"cmd":"warmup"}' "$(closed 5 2)"
	jq -es 'map(.event) == ["ready", "error", "error", "error", "error", "error", "done", "stats"]' \
		"$events"
	expect '.succeeded == 5'
	jq -es 'last | .attempted == 5 and .connections_opened >= 1 and .pid > 0' "$events"
}
