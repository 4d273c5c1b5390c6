#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Networks that lose, delay and repeat, between two network namespaces; peers that vanish.
#
# A sender's probe sees every byte once and in order, a receiver's what comes, in the order in which
# it comes. So each exchange that is missing in a receiver's view is counted: as a reply without a
# request where the request was not read, as dropped where the answer was not.

load helpers
load tools/trace
load tools/hops
load tools/flood

setup() {
	loses_packets=1
	flood_setup unshare nsenter ip
}

teardown() {
	stop_all
	e2e_teardown
}

# A broker in namespace `there`.
broker_there() {
	port=$(free_port) # others may have a namespace of their own, and the probe sees them all
	spawn n1 nsenter -t "$(pid_of there)" -n nats-server -a 0.0.0.0 -p "$port"
	wait_until 10 in_netns_connects there 127.0.0.1 "$port"
}

# link_lossy OPTION...: between `here` and `there`.
link_lossy() {
	spawn_out link "$(out_of link)" "$programs/lossy_link" "$(pid_of here)" "$(pid_of there)" "$@"
	wait_said link ready
	in_netns here ip addr add 10.77.0.1/24 dev lossy
	in_netns there ip addr add 10.77.0.2/24 dev lossy
	in_netns here ip link set lossy up
	in_netns there ip link set lossy up
}

# floods_here OPTION...: four at once, asker and answerer both in `here`, $n requests altogether.
floods_here() {
	local i
	for i in 1 2 3 4; do
		spawn_out "f$i" "$(out_of "f$i")" nsenter -t "$(pid_of here)" -n "$programs/flood" nats \
			10.77.0.2 "$port" "$p.$i" n=$((n / 4)) "$@"
	done
	for i in 1 2 3 4; do wait_exit "f$i" 90; done
	jq -s '{ok: map(.ok) | add, sum_ns: map(.sum_ns) | add, max_ns: map(.max_ns) | max}' \
		"$(out_of f1)" "$(out_of f2)" "$(out_of f3)" "$(out_of f4)" >"$(out_of all)"
}

# books: every exchange is in all four views, or it is counted why not.
books() {
	check t identity '.accounting | .unanswered == 0 and .in_flight == 0 and .one_way == 0' \
		'.accounting | .dropped == .reasons.gap_lost' \
		'all | .["client ok"] + .["broker_out ok"] <= 2 * $n' \
		'all as $v | .accounting | $v["client ok"] + $v["broker_out ok"] <= 2 * $n and
			.seen + .orphans == 4 * $n and .matched + .dropped + .orphans == 4 * $n' \
		'.accounting.reasons | .retransmitted > 0 and .gap > 0' '.accounting | .orphans + .dropped > 0'
	within t all
}

@test "a veth that loses 2 % of the packets: every exchange that is missing somewhere is counted" {
	local p=z01 n=40000 port
	need_command nft
	netns here
	netns there
	netns_join here 10.77.0.1 there 10.77.0.2
	# Packets as on a wire: with large ones, what is lost is mostly all that there was.
	in_netns here ip link set to-there gso_max_segs 1
	in_netns there ip link set to-here gso_max_segs 1
	broker_there
	trace_start t --port "$port" --timeout 60 -i 0.2
	for where in here there; do
		in_netns "$where" nft -f - <<-'E' || skip 'no nft with random numbers here'
			table inet lossy {
				chain in {
					type filter hook input priority 0
					iifname "to-*" numgen random mod 100 < 2 counter drop
				}
			}
		E
	done
	floods_here inflight=300
	in_netns here nft list table inet lossy | grep -Eq 'packets [1-9]'
	wait_until 10 settled t
	trace_stop t
	books
	check t '.accounting | .orphans > 0 and .dropped > 0' # requests and answers
}

@test "packets lost, repeated and overtaken: every exchange that is missing somewhere is counted" {
	local p=z02 n=8000 port
	[ -c /dev/net/tun ] || skip 'there is no /dev/net/tun'
	netns here
	netns there
	link_lossy drop=8 swap=60 twice=30
	broker_there
	trace_start t --port "$port" --timeout 60 -i 0.2
	floods_here inflight=3
	wait_until 10 settled t
	trace_stop t
	stop link || true
	expect "$(out_of link)" '.dropped > 10 and .swapped > 100 and .twice > 100'
	books
}

@test "the peer's namespace vanishes with requests in flight: unanswered in time, and nothing is kept" {
	local p=z03 sent came answered
	[ -c /dev/net/tun ] || skip 'there is no /dev/net/tun'
	netns here
	netns there
	link_lossy
	broker_there
	trace_start t --port "$port" --timeout 1 -i 0.2
	spawn f nsenter -t "$(pid_of here)" -n "$programs/flood" nats 10.77.0.2 "$port" "$p.x" \
		n=100000000 inflight=40
	wait_until 20 passed t 20000 # each in four views, at most
	kill -USR1 "$(pid_of link)"
	wait_said link cut
	stop n1 KILL || true
	stop link KILL || true
	stop there KILL || true
	# Nobody tells the flood: its connections are open, and 40 requests wait.
	wait_until 10 settled t
	e2e_alive "$(pid_of f)"
	stop f || true
	read -r sent came answered < <(sed -n 's/^flood: \([0-9]*\) sent, \([0-9]*\) came, \([0-9]*\) answered: stopped.*/\1 \2 \3/p' \
		"$(log_of f)")
	[ "$sent" -gt 5000 ]
	trace_stop t
	check t identity ".accounting | .seen - .matched == .unanswered + .dropped" \
		"all | .[\"client ok\"] == $answered and .[\"client unanswered\"] == $sent - $answered" \
		'.accounting.in_flight == 0'
}

# passed NAME N: so many exchanges were counted.
passed() {
	jq -es "map(.accounting.matched) | add > $2" "$(out_of "$1")" >/dev/null
}
