#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# What the port-forward scenario runs against: each way carries requests from the client's network
# namespace to the cluster's, and nothing of it is left.

load helpers
load tools/stack

setup_file() {
	stack_make portforward-tools
}

setup() {
	stack_setup
}

teardown() {
	stack_teardown
}

# stack_start [NAME=VALUE...]: portforward_stack in the background, its commands on descriptor 7.
# What it says first is in $INFO.
stack_start() {
	[ "$(id -u)" = 0 ] || skip 'needs root'
	[ -n "$(e2e_cgroup2)" ] || skip 'no cgroup v2 hierarchy is mounted'
	need_command nats-server nginx ip nsenter curl jq
	stack_run 90 portforward_stack port-forward.yaml "$@"
}

# within PLACE CMD...: in that network namespace: 0 the client's, 1 the forwarder's, 2 the cluster's.
within() {
	local place=$1
	shift
	nsenter --net="/proc/$stack_pid/fd/$(jq ".ns[$place]" <<<"$INFO")" "$@"
}

of() { # of WAY KEY
	jq -r ".ways.\"$1\".$2" <<<"$INFO"
}

to() { # to WAY SERVER: host:port, seen by the client
	jq -r ".ways.\"$1\".to[$2] | \"\(.host):\(.port)\"" <<<"$INFO"
}

# need_way WAY: skips where this machine lacks its programs, and only then.
need_way() {
	[ "$(of "$1" available)" = true ] || {
		[[ $(of "$1" why) != *'not installed'* && $(of "$1" why) != *' and WebSockets came with '* ]] ||
			skip "$1: $(of "$1" why)"
		echo "$1: $(of "$1" why)" >&2
		return 1
	}
}

pids_of() { # pids_of WAY: all processes of its relays
	local cgroup
	for cgroup in $(jq -r ".ways.\"$1\".relays[].cgroup" <<<"$INFO"); do
		cat "$cgroup/cgroup.procs"
	done
}

cpu() { # cpu WAY: ns, of all its relays
	tell cpu "$1" | jq '.cpu | add // 0'
}

# A broker's INFO and its answer to PING, each over a connection of its own.
ping_node() { # ping_node WAY NODE
	local address
	address=$(to "$1" "$2")
	# shellcheck disable=SC2016 # expanded over there
	within 0 bash -c 'exec 5<>"/dev/tcp/$0/$1" && read -r -t 5 info <&5 &&
		printf "CONNECT {\"verbose\":false}\r\nPING\r\n" >&5 &&
		read -r -t 5 pong <&5 && echo "$info $pong"' "${address%:*}" "${address#*:}"
}

carries() { # carries WAY
	local way=$1 i url before body=$BATS_TEST_TMPDIR/body
	need_way "$way"
	before=$(cpu "$way")
	for i in 0 1 2; do
		[[ $(ping_node "$way" $i) == *"\"server_name\":\"n$((i + 1))\""*PONG* ]]
	done
	url=http://$(to "$way" 3)
	[ "$(within 0 curl -sS -m 10 "$url/")" = ok ]
	[ "$(within 0 curl -sS -m 10 "$url/bytes/65536" | wc -c)" = 65536 ]
	# More than a window of SPDY, in both directions.
	head -c 3000000 /dev/urandom >"$body"
	within 0 curl -sS -m 20 -H 'Expect:' --data-binary "@$body" "$url/echo" | cmp - "$body"
	# A hundred at once.
	within 0 curl -sS -m 20 -Z --parallel-max 100 --parallel-immediate "$url/bytes/1000?[1-200]" \
		-o /dev/null -w '%{http_code} %{size_download}\n' >"$BATS_TEST_TMPDIR/codes"
	[ "$(grep -cx '200 1000' "$BATS_TEST_TMPDIR/codes")" = 200 ]
	# RPCs: nats.js in the client's namespace, its responder in the cluster, at another node.
	if [ -e "$nodejs/node_modules/.package-lock.json" ]; then
		within 0 timeout 60 node "$nodejs/requests.js" "{\"url\": \"$(to "$way" 0)\",
			\"subject\": \"echo\", \"n\": 200, \"inflight\": 8, \"size\": 1024}" \
			3>&- >"$BATS_TEST_TMPDIR/out"
		[ "$(jq .ok "$BATS_TEST_TMPDIR/out")" = 200 ]
	fi
	[ "$(jq .alive <<<"$(tell alive "$way")")" = true ]
	# What its relays used is seen, where there are any.
	[ "$(of "$way" 'relays | length')" = 0 ] || [ "$(cpu "$way")" -gt "$before" ]
}

responder() {
	nodejs=$BATS_TEST_DIRNAME/nodejs
	# As tools/trace.bash has it.
	(
		flock 9
		[ -e "$nodejs/node_modules/.package-lock.json" ] || npm ci --prefix "$nodejs"
	) 9<"$nodejs/package.json" >&2
	spawn service nsenter --net="/proc/$stack_pid/fd/$(jq ".ns[2]" <<<"$INFO")" \
		node "$nodejs/service.js" '{"url": "127.0.0.1:4223", "subject": "echo"}'
	wait_until 20 grep -q ready "$(log_of service)"
}

@test "port-forward stack: every way carries RPCs and HTTP" {
	need_command node npm
	stack_start
	responder
	for way in direct socat haproxy ssh dnat kubectl kubectl-ws; do
		echo "$way $(of $way version)"
		carries $way
	done
	# With a way's own programs, in the namespaces that they belong to.
	[ "$(pids_of socat | wc -l)" -ge 4 ]
	for pid in $(pids_of socat) $(pids_of kubectl); do
		[ "$(stat -Lc %i "/proc/$pid/ns/net")" != "$(stat -Lc %i /proc/self/ns/net)" ]
	done
	[ "$(tell info | jq .deaths)" = 0 ]
}

tracked() {
	within 1 cat /proc/sys/net/netfilter/nf_conntrack_count
}

@test "port-forward stack: direct and dnat keep the client's address; only dnat is tracked" {
	stack_start ways=direct,dnat,socat nodes=1
	need_way dnat
	before=$(tracked)
	ping_node direct 0
	ping_node socat 0
	[ "$(tracked)" = "$before" ]
	ping_node dnat 0
	[ "$(tracked)" = $((before + 1)) ]
	# Who the broker sees.
	for way in direct dnat socat; do
		address=$(to $way 0)
		# shellcheck disable=SC2016
		spawn "held-$way" nsenter --net="/proc/$stack_pid/fd/$(jq '.ns[0]' <<<"$INFO")" \
			bash -c 'exec 5<>"/dev/tcp/$0/$1"; read -r <&5; sleep 30' \
			"${address%:*}" "${address#*:}"
	done
	wait_until 5 sees_three
	seen=$(within 2 curl -sS http://127.0.0.1:8222/connz | jq -c '[.connections[].ip] | sort')
	[ "$seen" = '["192.0.2.2","192.0.2.2","198.51.100.1"]' ]
}

sees_three() {
	[ "$(within 2 curl -sS http://127.0.0.1:8222/connz | jq '.connections | length')" = 3 ]
}

@test "port-forward stack: legs of a way, from both ends" {
	stack_start ways=direct,socat,ssh nodes=2
	for way in direct socat ssh; do
		need_way $way
		address=$(to $way 0)
		# shellcheck disable=SC2016
		spawn "held-$way" nsenter --net="/proc/$stack_pid/fd/$(jq '.ns[0]' <<<"$INFO")" \
			bash -c 'exec 5<>"/dev/tcp/$0/$1"; read -r <&5
				printf "CONNECT {\"verbose\":false}\r\nPING\r\n" >&5
				read -r pong <&5; echo "$pong"; sleep 30' "${address%:*}" "${address#*:}"
	done
	for way in direct socat ssh; do
		wait_until 10 grep -q PONG "$(log_of "held-$way")"
	done
	tell legs direct | jq -e '[.legs[] | "\(.from) \(.to)"] == ["client cluster"] and
		.legs[0].front.connections == 1 and .legs[0].back.connections == 1 and
		.legs[0].front.segments >= 1 and .legs[0].back.segments >= 2 and
		.legs[0].front.srtt_min_ns > 0 and .legs[0].front.with_rtt == 1'
	tell legs socat | jq -e '[.legs[] | "\(.from) \(.to)"] == ["client socat", "socat cluster"] and
		([.legs[] | .front.connections, .back.connections] == [1, 1, 1, 1])'
	# One connection for each of three servers, whoever uses it.
	wait_until 5 ssh_is_quiet
	tell legs ssh | jq -e '[.legs[] | "\(.from) \(.to)"] ==
		["client ssh", "ssh sshd", "sshd cluster"] and
		([.legs[] | .front.connections, .back.connections] == [1, 1, 3, 3, 1, 1])'
	for place in 0 1 2; do
		tell tcp $place | jq -e '.ok and .out_segments > 10 and .in_segments > 10'
	done
	! tell tcp 3 | jq -e .ok || false
}

# The stack's own checks have ended over there, too.
ssh_is_quiet() {
	[ "$(tell legs ssh | jq .legs[2].front.connections)" = 1 ]
}

@test "port-forward stack: the kubectl that is asked for, whatever its version" {
	need_command kubectl
	stack_start ways=kubectl nodes=1 kubectl="$(command -v kubectl)"
	need_way kubectl
	[[ $(of kubectl version) == "kubectl v1."*", SPDY/3.1, to kube-api: a test server, not Kubernetes'" ]]
	[ "$(within 0 curl -sS -m 10 "http://$(to kubectl 1)/bytes/300000" | wc -c)" = 300000 ]
	# What is behind the tunnel has gone: the client is told. Newer ones then end themselves, older
	# ones stay; both are seen.
	kill "$(tell info | jq .pids.web)"
	run within 0 curl -sS -m 10 "http://$(to kubectl 1)/"
	[ "$status" != 0 ]
	[[ $(ping_node kubectl 0) == *PONG* ]]
	tunnel=$(of kubectl 'relays[] | select(.name == "kubectl-web").pid')
	wait_until 2 e2e_ended "$tunnel" || true
	if e2e_alive "$tunnel"; then
		[ "$(tell alive kubectl | jq .alive)" = true ]
		[ "$(tell info | jq .deaths)" = 1 ]
	else
		[ "$(tell alive kubectl | jq .alive)" = false ]
		[ "$(tell info | jq .deaths)" = 2 ]
	fi
}

@test "port-forward stack: what is not installed is said, and the rest works" {
	# haproxy, sshd and nft are in /usr/sbin, where a program is looked for even so.
	stack_path=$BATS_TEST_TMPDIR/bin
	mkdir "$stack_path"
	for program in nats-server nginx ip env; do
		ln -s "$(command -v $program)" "$stack_path/$program"
	done
	HOPSCOPE_CACHE=$BATS_TEST_TMPDIR/none stack_start nodes=1 kubectl_ws="$(command -v true)"
	[ "$(of direct available)" = true ]
	[ "$(of socat why)" = 'socat is not installed (package socat)' ]
	[ "$(of ssh why)" = 'ssh is not installed (package openssh-client)' ]
	[ "$(of kubectl why)" = 'kubectl is not installed (package kubernetes-client)' ]
	[ "$(of kubectl-ws why)" = "$(command -v true) is not there, or is no kubectl" ]
	for way in socat ssh kubectl kubectl-ws; do
		[ "$(of $way available)" = false ]
		[ "$(of $way wanted)" = true ]
		[ "$(tell check $way 0 | jq .ok)" = false ]
		[ "$(tell alive $way | jq .alive)" = false ]
	done
	[ "$(tell check direct 0 | jq .ok)" = true ]
	[ "$(tell check direct 1 | jq .ok)" = true ]
	ls -d "$BATS_TEST_TMPDIR/none" && return 1
	return 0
}

@test "port-forward stack: kill -9 leaves no process; the next run removes the rest" {
	stack_start nodes=2
	# Connections that stay, so that each relay has what it forks for them.
	for way in direct socat haproxy ssh dnat kubectl; do
		[ "$(of $way available)" = true ] || continue
		address=$(to $way 0)
		# shellcheck disable=SC2016
		spawn "held-$way" nsenter --net="/proc/$stack_pid/fd/$(jq '.ns[0]' <<<"$INFO")" \
			bash -c 'exec 5<>"/dev/tcp/$0/$1"; cat <&5' "${address%:*}" "${address#*:}"
	done
	for way in socat haproxy ssh; do
		[ "$(of $way available)" = true ] || continue
		wait_until 10 grep -q INFO "$(log_of "held-$way")"
	done
	cgroup=$(dirname "$(of socat relays[0].cgroup)")
	[ "$(cat "$cgroup"/*/cgroup.procs | wc -l)" -ge 10 ]
	kill -KILL "$stack_pid"
	wait_until 10 is_deserted "$cgroup"
	# Those who were connected have seen it end.
	for way in direct socat haproxy ssh dnat kubectl; do
		[ "$(of $way available)" = true ] || continue
		wait_until 10 e2e_ended "$(pid_of "held-$way")"
	done
	# Another run on this machine may have been quicker than ours.
	rm "$commands"
	stack_start ways=direct nodes=1
	[ ! -d "$cgroup" ]
}

is_deserted() {
	[ -z "$(cat "$1"/*/cgroup.procs 2>/dev/null)" ]
}

host_network() {
	ip -o link
	ip -o addr | sed 's/ [a-z_]*lft [0-9a-z]*//g'
	ip route
	ip netns list
	nft list ruleset
	cat /proc/sys/net/ipv4/{ip_forward,conf/all/rp_filter,conf/default/rp_filter}
	ls -d /run/sshd 2>/dev/null || true
	# Mounts that others see.
	grep -c . /proc/self/mounts
}

@test "port-forward stack: the host's own network stays as it was" {
	need_command nft
	before=$(host_network)
	stack_start nodes=1
	[ "$before" = "$(host_network)" ]
	run_dir=$(jq -r .run <<<"$INFO")
	[ -d "$run_dir" ]
	stop stack
	[ "$before" = "$(host_network)" ]
	[ ! -e "$run_dir" ]
}
