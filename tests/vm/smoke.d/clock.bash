# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# For tests/vm/smoke: somebody sets the clock while it measures, by a day, both ways. Only in a machine of
# one's own: there is one CLOCK_REALTIME, whatever namespaces there are.

# step_clock TIMES: bash's SECONDS go with the clock: while it is set, nothing may wait by wait_for.
step_clock() {
	local i step
	for ((i = 0; i < $1; i++)); do
		for step in -1 +1 +1 -1; do
			date -s "$step day" >/dev/null
			sleep 0.3
		done
	done
}

uptime_ns() {
	awk '{ printf "%.0f\n", $1 * 1e9 }' /proc/uptime
}

test_clock() {
	local n=3000 began flood=$PWD/$BUILD/tests/e2e/tools/flood
	need trace $hopscope trace -d 1 --json
	spawn nats nats-server --addr 127.0.0.1 --port 14228
	wait_for 60 connects 127.0.0.1 14228
	began=$(uptime_ns)
	spawn t $hopscope trace --json --port 14228 -i 0.2
	wait_said t 'tracing'
	spawn clock step_clock 3
	spawn calls "$flood" nats 127.0.0.1 14228 clock.x n=$n inflight=4
	wait "$(pid_of clock)" || fail 'the clock cannot be set'
	wait_exit calls
	[ $rc = 0 ] || fail 'calls failed'
	stop t
	[ $rc = 0 ] || fail "trace ended with code $rc"
	holds "$tmp/t.out" \
		'[.series[] | {(.role): .count}] |
			add == {client: '$n', broker: '$n', broker_out: '$n', service: '$n'}' \
		"($(uptime_ns) - $began) as \$whole | .duration_s * 1e9 <= \$whole and .duration_s > 2 and
			all(.series[]; .max_ns < \$whole)" \
		".series[] | select(.role == \"client\") | .max_ns <= $(jq .max_ns "$tmp/calls.out")" \
		'.accounting | .unanswered == 0 and .dropped == 0 and .orphans == 0 and .in_flight == 0'
	# An interval is one by the other clock.
	jq -es '[.[:-1][].duration_s] | length > 5 and (min > 0 and max < 20)' "$tmp/t.out" >/dev/null ||
		fail 'intervals came with the clock'
}

run_test 'trace: the clock is set by a day, both ways, nothing comes of it' test_clock
