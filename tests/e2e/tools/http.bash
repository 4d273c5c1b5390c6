# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# For http.bats, redis.bats and tests/captures/record, after `load helpers`: nginx and redis-server
# on free ports.

# nginx_start NAME [PREFIX...]: tools/nginx.conf on $HTTP_PORT, HTTP/2 on $HTTP2_PORT, files in
# $NGINX_DIR/www, its log of requests in $NGINX_DIR/access.log. PREFIX: a command to run it under.
nginx_start() {
	local name=$1
	shift
	NGINX_DIR=$BATS_TEST_TMPDIR/nginx-$name
	HTTP_PORT=$(free_port)
	HTTP2_PORT=$(free_port)
	HTTP_URL=http://127.0.0.1:$HTTP_PORT
	mkdir -p "$NGINX_DIR/www"
	head -c 3000 /dev/zero | tr '\0' x >"$NGINX_DIR/www/file"
	sed "s|@DIR@|$NGINX_DIR|; s|@PORT@|$HTTP_PORT|; s|@H2@|$HTTP2_PORT|" \
		"$BATS_TEST_DIRNAME/../e2e/tools/nginx.conf" >"$NGINX_DIR/conf"
	# The workers of a server that root starts are somebody else.
	chmod 755 "$NGINX_DIR"
	spawn "$name" "$@" nginx -e stderr -p "$NGINX_DIR" -c "$NGINX_DIR/conf" \
		-g "user $(id -un);"
}

# redis_start NAME [OPTIONS...]: $REDIS_PORT.
redis_start() {
	local name=$1
	shift
	REDIS_PORT=$(free_port)
	mkdir -p "$BATS_TEST_TMPDIR/redis-$name"
	spawn "$name" redis-server --port "$REDIS_PORT" --bind 127.0.0.1 --save '' \
		--dir "$BATS_TEST_TMPDIR/redis-$name" --enable-debug-command yes "$@"
	wait_tcp 127.0.0.1 "$REDIS_PORT"
}

# ---- containers: cgroups of the test's own, below hopscope-PID

box() {
	echo "$(e2e_cgroup2)/hopscope-$$/$1"
}

# boxed NAME CMD...: in that cgroup.
boxed() {
	local move='echo $$ >"$0/cgroup.procs" && exec "${@:2}"'
	mkdir -p "$(box "$1")"
	# In the background its pid is to be the command's.
	[ "$BASHPID" = $$ ] || exec bash -c "$move" "$(box "$1")" "$@" 3>&-
	bash -c "$move" "$(box "$1")" "$@" 3>&-
}

boxes_remove() {
	local top
	top=$(dirname "$(box x)")
	[ ! -d "$top" ] || wait_until 10 rmdir_all "$top"
}

rmdir_all() {
	find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
}

# ---- what others counted

# wrk_run NAME [OPTIONS] URL: what it did is in $(out_of NAME): {"n": requests, "p50_us", ..}.
wrk_run() {
	local name=$1
	shift
	timeout 60 wrk "$@" 3>&- >"$BATS_TEST_TMPDIR/$name.wrk"
	tail -n 1 "$BATS_TEST_TMPDIR/$name.wrk" >"$(out_of "$name")"
}

# Lua for wrk: its own account, as the last line.
wrk_account() {
	cat <<-'E'
		function done(s, latency)
			local e = s.errors
			print(string.format('{"n": %d, "errors": %d, "p50_us": %d, "p99_us": %d}', s.requests,
				e.connect + e.read + e.write + e.status + e.timeout,
				latency:percentile(50), latency:percentile(99)))
		end
	E
}

# curl's account of each transfer, a line of JSON, and nothing of what it got. After --next it needs
# -s -w "$lines" again.
lines='%{stderr}%{json}\n'
curl_lines() {
	timeout 60 curl -s -w "$lines" "$@" 2>&1 >/dev/null 3>&-
}
