#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# `hopscope trace --tls` on this kernel: nginx, curl, wget, node, nats.c and a program of our own that
# speaks TLS in the ways that matter. What it says is compared with what they say themselves.

load helpers
load tools/trace

setup() {
	e2e_setup
	need_bpf
	need_command openssl jq curl
	targets=${HOPSCOPE%/*}/tests/targets
	[ -x "$targets/tls_peer" ] || make -C "$E2E_ROOT" BUILD="${HOPSCOPE%/*}" test-binaries >&2
	certificate
}

teardown() {
	exec 5>&- || true
	stop_all
	e2e_teardown
}

certificate() {
	cert=$BATS_TEST_TMPDIR/cert.pem key=$BATS_TEST_TMPDIR/key.pem
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$key" -out "$cert" -days 2 \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
}

# nginx with TLS on a free port: $port. /ok, /bad (404), /boom (503), /big.txt.
nginx_start() {
	local dir=$BATS_TEST_TMPDIR/nginx
	need_command nginx
	port=$(free_port)
	mkdir -p "$dir/html"
	head -c 300000 /dev/urandom | base64 >"$dir/html/big.txt"
	cat >"$dir/conf" <<-CONF
		daemon off;
		master_process off;
		error_log $dir/error.log;
		pid $dir/pid;
		events { worker_connections 64; }
		http {
			access_log off;
			client_body_temp_path $dir/body; proxy_temp_path $dir/proxy;
			fastcgi_temp_path $dir/fastcgi; uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
			server {
				listen 127.0.0.1:$port ssl;
				ssl_certificate $cert; ssl_certificate_key $key;
				root $dir/html;
				location = /ok { return 200 "ok"; }
				location = /bad { return 404 "no"; }
				location = /boom { return 503 "boom"; }
			}
		}
	CONF
	spawn nginx nginx -c "$dir/conf"
	wait_tcp 127.0.0.1 "$port"
}

# url PATH N: as many times
url() {
	local i
	for ((i = 0; i < $2; i++)); do
		echo "url = https://127.0.0.1:$port$1"
		echo 'output = /dev/null'
	done
}

# peer WAY N: on a port of its own, which is traced. What it says: $(out_of peer).
peer() {
	n=$2
	port=$(free_port)
	trace_start t --tls on --port "$port"
	timeout 60 "$targets/${3:-tls_peer}" "$cert" "$key" "$1" "$n" "$port" >"$(out_of peer)" 3>&-
	trace_stop t
}

whole='[.series[] | select(.part == null)]'
# Parts of exchanges are series, too.
wholes="def wholes(r): reduce ($whole[] | select(.route == r)) as \$s ({};
		.[\$s.role + \" \" + \$s.status] += \$s.count);
	def sides: reduce $whole[] as \$s ({}; .[\$s.role + \" \" + \$s.status] += \$s.count);
	def roles: reduce $whole[] as \$s ({}; .[\$s.role] += \$s.count);"

# peer_check FILTER...: $peer is what the peer said.
peer_check() {
	local filter
	for filter in "$@"; do
		jq -e --argjson peer "$(tail -n 1 "$(out_of peer)")" --argjson n "$n" \
			"$prelude $wholes $filter" "$BATS_TEST_TMPDIR/t.final" >/dev/null || {
			echo "not so: $filter" >&2
			jq -c "[$whole[] | [.role, .route, .status, .count, .bytes]], .accounting, .tls, .opaque" \
				"$BATS_TEST_TMPDIR/t.final" >&2
			cat "$(out_of peer)" >&2
			return 1
		}
	done
}

client_and_server='{"client 2xx": ($n * 3 / 4), "client 4xx": ($n / 4),
	"server 2xx": ($n * 3 / 4), "server 4xx": ($n / 4)}'

@test "HTTPS: curl and nginx, both sides, by route and status, bodies of many records" {
	local n=60
	nginx_start
	trace_start t --tls on --port "$port"
	{ url /ok 60; url /bad 40; url /boom 20; url /big.txt 3; } |
		curl -s --http1.1 --cacert "$cert" -K -
	trace_stop t
	peer_none
	peer_check 'wholes("GET /ok") == {"client 2xx": 60, "server 2xx": 60}' \
		'wholes("GET /bad") == {"client 4xx": 40, "server 4xx": 40}' \
		'wholes("GET /boom") == {"client 5xx": 20, "server 5xx": 20}' \
		'wholes("GET /big.txt") == {"client 2xx": 3, "server 2xx": 3}' \
		'.accounting | .holds and .bytes_unparsed == 0 and .unanswered == 0 and .dropped == 0' \
		'.accounting.connections_by.tls == 2 and .opaque == []' \
		'.tls.connections >= 2 and .tls.calls_lost == 0 and .tls.connections_lost == 0' \
		"[$whole[] | select(.route == \"GET /big.txt\").bytes] | all(. > 3 * 400000)"
}

peer_none() {
	echo '{"done": 0}' >"$(out_of peer)"
}

@test "every way to read and write: SSL_read, _ex, after a peek, two threads" {
	local way
	for way in plain ex peek threads; do
		peer $way 40
		peer_check '.accounting | .holds and .seen == 2 * $n and .matched == 2 * $n' \
			'.accounting.bytes_unparsed == 0 and .opaque == []' \
			"sides == $client_and_server" \
			'$peer.done == $n'
	done
}

@test "a client's time contains the server's, and is within what the client saw" {
	peer plain 40
	peer_check "$whole | (map(select(.role == \"client\").max_ns) | max) as \$c |
			(map(select(.role == \"server\").max_ns) | max) as \$s |
			\$c >= \$s and \$c <= \$peer.max_ns" \
		"$whole | (map(select(.role == \"client\").min_ns) | min) as \$c |
			(map(select(.role == \"server\").min_ns) | min) as \$s | \$c >= \$s"
}

@test "what was not taken and is written again is counted once" {
	local way
	for way in retry partial; do
		peer $way 6
		peer_check '$peer.wanted_write > 20 and $peer.done == $n' \
			'.accounting | .holds and .seen == 2 * $n and .matched == 2 * $n and .bytes_unparsed == 0' \
			"$whole | length == 2 and all(.count == \$n)" \
			"$whole | .[0].bytes == .[1].bytes and .[0].bytes > \$n * 1048576 and
				.[0].bytes < \$n * (1048576 + 200)"
	done
}

@test "connections that come and go at one address; an end without an answer" {
	peer reuse 20
	peer_check '$peer.done == $n / 2' \
		'.accounting | .holds and .seen == 2 * $n and .matched == $n and .unanswered == $n' \
		'.accounting.reasons.closed == $n and .accounting.in_flight == 0' \
		"$whole | map(select(.role == \"client\" and .status == \"2xx\").max_ns) | max <= \$peer.max_ns" \
		'sides == {"client 2xx": ($n / 2), "client unanswered": ($n / 2),
			"server 2xx": ($n / 2), "server unanswered": ($n / 2)}'
}

# held KIND [FILE]: a peer that waits after its first request. Its stdin is descriptor 5.
held() {
	n=20
	port=$(free_port)
	mkfifo "$BATS_TEST_TMPDIR/go"
	"${2:-$targets/$1}" "$cert" "$key" hold $n "$port" >"$(out_of peer)" 2>"$(log_of peer)" \
		<"$BATS_TEST_TMPDIR/go" 3>&- &
	SPAWNED=$!
	e2e_pids+=("$SPAWNED")
	e2e_names+=(peer)
	exec 5>"$BATS_TEST_TMPDIR/go"
	wait_until 20 grep -q ready "$(out_of peer)"
}

release() {
	echo go >&5
	wait_until 20 grep -q done "$(out_of peer)"
}

@test "a connection older than the probes, of one process" {
	held tls_peer
	trace_start t --tls on --pid "$SPAWNED"
	release
	trace_stop t
	# The server sat in its read when the probes came: the return of that call is not seen.
	peer_check 'roles | .client == $n and (.server == $n or .server == $n - 1)' \
		'.accounting.holds and .opaque == []'
}

@test "OpenSSL in the program's own file, which starts later than we" {
	port=$(free_port)
	spawn_out t "$(out_of t)" "$HOPSCOPE" trace --json -v --tls on --comm tls_peer-static
	trace_ready t
	held tls_peer-static
	wait_until 20 grep -q 'probing SSL_free in .*tls_peer-static' "$(log_of t)"
	release
	trace_stop t
	# Its first request may come before the probes or after them.
	peer_check 'roles | (.client == $n or .client == $n + 1) and
			.server >= $n - 1 and .server <= .client' \
		'.accounting.holds'
}

# sleeps_as FILE: it becomes a program without TLS, its inode stays; for 2 s.
sleeps_as() {
	cat "$(command -v sleep)" >"$1"
	chmod +x "$1"
	"$1" 2 3>&-
}

@test "a file that is another one under the same inode is looked into anew" {
	local file=$BATS_TEST_TMPDIR/changing
	spawn_out t "$(out_of t)" "$HOPSCOPE" trace --json -v --tls on --comm changing
	trace_ready t
	sleeps_as "$file"
	cat "$targets/tls_peer-static" >"$file"
	held tls_peer-static "$file"
	wait_until 20 grep -q 'probing SSL_free in .*changing' "$(log_of t)"
	release
	wait_until 10 e2e_ended "$SPAWNED"
	sleeps_as "$file"
	[ "$(grep -c 'changing has changed' "$(log_of t)")" = 2 ]
	trace_stop t
	peer_none
	peer_check 'roles | .client >= $n and .server >= $n - 1' '.accounting.holds'
}

@test "node: carries the bytes itself, its socket is found all the same" {
	local n=30
	need_command node
	nm -D "$(readlink -f "$(command -v node)")" 2>/dev/null | grep -q ' SSL_read$' ||
		ldd "$(command -v node)" | grep -q libssl || skip 'this node has no usable OpenSSL'
	nginx_start
	mkfifo "$BATS_TEST_TMPDIR/go"
	node "$nodejs/https.js" "{\"port\": $port, \"paths\": [\"/ok\", \"/bad\", \"/ok\"], \"n\": $n}" \
		>"$(out_of peer)" 2>"$(log_of peer)" <"$BATS_TEST_TMPDIR/go" 3>&- &
	e2e_pids+=($!)
	e2e_names+=(peer)
	exec 5>"$BATS_TEST_TMPDIR/go"
	wait_until 20 grep -q waiting "$(log_of peer)"
	trace_start t --tls on --port "$port"
	release
	trace_stop t
	peer_check '$peer.done == 30 and .tls.sockets_guessed >= 1 and .opaque == []' \
		'wholes("GET /ok") == {"client 2xx": 20, "server 2xx": 20}' \
		'wholes("GET /bad") == {"client 4xx": 10, "server 4xx": 10}' \
		'.accounting | .holds and .bytes_unparsed == 0'
}

@test "GnuTLS: wget" {
	local n=1
	need_command wget
	ldd "$(command -v wget)" | grep -q libgnutls || skip 'this wget has no GnuTLS'
	nginx_start
	# So that the library is known: it is looked for in processes that have it.
	wget -q --ca-certificate="$cert" -O /dev/null "https://127.0.0.1:$port/ok"
	spawn_out t "$(out_of t)" "$HOPSCOPE" trace --json -v --tls on --port "$port"
	trace_ready t
	wget -q --ca-certificate="$cert" -O /dev/null --limit-rate=200k \
		"https://127.0.0.1:$port/big.txt"
	wait_until 20 grep -q 'probing gnutls_record_recv' "$(log_of t)"
	peer_none
	wget -q --ca-certificate="$cert" -O /dev/null "https://127.0.0.1:$port/ok" \
		"https://127.0.0.1:$port/ok"
	trace_stop t
	peer_check 'wholes("GET /ok") == {"client 2xx": 2, "server 2xx": 2}'
}

@test "Redis over TLS: redis-server and redis-cli" {
	local n=40
	need_command redis-server redis-cli
	port=$(free_port)
	redis-cli --help 2>&1 | grep -q -- --tls || skip 'this redis-cli knows no TLS'
	spawn redis redis-server --port 0 --tls-port "$port" --tls-cert-file "$cert" \
		--tls-key-file "$key" --tls-auth-clients no --save '' --dir "$BATS_TEST_TMPDIR"
	wait_tcp 127.0.0.1 "$port"
	trace_start t --tls on --port "$port"
	redis-cli --tls --cacert "$cert" -p "$port" -r $n INCR it >/dev/null
	redis-cli --tls --cacert "$cert" -p "$port" -r $n LPUSH it 1 >/dev/null 2>&1 || true
	trace_stop t
	peer_none
	peer_check 'wholes("INCR") == {"client ok": $n, "server ok": $n}' \
		'wholes("LPUSH") == {"client error": $n, "server error": $n}' \
		'.accounting | .holds and .bytes_unparsed == 0 and .unanswered == 0'
}

@test "NATS over TLS: a client with OpenSSL is read, the broker is reported as not readable" {
	local n=100
	need_command nats-server
	port=$(free_port)
	cat >"$BATS_TEST_TMPDIR/nats.conf" <<-CONF
		listen: 127.0.0.1:$port
		tls { cert_file: "$cert", key_file: "$key" }
	CONF
	spawn nats nats-server -c "$BATS_TEST_TMPDIR/nats.conf"
	wait_tcp 127.0.0.1 "$port"
	trace_start t --tls on --port "$port"
	timeout 60 "$targets/tls_nats" "tls://127.0.0.1:$port" t10.echo $n >"$(out_of peer)" 3>&-
	trace_stop t
	peer_check '$peer.ok == $n and wholes("t10.echo") == {"client ok": $n, "service ok": $n}' \
		'.accounting.holds' \
		'.opaque | length == 1 and .[0].comm == "nats-server" and .[0].role == "server"' \
		".opaque[0] | .port == $port and .bytes > 10000 and .srtt_us > 0 and .connections >= 2"
}

@test "without --tls both ends are reported as not readable" {
	local n=5
	nginx_start
	trace_start t --tls off --port "$port"
	url /big.txt 3 | curl -s --http1.1 --cacert "$cert" -K -
	trace_stop t
	peer_none
	peer_check '.series == [] and .tls == null' \
		'[.opaque[] | .role] | sort == ["client", "server"]' \
		'.opaque | all(.proto == "tls" and .connections == 1 and .bytes > 1200000 and .srtt_us > 0)'
}

@test "kill -9 leaves no probe" {
	local n=8 pid
	held tls_peer
	trace_start t --tls on --pid "$SPAWNED"
	pid=$(pid_of t)
	grep -qs '^link_type:.*uprobe_multi' /proc/"$pid"/fdinfo/* # it held some
	kill -KILL "$pid"
	wait_until 10 e2e_ended "$pid"
	release
	[ ! -s /sys/kernel/debug/tracing/uprobe_events ]
	# and the programs are gone: e2e_teardown looks
}
