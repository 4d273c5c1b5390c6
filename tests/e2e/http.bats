#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# HTTP/1 in `hopscope trace`, with servers and clients that nobody here wrote: nginx, node; curl,
# wrk, autocannon. What it says is compared with what they say themselves, and with tshark.

load helpers
load tools/trace
load tools/http

setup_file() {
	node_ready
}

setup() {
	e2e_setup
	need_bpf
	need_command nginx curl jq node
}

teardown() {
	stop_all
	boxes_remove || true
	e2e_teardown
}

ends() {
	echo "{\"client $1\": $2, \"server $1\": $2}"
}

# ---- counts

@test "HTTP: N requests are N exchanges at both ends, by method, route and status" {
	local n=150
	nginx_start web
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	trace_start t --port "$HTTP_PORT"
	# One connection, and one each.
	curl_lines "$HTTP_URL/users/[1-150]" >"$(out_of curl)"
	curl_lines -H 'Connection: close' "$HTTP_URL/users/1/cart/[1-20]" "$HTTP_URL/teapot" \
		"$HTTP_URL/nope" "$HTTP_URL/broken" "$HTTP_URL/moved" "$HTTP_URL/any/thing" >>"$(out_of curl)"
	curl_lines -I "$HTTP_URL/file" --next -s -w "$lines" -z "$NGINX_DIR/www/file" \
		"$HTTP_URL/file" --next -s -w "$lines" -r 0-9 "$HTTP_URL/file" \
		--next -s -w "$lines" -X DELETE "$HTTP_URL/any/3" \
		--next -s -w "$lines" -X PROPFIND "$HTTP_URL/small" >>"$(out_of curl)"
	trace_stop t
	check t clean "view(\"GET /users/{n}\") == $(ends 2xx '$n')" \
		"view(\"GET /users/{n}/cart/{n}\") == $(ends 2xx 20)" \
		"view(\"GET /teapot\") == $(ends 4xx 1)" "view(\"GET /nope\") == $(ends 4xx 1)" \
		"view(\"GET /broken\") == $(ends 5xx 1)" "view(\"GET /moved\") == $(ends 3xx 1)" \
		"view(\"GET /any/thing\") == $(ends 2xx 1)" "view(\"HEAD /file\") == $(ends 2xx 1)" \
		'view("GET /file") == {"client 2xx": 1, "server 2xx": 1, "client 3xx": 1, "server 3xx": 1}' \
		"view(\"DELETE /any/{n}\") == $(ends 2xx 1)" "view(\"PROPFIND /small\") == $(ends 2xx 1)" \
		'.accounting.seen == 2 * 180 and .accounting.connections == 2 * 27' \
		'.accounting.connections_by.http == .accounting.connections' \
		'[.series[] | select(.proto != "http" or .container != "/")] == []'
	# Heads and bodies, to the byte.
	[ "$(jq -s 'map(.size_request + .size_upload + .size_header + .size_download) | add' \
		"$(out_of curl)")" = "$(jq '[.series[] | select(.role == "client" and .part == null).bytes] |
		add' "$BATS_TEST_TMPDIR/t.final")" ]
}

@test "HTTP: bodies of every kind: lengths, chunks, gzip, 100-continue, trailers, HTTP/1.0, early answers" {
	local big=$BATS_TEST_TMPDIR/big url
	nginx_start web
	node_spawn js http_server '{}'
	url=http://127.0.0.1:$(sed -n 's/^ready //p' "$(log_of js)")
	head -c 3000000 /dev/zero | tr '\0' y >"$big"
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	trace_start t --port "$HTTP_PORT" --port "${url##*:}"
	curl_lines -d @"$big" "$HTTP_URL/body" --next -s -w "$lines" \
		-H 'Transfer-Encoding: chunked' --data-binary @"$big" "$HTTP_URL/body" \
		--next -s -w "$lines" -T "$big" "$HTTP_URL/body" \
		--next -s -w "$lines" --compressed "$HTTP_URL/chunked" "$HTTP_URL/gzip" >"$(out_of curl)"
	curl_lines -0 -d old "$url/echo" >/dev/null
	node_run keepalive "{\"url\": \"$url\", \"requests\": [[\"GET\", \"/trailers\"],
		[\"POST\", \"/echo\", \"abc\"], [\"GET\", \"/hints\"], [\"PUT\", \"/echo\", \"\"],
		[\"POST\", \"/early\", \"$(head -c 3000 "$big")\"], [\"GET\", \"/trailers\"]]}" \
		>"$(out_of js)"
	expect "$(out_of js)" '[.[] | [.[2], .[3]]] ==
		[[200, 7], [200, 3], [200, 7], [200, 0], [413, 9], [200, 7]]'
	trace_stop t
	# The end of the connection is what ends the answer to HTTP/1.0.
	check t clean "view(\"POST /body\") == $(ends 2xx 2)" "view(\"PUT /body\") == $(ends 2xx 1)" \
		"view(\"GET /chunked\") == $(ends 2xx 1)" "view(\"GET /gzip\") == $(ends 2xx 1)" \
		"view(\"GET /trailers\") == $(ends 2xx 2)" "view(\"POST /echo\") == $(ends 2xx 2)" \
		"view(\"GET /hints\") == $(ends 2xx 1)" "view(\"PUT /echo\") == $(ends 2xx 1)" \
		"view(\"POST /early\") == $(ends 4xx 1)" '.accounting.matched == 2 * 12' \
		'[.series[] | select(.route == "POST /body" and .part == null).bytes] | all(. > 6000000)'
}

# wrk stops by the clock: what is under way then was asked, and not counted by it.
@test "HTTP: wrk, and wrk with pipelines: its count, and nginx's" {
	local conns=8 asked
	need_command wrk
	nginx_start web
	{
		wrk_account
		echo 'function init() local r = {} for i = 1, 10 do'
		echo 'r[i] = wrk.format("GET", "/users/" .. i .. "/deep") end all = table.concat(r) end'
		echo 'function request() return all end'
	} >"$BATS_TEST_TMPDIR/deep.lua"
	wrk_account >"$BATS_TEST_TMPDIR/flat.lua"
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	trace_start t --port "$HTTP_PORT"
	wrk_run flat -t1 -c$conns -d1s -s "$BATS_TEST_TMPDIR/flat.lua" "$HTTP_URL/users/7"
	wrk_run deep -t1 -c$conns -d1s -s "$BATS_TEST_TMPDIR/deep.lua" "$HTTP_URL"
	stop web QUIT # writes its log to the end
	trace_stop t
	expect "$(out_of flat)" '.errors == 0 and .n > 100'
	expect "$(out_of deep)" '.errors == 0 and .n > 100'
	check t identity '.accounting | .orphans == 0 and .dropped == 0 and .bytes_unparsed == 0' \
		'.accounting | .unanswered == .reasons.closed and .in_flight == 0' \
		'routes == ["GET /users/{n}", "GET /users/{n}/deep"]'
	# name, requests under way at most
	for asked in "flat /users/{n} $conns" "deep /users/{n}/deep $((conns * 10))"; do
		set -- $asked
		jq -c "$prelude view(\"GET $2\")" "$BATS_TEST_TMPDIR/t.final" >"$BATS_TEST_TMPDIR/view"
		jq -es --argjson most "$3" '.[0] as $v | .[1].n as $n |
			($v["client 2xx"] + $v["client unanswered"]) as $sent | $sent >= $n and
			$sent <= $n + $most and $v["client 2xx"] >= $n and
			$sent == $v["server 2xx"] + $v["server unanswered"]' \
			"$BATS_TEST_TMPDIR/view" "$(out_of "$1")" || { cat "$BATS_TEST_TMPDIR/view" "$(out_of "$1")"; false; }
	done
	# nginx notes what it began to answer: all that was answered, and nothing that was not asked.
	n=$(wc -l <"$NGINX_DIR/access.log")
	check t '([wholes | select(.role == "server" and .status == "2xx").count] | add) <= $n' \
		'([wholes | select(.role == "server").count] | add) >= $n'
}

@test "HTTP: autocannon's amount, to the request" {
	local n=3000
	nginx_start web
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	trace_start t --port "$HTTP_PORT"
	timeout 60 "$nodejs/node_modules/.bin/autocannon" -j -a $n -c 10 "$HTTP_URL/users/1" \
		>"$(out_of flat)" 2>/dev/null 3>&-
	timeout 60 "$nodejs/node_modules/.bin/autocannon" -j -a $n -c 5 -p 6 -m POST -b hello \
		"$HTTP_URL/body" >"$(out_of deep)" 2>/dev/null 3>&-
	trace_stop t
	expect "$(out_of flat)" '.["2xx"] == $n and .non2xx == 0 and .errors == 0'
	expect "$(out_of deep)" '.non2xx == 0 and .errors == 0'
	check t identity '.accounting | .orphans == 0 and .dropped == 0 and .bytes_unparsed == 0' \
		"view(\"GET /users/{n}\") == $(ends 2xx '$n')"
	# With pipelines it leaves before the last answers: what it has given up was asked all the same.
	n=$(jq '.["2xx"]' "$(out_of deep)")
	check t 'view("POST /body") | .["client 2xx"] >= $n and .["server 2xx"] >= .["client 2xx"] and
		.["client 2xx"] + .["client unanswered"] <= $n + 5 * 6'
}

# ---- latency

# Each is inside the next: nginx's first byte in and last byte out, the same at the client's socket,
# and what curl saw.
@test "HTTP: time to first byte and to last byte lie within curl's own, and hold the delay" {
	local n=12 part
	nginx_start web
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	trace_start t --port "$HTTP_PORT"
	curl_lines "$HTTP_URL/sleep?ms=60&x=[1-12]" >"$(out_of sleep)"
	curl_lines "$HTTP_URL/first?ms=60&x=[1-12]" >"$(out_of first)"
	curl_lines "$HTTP_URL/users/[1-12]" >"$(out_of users)"
	stop web QUIT
	trace_stop t
	check t clean "view(\"GET /sleep\") == $(ends 2xx '$n')" "view(\"GET /first\") == $(ends 2xx '$n')"
	# Sums: n * mean. The kernel's are exact to the ns, curl's are rounded to 1 us.
	for part in sleep first users; do
		jq -s --arg route "GET /${part/users/users/\{n\}}" '.[0].series as $series | .[1:] as $curl |
			def kernel(role; part): $series[] | select(.route == $route and .role == role and
				.part == part) | .count * .mean_ns;
			def curl(field): [$curl[] | field * 1e9 + 2000] | add;
			{ttfb: [kernel("server"; "first_byte"), kernel("client"; "first_byte"),
				curl(.time_starttransfer)],
			whole: [kernel("server"; null), kernel("client"; null), curl(.time_total)]}' \
			"$BATS_TEST_TMPDIR/t.final" "$(out_of $part)" >"$BATS_TEST_TMPDIR/$part.sums"
		expect "$BATS_TEST_TMPDIR/$part.sums" '.ttfb | .[0] <= .[1] and .[1] <= .[2]' \
			'.whole | .[0] <= .[1] and .[1] <= .[2]' \
			'[.ttfb, .whole] | transpose | all(.[0] <= .[1])'
	done
	# The delay is where it was put, within 5 %: the quickest of both kinds, as others use the
	# processors too. nginx counts in whole milliseconds.
	check t 'def quickest(r; role; part): .series[] | select(.route == r and .role == role and
			.part == part).min_ns;
		. as $t | ["server", "client"] | all(. as $role | $t |
			def delay(r; part): quickest("GET /" + r; $role; part) -
				quickest("GET /users/{n}"; $role; part) | . >= 57e6 and . <= 63e6;
			delay("sleep"; null) and delay("sleep"; "first_byte") and delay("first"; null) and
			(delay("first"; "first_byte") | not))' \
		'[.series[] | select(.route == "GET /first" and .part == "first_byte").min_ns] | all(. < 30e6)'
	# nginx takes the time from its own wake-up to the end of the answer, each rounded down to 1 ms.
	jq -es '[.[] | select(.uri == "/sleep").took_s] | length == 12 and (add - 12 * 0.001) * 1e9 <= '"$(
		jq '.whole[0]' "$BATS_TEST_TMPDIR/sleep.sums")"' and (add + 12 * 0.001) * 1e9 >= 0.95 * 12 * 60e6' \
		"$NGINX_DIR/access.log"
}

@test "HTTP: a delay of known size with 64 requests in flight" {
	local n=512
	need_command wrk
	nginx_start web
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	trace_start t --port "$HTTP_PORT"
	timeout 60 "$nodejs/node_modules/.bin/autocannon" -j -a $n -c 64 "$HTTP_URL/sleep?ms=100" \
		>"$(out_of cannon)" 2>/dev/null 3>&-
	stop web QUIT
	trace_stop t
	expect "$(out_of cannon)" '.["2xx"] == $n and .errors == 0'
	check t identity 'view("GET /sleep") | .["client 2xx"] == $n and .["server 2xx"] == $n' \
		'[.series[] | select(.route == "GET /sleep" and .status == "2xx")] | length == 4 and
			all(.min_ns >= 99e6 and .min_ns <= 105e6)'
	# On the whole, nginx's own log: its times are rounded down at both ends, and end before ours.
	jq -es --argjson mean "$(jq '.series[] | select(.route == "GET /sleep" and .role == "server" and
		.status == "2xx" and .part == null).mean_ns' "$BATS_TEST_TMPDIR/t.final")" \
		'[.[].took_s] | (add / length - 0.001) * 1e9 <= $mean' "$NGINX_DIR/access.log"
}

# A capture on loopback stamps between the two ends' probes.
@test "HTTP: each exchange's time around tshark's" {
	local n=120 cap=$BATS_TEST_TMPDIR/cap.pcapng
	need_command tshark
	nginx_start web
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	spawn cap tshark -i lo -f "tcp port $HTTP_PORT" -w "$cap"
	wait_said cap 'Capturing on'
	wait_until 10 test -s "$cap"
	trace_start t --port "$HTTP_PORT" --sample 1
	curl_lines "$HTTP_URL/users/[1-60]" "$HTTP_URL/body?[1-40]" "$HTTP_URL/file?[1-20]" >"$(out_of curl)"
	trace_stop t
	wait_until 10 captured
	stop cap INT || true
	exemplars_of t
	tshark -r "$cap" -d "tcp.port==$HTTP_PORT,http" -Y http.response -T fields -e http.time \
		>"$BATS_TEST_TMPDIR/times" 2>/dev/null
	# In order on the one connection; the printed times are rounded to 1 us.
	jq -e --rawfile times "$BATS_TEST_TMPDIR/times" --argjson n $n '
		($times | split("\n") | map(select(length > 0) | tonumber * 1e9)) as $wire |
		def of(role): map(select(.role == role).ns);
		of("server") as $server | of("client") as $client | ($wire | length) == $n and
		($server | length) == $n and ($client | length) == $n and
		([$server, $wire, $client] | transpose |
			all(.[0] <= .[1] + 1500 and .[1] <= .[2] + 1500))' "$BATS_TEST_TMPDIR/t.exemplars"
}

captured() {
	[ "$(tshark -r "$cap" -d "tcp.port==$HTTP_PORT,http" -Y http.response 2>/dev/null | wc -l)" -ge $n ]
}

exemplars_of() {
	node "$tools/exemplars.js" <"$(log_of "$1")" >"$BATS_TEST_TMPDIR/$1.exemplars"
}

# ---- what is not HTTP/1, or not any more

@test "HTTP: WebSocket, CONNECT and HTTP/2 are recognised, and what is in them is not read" {
	local port
	nginx_start web
	node_spawn js http_server '{}'
	port=$(sed -n 's/^ready //p' "$(log_of js)")
	wait_tcp 127.0.0.1 "$HTTP2_PORT"
	trace_spawn t --port "$port"
	trace_spawn two --port "$HTTP2_PORT"
	trace_ready t two
	node_run websocket "{\"url\": \"ws://127.0.0.1:$port/chat\", \"n\": 20, \"size\": 3000}"
	curl_lines -p -x "http://127.0.0.1:$port" "$HTTP_URL/users/5" "$HTTP_URL/small" >/dev/null
	for _ in 1 2 3; do
		curl_lines --http2-prior-knowledge "http://127.0.0.1:$HTTP2_PORT/small"
	done >"$(out_of curl)"
	trace_stop t
	trace_stop two
	[ "$(jq -s 'map(.http_version) | . == ["2", "2", "2"]' "$(out_of curl)")" = true ]
	check t clean "view(\"GET /chat\") == $(ends 1xx 1)" '.accounting.matched == 4' \
		'[wholes | select(.route | startswith("CONNECT ")) | [.role, .status, .count]] | sort ==
			[["client", "2xx", 1], ["server", "2xx", 1]]' \
		'[.series[] | select(.route | test("users|small"))] == []' \
		'.accounting.connections_by.http == 4'
	check two identity '.series == [] and .accounting.seen == 0' \
		'.accounting.connections_by == {nats: 0, http: 0, redis: 0, http2: 6, tls: 0}' \
		'.accounting.bytes_opaque > 500'
}

@test "HTTP: answers that are cut short, and clients that leave" {
	local n=3
	nginx_start web
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	trace_start t --port "$HTTP_PORT"
	curl_lines "$HTTP_URL/small" >/dev/null
	fails curl -sS -o /dev/null "$HTTP_URL/abort" 2>/dev/null
	fails curl -sS -o /dev/null -m 0.2 "$HTTP_URL/sleep?ms=30000" 2>/dev/null
	wait_until 10 in_flight 0
	spawn curl curl -sS -o /dev/null "$HTTP_URL/first?ms=30000"
	wait_until 10 in_flight 2
	kill -KILL "$(pgrep -P "$(pid_of web)")" # the worker
	wait_exit curl 10 || true
	trace_stop t
	check t identity "view(\"GET /small\") == $(ends 2xx 1)" \
		"view(\"GET /abort\") == $(ends unanswered 1)" "view(\"GET /sleep\") == $(ends unanswered 1)" \
		"view(\"GET /first\") == $(ends unanswered 1)" \
		'.accounting | .reasons.closed == 6 and .unanswered == 6 and .bytes_unparsed == 0'
}

# in_flight N: the trace's last line says so.
in_flight() {
	[ "$(tail -n 1 "$(out_of t)" | jq .accounting.in_flight)" = "$1" ]
}

@test "HTTP: garbage on a port that was asked for is counted as unparsed, and disturbs nobody" {
	local n=50 port other
	need_command socat
	nginx_start web
	port=$(free_port)
	spawn sink socat -u "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" OPEN:/dev/null
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	wait_until 10 listens "$port"
	head -c 200000 /dev/urandom >"$BATS_TEST_TMPDIR/noise"
	trace_start t --port "$HTTP_PORT" --port "$port"
	socat -u "$BATS_TEST_TMPDIR/noise" "TCP:127.0.0.1:$port"
	printf 'HELO there\r\nGET\r\n' | timeout 10 socat -t 5 - "TCP:127.0.0.1:$HTTP_PORT" >/dev/null
	curl_lines "$HTTP_URL/users/[1-50]" >/dev/null
	trace_stop t
	check t identity "view(\"GET /users/{n}\") == $(ends 2xx '$n')" \
		'all == {"client 2xx": $n, "server 2xx": $n}' '.accounting.bytes_unparsed >= 2 * 200000'
}

listens() {
	[ -n "$(ss -Hltn "( sport = :$1 )")" ]
}

# ---- routes

@test "HTTP: what names one thing makes no route, and no secret is printed" {
	local secret=s3cr3tTOKENvalue
	nginx_start web
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	trace_spawn t --port "$HTTP_PORT" --sample 1
	spawn_out table "$(out_of table)" "$HOPSCOPE" trace --port "$HTTP_PORT" -i 1
	trace_ready t
	wait_said table tracing
	curl_lines "$HTTP_URL/users/123?token=$secret" "$HTTP_URL/users/9#$secret" \
		"$HTTP_URL/users/3f2504e0-4f89-11d3-9a0c-0305e82c3301" "$HTTP_URL/users/2024-11-21" \
		"$HTTP_URL/users/a%20b%2f$secret" "$HTTP_URL/users/me;v=$secret" \
		-H "Authorization: Bearer $secret" -H "Cookie: id=$secret" -d "password=$secret" >/dev/null
	curl_lines -u "somebody:$secret" "http://127.0.0.1:$HTTP_PORT/small" >/dev/null
	trace_stop t
	stop table INT
	check t identity '.accounting.bytes_unparsed == 0' \
		'routes == ["GET /small", "POST /users/me", "POST /users/{id}", "POST /users/{n}"]' \
		"view(\"POST /users/{n}\") == $(ends 2xx 3)" "view(\"POST /users/{id}\") == $(ends 2xx 2)"
	fails grep -riq "$secret" "$(out_of t)" "$(log_of t)" "$(out_of table)" "$(log_of table)"
	grep -q 'POST /users/{n}' "$(out_of table)"
}

@test "HTTP: a hundred thousand paths are a bounded number of routes, the rest is (other)" {
	local rss
	need_command wrk
	nginx_start web
	{
		wrk_account
		cat <<-'E'
			local i = 0
			local a = "abcdefghijklmnop"
			local function word(n)
				local w = ""
				for _ = 1, 6 do local k = n % 16 + 1; w = w .. a:sub(k, k); n = (n - n % 16) / 16 end
				return w
			end
			function request()
				local r = {}
				for k = 1, 50 do i = i + 1; r[k] = wrk.format("GET", "/any/" .. word(i)) end
				return table.concat(r)
			end
		E
	} >"$BATS_TEST_TMPDIR/paths.lua"
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	trace_start t --port "$HTTP_PORT" --max-routes 40 --max-series 200
	wrk_run paths -t1 -c4 -d2s -s "$BATS_TEST_TMPDIR/paths.lua" "$HTTP_URL"
	curl_lines "$HTTP_URL/small" >/dev/null
	rss=$(awk '/VmRSS/ { print $2 }' "/proc/$(pid_of t)/status")
	trace_stop t
	expect "$(out_of paths)" '.errors == 0 and .n > 10000'
	[ "$rss" -lt 200000 ]
	n=$(jq .n "$(out_of paths)")
	check t identity '(routes | length) <= 41' '.accounting.reasons.route_full > 0' \
		'view("(other)")["client 2xx"] > 0.9 * $n' \
		'.accounting | .orphans == 0 and .dropped == 0 and .bytes_unparsed == 0' \
		'all | .["client 2xx"] >= $n and .["client 2xx"] <= $n + 201'
}

# ---- where, and for whom

@test "HTTP: connections older than the probe, idle and in the middle of an answer" {
	local n=40
	nginx_start web
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	node_spawn idle keepalive "{\"url\": \"$HTTP_URL\", \"go\": \"$BATS_TEST_TMPDIR/go\",
		\"warm\": [\"GET\", \"/users/1\"], \"n\": $n, \"requests\": [[\"GET\", \"/users/2\"]]}" warm
	node_spawn busy keepalive "{\"url\": \"$HTTP_URL\", \"warm\": [\"GET\", \"/users/1\"],
		\"n\": $n, \"first\": [\"GET\", \"/until\"], \"requests\": [[\"GET\", \"/any/x\"]]}" asked
	trace_start t --port "$HTTP_PORT"
	touch "$BATS_TEST_TMPDIR/go" "$NGINX_DIR/go"
	wait_exit idle 20
	wait_exit busy 20
	trace_stop t
	# The answer under way is passed over; the next request is certain again.
	check t identity "view(\"GET /users/{n}\") == $(ends 2xx '$n')" \
		"view(\"GET /any/x\") == $(ends 2xx '$n')" \
		'.accounting | .in_flight == 0 and .unanswered == 0 and .dropped == 0 and .orphans == 0' \
		'.accounting.bytes_unparsed <= 2 * 10'
}

@test "HTTP: IPv6, and another network namespace" {
	local n=30
	need_command unshare nsenter ip
	nginx_start web
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	spawn ns unshare -n sleep 600
	wait_until 10 ns_is_apart
	in_ns ip link set lo up
	trace_start t --port "$HTTP_PORT"
	curl_lines "http://[::1]:$HTTP_PORT/users/[1-30]" >/dev/null
	spawn other nsenter -t "$(pid_of ns)" -n nginx -e stderr -p "$NGINX_DIR" -c "$NGINX_DIR/conf" \
		-g "user $(id -un);"
	wait_until 10 in_ns_connects "$HTTP_PORT"
	in_ns curl -sS "$HTTP_URL/any/[1-30]" >/dev/null
	trace_stop t
	check t clean "view(\"GET /users/{n}\") == $(ends 2xx '$n')" \
		"view(\"GET /any/{n}\") == $(ends 2xx '$n')"
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

@test "HTTP: --container, --route, --proto, --comm, --pid: whose and which" {
	local n=25 name t
	nginx_start web boxed gateway
	redis_start cache
	wait_tcp 127.0.0.1 "$HTTP_PORT"
	name=hopscope-$$
	trace_spawn all --port "$HTTP_PORT" --port "$REDIS_PORT" --proto http
	trace_spawn box --container "$name/gateway" --port "$HTTP_PORT"
	trace_spawn route --port "$HTTP_PORT" --route 'GET /users/*'
	trace_spawn comm --port "$HTTP_PORT" --comm curl
	trace_spawn pid --pid "$(pgrep -P "$(pid_of web)")" --port "$HTTP_PORT"
	trace_spawn none --port "$HTTP_PORT" --proto redis
	trace_ready all box route comm pid none
	boxed client curl -sS -o /dev/null "$HTTP_URL/users/[1-25]" "$HTTP_URL/small"
	redis-cli -p "$REDIS_PORT" PING
	for t in all box route comm pid none; do trace_stop $t; done
	check all identity '[.series[] | [.role, .container]] | unique ==
			[["client", "/'"$name"'/client"], ["server", "/'"$name"'/gateway"]]' \
		'all == {"client 2xx": ($n + 1), "server 2xx": ($n + 1)}' \
		'[.series[].proto] | unique == ["http"]' '.accounting.connections_by.redis == 0'
	check box identity 'all == {"server 2xx": ($n + 1)}'
	check route sums "all == $(ends 2xx '$n')" '.accounting.matched == 2 * $n + 2'
	check comm identity 'all == {"client 2xx": ($n + 1)}'
	# Whose an accepted connection is, tells its first answer.
	check pid identity '.accounting.reasons.owner as $early | $early <= 1 and
		all == {"server 2xx": ($n + 1 - $early)}'
	check none identity '.series == [] and .accounting.seen == 0'
}
