# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# For hops.bats, after `load helpers` and `load tools/trace`: `hopscope hops` in the background, and
# programs that keep an account of their own (tests/targets/hop_peer.c).
#
#	answer svc "$NATS_PORT" p.echo
#	hops_start h --port "$NATS_PORT"
#	ask client "$NATS_PORT" p.echo n=300
#	hops_stop h
#	hops_check shape h '"route": "p.echo", "roles": ...'

hop_targets() {
	targets=${HOPSCOPE%/*}/tests/targets
	[ -x "$targets/hop_peer" ] || make -C "$E2E_ROOT" BUILD="${HOPSCOPE%/*}" test-binaries >&2
}

# hops_start NAME [OPTIONS]: returns when the probes are attached.
hops_start() {
	local name=$1
	shift
	spawn_out "$name" "$(out_of "$name")" "$HOPSCOPE" hops --json -i 600 "$@"
	wait_said "$name" following
}

# hops_stop NAME: Ctrl-C. The whole run is then in $BATS_TEST_TMPDIR/NAME.final, with the single
# exchanges that --sample took in the intervals as "sampled", and is sound: parts are not negative and
# not longer than the whole, sums are exact.
hops_stop() {
	local rc=0
	stop "$1" INT || rc=$?
	[ $rc = 0 ] || {
		echo "hops '$1' ended with code $rc" >&2
		return 1
	}
	trace_final "$1"
	jq -cs 'last + {sampled: [.[].timelines[] | select(.sampled)]}' \
		"$(out_of "$1")" >"$BATS_TEST_TMPDIR/$1.final"
	hops_check sound "$1" ''
}

# hops_check CHECK NAME OPTIONS: one of tools/hops.js, on NAME's whole run.
hops_check() {
	node "$tools/hops.js" "$1" "$BATS_TEST_TMPDIR/$2.final" "{$3}" \
		>"$BATS_TEST_TMPDIR/check.out" 3>&- || {
		cat "$BATS_TEST_TMPDIR/check.out"
		return 1
	}
	cat "$BATS_TEST_TMPDIR/check.out"
	[ -z "${HOPS_VERBOSE:-}" ] || sed 's/^/# /' "$BATS_TEST_TMPDIR/check.out" >&3
}

# same_way NAME ROUTE COUNT ROLES KINDS: all of them passed these sockets in this order.
same_way() {
	hops_check shape "$1" "\"route\": \"$2\", \"count\": $3, \"roles\": \"$4\", \"kinds\": \"$5\""
}

direct='client broker broker_out service'
direct_kinds='network process network'

# answer NAME PORT SUBJECT [OPTION=VALUE]...: hop_peer's responder, on $host.
answer() {
	local name=$1 port=$2 subject=$3
	shift 3
	spawn "$name" "${prefix[@]}" "$targets/hop_peer" answer "${host:-127.0.0.1}" "$port" \
		"$subject" "account=$BATS_TEST_TMPDIR/$name.account" "$@"
	wait_said "$name" ready
}

# ask_start NAME PORT SUBJECT [OPTION=VALUE]...: hop_peer's asker. Its account: $(out_of NAME).
ask_start() {
	local name=$1 port=$2 subject=$3
	shift 3
	spawn_out "$name" "$(out_of "$name")" "${prefix[@]}" "$targets/hop_peer" ask \
		"${host:-127.0.0.1}" "$port" "$subject" "$@"
	wait_said "$name" warm
}

# ask_done NAME...: waits for them.
ask_done() {
	local name
	for name in "$@"; do
		wait_exit "$name" 90
	done
}

ask() {
	ask_start "$@"
	ask_done "$1"
}

# What runs before the programs of answer and ask: `prefix=(taskset -c 1)`.
prefix=()

# ---- network namespaces that end with a process

# netns NAME: an own one.
netns() {
	spawn "$1" unshare -n sleep 600
	wait_until 10 netns_apart "$1"
	in_netns "$1" ip link set lo up
}

netns_apart() {
	[ "$(readlink "/proc/$(pid_of "$1")/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

# in_netns NAME CMD...: never in ours.
in_netns() {
	local name=$1
	shift
	netns_apart "$name" && nsenter -t "$(pid_of "$name")" -n "$@" 3>&-
}

# netns_join A ADDRESS B ADDRESS: a pair of veth, in A called as B is.
netns_join() {
	in_netns "$1" ip link add "to-$3" type veth peer name "to-$1" netns "$(pid_of "$3")"
	in_netns "$1" ip addr add "$2/24" dev "to-$3"
	in_netns "$3" ip addr add "$4/24" dev "to-$1"
	in_netns "$1" ip link set "to-$3" up
	in_netns "$3" ip link set "to-$1" up
}

in_netns_connects() {
	in_netns "$1" bash -c "exec 4<>/dev/tcp/$2/$3" 2>/dev/null
}

# ---- HTTP: gateway (nginx) -> relay -> upstream (nginx with Lua) -> Redis, or a relay in front of it

web_need() {
	need_command nginx redis-server
	[ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ] || skip 'nginx has no Lua module'
	[ -e /usr/share/lua/5.1/nginx/redis.lua ] || skip 'there is no Redis client for Lua in nginx'
}

# web_start: $web_gateway and $web_upstream are their ports, $web_ports all that there are.
web_start() {
	local redis up up_slow get_slow get_back
	free_ports web_gateway web_upstream redis up up_slow get_slow get_back
	web_ports=("$web_gateway" "$web_upstream" "$redis" "$up" "$up_slow" "$get_slow" "$get_back")
	spawn redis redis-server --port "$redis" --bind 127.0.0.1 --save '' --dir "$BATS_TEST_TMPDIR"
	spawn_out relay-up "$(out_of relay-up)" "$targets/delay_relay" -o "$web_upstream" "$up" 0 \
		"$up_slow" 10000
	spawn_out relay-get "$(out_of relay-get)" "$targets/delay_relay" -o "$redis" "$get_slow" \
		10000 "$get_back" 0:10000
	web_nginx upstream "$web_upstream"
	web_nginx gateway "$web_gateway"
	wait_tcp 127.0.0.1 "$redis"
	wait_tcp 127.0.0.1 "$web_upstream"
	wait_tcp 127.0.0.1 "$web_gateway"
}

# web_nginx NAME PORT
web_nginx() {
	local dir=$BATS_TEST_TMPDIR/nginx-$1
	mkdir -p "$dir"
	sed -e "s|@DIR@|$dir|; s|@PORT@|$2|; s|@UP@|$up|; s|@UP_SLOW@|$up_slow|; s|@REDIS@|$redis|" \
		-e "s|@REDIS_SLOW@|$get_slow|; s|@REDIS_BACK@|$get_back|" \
		"$BATS_TEST_DIRNAME/tools/hops/$1.conf" >"$dir/conf"
	spawn "$1" nginx -e stderr -p "$dir" -c "$dir/conf"
}

# The options that watch all of it.
web_filter() {
	printf -- '--port\n%s\n' "${web_ports[@]}"
}
