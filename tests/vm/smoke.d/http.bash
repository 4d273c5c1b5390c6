# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# For tests/vm/smoke: HTTP by curl and nginx, in clear and through TLS.

# web PORT [ssl]: nginx with /ok and /no.
web() {
	local dir=$tmp/nginx tls=${2:-}
	mkdir -p "$dir/html"
	if [ -n "$tls" ]; then
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout "$dir/key" \
			-out "$dir/cert" -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1
		tls="ssl_certificate $dir/cert; ssl_certificate_key $dir/key;"
	fi
	cat >"$dir/conf" <<-CONF
		daemon off;
		master_process off;
		user root;
		error_log $dir/error.log;
		pid $dir/pid;
		events { worker_connections 64; }
		http {
			access_log off;
			client_body_temp_path $dir/body; proxy_temp_path $dir/proxy;
			fastcgi_temp_path $dir/fastcgi; uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
			server {
				listen 127.0.0.1:$1 ${2:-}; $tls
				location = /ok { return 200 "ok"; }
				location = /no { return 404 "no"; }
			}
		}
	CONF
	spawn nginx nginx -c "$dir/conf" -e "$dir/error.log"
	wait_for 60 connects 127.0.0.1 "$1"
}

# requests URL: 60 on one connection and 20 that are refused.
requests() {
	curl -s --http1.1 -k -o /dev/null "$1/ok?[1-60]" -o /dev/null "$1/no?[1-20]"
}

# web_is_counted NAME URL [trace OPTION]...
web_is_counted() {
	local port=${2##*:}
	spawn t $hopscope trace --json --port "$port" "${@:3}"
	wait_said t tracing
	requests "$2"
	stop t
	[ $rc = 0 ] || fail "trace ended with code $rc"
	cp "$tmp/t.out" "$tmp/keep.$1.json"
	holds "$tmp/t.out" \
		'[.series[] | select(.part == null) | {"\(.role) \(.route) \(.status)": .count}] | add == {
			"client GET /ok 2xx": 60, "server GET /ok 2xx": 60,
			"client GET /no 4xx": 20, "server GET /no 4xx": 20}' \
		'.accounting | .seen == .matched + .one_way + .in_flight + .unanswered + .dropped and
			.seen == 160 and .dropped == 0 and .bytes_unparsed == 0'
}

test_http() {
	need trace $hopscope trace -d 1 --json
	web 14380
	web_is_counted http http://127.0.0.1:14380
}

need_tls() {
	jq -e '.checks[] | select(.name == "trace --tls").state == "ok"' /run/doctor.json ||
		skip "$(jq -r '.checks[] | select(.name == "trace --tls").found' /run/doctor.json)"
}

test_https() {
	need trace $hopscope trace -d 1 --json
	need_tls
	web 14381 ssl
	web_is_counted https https://127.0.0.1:14381 --tls on
}

# One processor for all of them: where the kernel is preemptible, programs at uprobes interrupt each other.
test_https_crowd() {
	local i
	need trace $hopscope trace -d 1 --json
	need_tls
	web 14383 ssl
	spawn t $hopscope trace --json --tls on --port 14383
	wait_said t tracing
	for i in 1 2 3 4 5 6; do
		spawn "c$i" curl -s --http1.1 -k -o /dev/null 'https://127.0.0.1:14383/ok?[1-200]'
	done
	for i in 1 2 3 4 5 6; do
		wait_exit "c$i"
		[ $rc = 0 ]
	done
	stop t
	[ $rc = 0 ] || fail "trace ended with code $rc"
	cp "$tmp/t.out" "$tmp/keep.crowd.json"
	holds "$tmp/t.out" \
		'[.series[] | select(.part == null) | {"\(.role) \(.route) \(.status)": .count}] | add ==
			{"client GET /ok 2xx": 1200, "server GET /ok 2xx": 1200}' \
		'.accounting | .seen == 2400 and .matched == 2400 and .orphans == 0' \
		'.accounting | .bytes_unparsed == .reasons.unknown' # a handshake that took as long as a sweep's interval
}

run_test 'trace: HTTP requests counted exactly, at both ends' test_http
run_test 'trace: HTTP through TLS counted exactly, at both ends' test_https
run_test 'trace: HTTP through TLS from six processes at once' test_https_crowd
