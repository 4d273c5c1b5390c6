# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# For tree.bats: a gateway (nginx with Lua), an upstream (the same), Redis behind a relay that
# delays, each in a cgroup of its own.

TREE=$BATS_TEST_DIRNAME/tools/tree

tree_need() {
	need_bpf
	need_command nginx redis-server redis-cli wrk jq curl openssl
	[ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || skip 'nginx has no Lua module'
	[ -e /usr/share/lua/5.1/nginx/redis.lua ] || skip 'there is no Redis client for Lua in nginx'
}

# tree_in NAME CMD...: in the background, in the cgroup NAME.
tree_in() {
	local name=$1
	shift
	mkdir -p "$TREE_CGROUP/$name"
	# shellcheck disable=SC2016 # for the shell that it starts
	spawn "$name" bash -c 'echo $$ >"$0" && exec "$@"' "$TREE_CGROUP/$name/cgroup.procs" "$@"
}

# tree_config NAME: its configuration, filled in.
tree_config() {
	local dir=$BATS_TEST_TMPDIR/$1
	mkdir -p "$dir"
	sed -e "s|@DIR@|$dir|g; s|@WORKERS@|${TREE_WORKERS:-1}|g; s|@GATEWAY@|$TREE_GATEWAY|g" \
		-e "s|@UPSTREAM@|$TREE_UPSTREAM|g; s|@REDIS@|$TREE_FAST|g; s|@SLOW@|$TREE_SLOW|g" \
		-e "s|@TLS@|$TREE_TLS|g" "$TREE/$1.conf" >"$dir/nginx.conf"
	echo "$dir/nginx.conf"
}

tree_start() {
	local redis
	TREE_CGROUP=$(e2e_cgroup2)/hopscope-$BASHPID-tree
	free_ports TREE_GATEWAY TREE_UPSTREAM TREE_REDIS TREE_FAST TREE_SLOW TREE_TLS
	TREE_URL=http://127.0.0.1:$TREE_GATEWAY
	mkdir "$TREE_CGROUP" "$TREE_CGROUP/load"
	tree_in redis redis-server --port "$TREE_REDIS" --bind 127.0.0.1 --save '' --dir "$BATS_TEST_TMPDIR"
	tree_in relay "$E2E_ROOT/${BUILD:-build}/tests/targets/delay_relay" "$TREE_REDIS" \
		"$TREE_FAST" 0 "$TREE_SLOW" 20000
	mkdir "$BATS_TEST_TMPDIR/upstream"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=upstream \
		-keyout "$BATS_TEST_TMPDIR/upstream/key.pem" \
		-out "$BATS_TEST_TMPDIR/upstream/cert.pem" 2>/dev/null
	tree_in upstream nginx -p "$BATS_TEST_TMPDIR" -c "$(tree_config upstream)"
	tree_in gateway nginx -p "$BATS_TEST_TMPDIR" -c "$(tree_config gateway)"
	wait_tcp 127.0.0.1 "$TREE_REDIS"
	wait_tcp 127.0.0.1 "$TREE_FAST"
	wait_tcp 127.0.0.1 "$TREE_SLOW"
	wait_tcp 127.0.0.1 "$TREE_UPSTREAM"
	wait_tcp 127.0.0.1 "$TREE_GATEWAY"
}

tree_stop() {
	local name
	[ -n "${TREE_CGROUP:-}" ] || return 0
	for name in gateway upstream relay redis; do
		stop "$name" || true
	done
	rmdir "$TREE_CGROUP"/*/ "$TREE_CGROUP"
}

# tree_trace: begins to watch; returns when it does.
tree_trace() {
	spawn_out trace "$BATS_TEST_TMPDIR/trace.json" "$HOPSCOPE" trace --tree --json -i 600 \
		--port "$TREE_GATEWAY" --port "$TREE_UPSTREAM" --port "$TREE_FAST" \
		--port "$TREE_SLOW" --port "$TREE_TLS" "$@"
	wait_until 30 grep -q tracing "$(log_of trace)"
}

# tree_done: ends it. The line of the whole run is then in $TREE_JSON.
tree_done() {
	stop trace INT
	TREE_JSON=$BATS_TEST_TMPDIR/last.json
	tail -n 1 "$BATS_TEST_TMPDIR/trace.json" >"$TREE_JSON"
	jq -e .final "$TREE_JSON" >/dev/null
}

# tree_load CONNECTIONS SECONDS PATH...: in turns, closed loop. Nothing of it may fail.
tree_load() {
	local connections=$1 seconds=$2
	shift 2
	# shellcheck disable=SC2016
	bash -c 'echo $$ >"$0" && exec "$@"' "$TREE_CGROUP/load/cgroup.procs" \
		wrk -t 1 -c "$connections" -d "$seconds" --timeout 10 -s "$TREE/load.lua" "$TREE_URL" \
		-- "$@" >"$BATS_TEST_TMPDIR/wrk.log"
	! grep -E 'Non-2xx|Socket errors' "$BATS_TEST_TMPDIR/wrk.log"
}

# tree_sum FILTER: the sum of the calls of the edges that pass the jq filter.
tree_sum() {
	jq "[.calls.edges[] | select($1) | .calls] | add // 0" "$TREE_JSON"
}

# tree_redis COMMAND: how many of them Redis has executed.
tree_redis() {
	redis-cli -p "$TREE_REDIS" info commandstats | sed -n "s/^cmdstat_$1:calls=\([0-9]*\),.*/\1/p"
}
