# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `hopscope report` of a port-forward run: portforward_session.json is a real run of
# portforward_golden.yaml, on a busy machine (some intervals are wide, some verdicts open), with a kubectl
# that is not there; the others are what it looked like. To record them anew, with the folder
# scenarios/port-forward beside the scenario:
#   build/hopscope bench portforward_golden.yaml --out DIR && cp DIR/session.json \
#       tests/golden/portforward_session.json
#   build/hopscope report tests/golden/portforward_session.json -o tests/golden/portforward_report.md
#   for f in added payload concurrency pool; do build/hopscope report --format $f.svg \
#       tests/golden/portforward_session.json -o tests/golden/portforward_$f.svg; done

bats_require_minimum_version 1.5.0

: "${HOPSCOPE:=$BATS_TEST_DIRNAME/../../build/hopscope}"

setup() {
	golden=$BATS_TEST_DIRNAME
	session=$golden/portforward_session.json
	work=$BATS_TEST_TMPDIR
	report=$work/report.md
}

# lacks GREP-OPTIONS: it is not there. (The status of `! grep` would be nobody's.)
lacks() {
	if grep "$@"; then
		echo "found: $*" >&2
		return 1
	fi
}

# variant FILTER: the report of the recorded session, changed by jq.
variant() {
	jq "$1" "$session" >"$work/session.json"
	"$HOPSCOPE" report "$work" >"$report"
}

# Lines of a section.
section() {
	sed -n "/^## $1\$/,/^## /p" "$report" | sed '$d'
}

# Nothing that a terminal could obey: no control bytes but newlines, no overrides.
assert_printable() {
	local text
	text=$(cat "$1")
	[ "$(LC_ALL=C tr -d '\n -~\200-\377' <<<"$text" | wc -c)" = 0 ]
	LC_ALL=C lacks -qE $'\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]' <<<"$text"
}

@test "the report is the recorded one, byte for byte" {
	"$HOPSCOPE" report "$session" >"$report"
	diff -u "$golden/portforward_report.md" "$report"
	assert_printable "$report"
}

@test "the figures are the recorded ones, and whole XML" {
	for f in added payload concurrency pool; do
		"$HOPSCOPE" report "$session" --format $f.svg | diff -u "$golden/portforward_$f.svg" -
		"$HOPSCOPE" report "$session" --format $f.svg |
			python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.stdin)'
	done
}

@test "--format json is what bench wrote, byte for byte" {
	"$HOPSCOPE" report --format json "$session" | cmp - "$session"
}

@test "every section is there, in order" {
	"$HOPSCOPE" report "$session" | grep '^## ' >"$work/sections"
	diff "$work/sections" - <<-END
		## Summary
		## Verdict
		## The ways
		## What each way adds
		## What the overhead is made of
		## Against payload
		## Against requests under way
		## Against the pool
		## Where the time is
		## Processor time
		## TCP
		## Failures
		## Hop by hop
		## Environment
		## Configuration
		## How it was measured
	END
}

@test "every target is in the table with its verdict" {
	"$HOPSCOPE" report "$session" >"$report"
	section Verdict | grep -o '| \*\*[A-Z ]*\*\* |' | tr -d '|*' |
		sed 's/^ *//; s/ *$//' >"$work/shown"
	jq -r '.targets[].verdict' "$session" | diff - "$work/shown"
}

@test "a way that was not started is said with its reason, and has no number" {
	"$HOPSCOPE" report "$session" >"$report"
	section Summary | grep -q '^- \*\*kubectl-ws\*\*: not measured: /nonexistent/kubectl is not there'
	section 'The ways' | grep -q '^| kubectl-ws | \*\*not measured\*\*: '
	section 'What each way adds' | grep -c '^| kubectl-ws | NO DATA |' | grep -qx 2
	section 'What the overhead is made of' | lacks -q kubectl-ws
}

@test "what was not measured is NO DATA, and no number" {
	variant '.accounting = null | .overhead = null | .environment = null | .series = [] |
		.configuration = null | .phases = [] | .analysis = [] | .ways = [] | .tcp = null | .sweeps = null |
		.targets[] |= (.value = null | .ci_low = null | .ci_high = null |
			.verdict = "NO DATA" | .reason = "nothing was measured")'
	for s in 'The ways' 'What each way adds' 'What the overhead is made of' 'Against payload' \
		'Against requests under way' 'Against the pool' 'Where the time is' 'Processor time' Failures \
		Environment Configuration; do
		section "$s" | grep -q 'NO DATA'
	done
	lacks -qiE '\bnan\b|\binf\b|null' "$report"
	lacks -qE '[0-9] (ns|us|ms) \(' "$report"
	lacks -q '\*\*PASS\*\*' "$report"
	lacks -q '\.svg' "$report"
	run ! "$HOPSCOPE" report "$work" --format added.svg
}

@test "without hops nothing is said of where the time is" {
	variant '.hop_rounds = 0 | .phases[] |= (.residence = null | del(.hops, .hop_accounting))'
	section 'Where the time is' | grep -q 'NO DATA: the exchanges were not followed hop by hop'
	section 'What the overhead is made of' | grep -q 'NO DATA'
	section 'What the overhead is made of' | lacks -qE 'waiting: |Followed hop by hop'
	lacks -q '^## Hop by hop' "$report"
	section 'How it was measured' | grep -q 'No probe was attached'
	# What the client measured stands.
	section 'What each way adds' | grep -qE '^\| ssh \| [0-9.]+ us'
}

# A number whose interval holds 0 is not called an overhead, one that does not is.
@test "what is added is said as its interval has it" {
	variant '(.phases[] | select(.way == "socat" and .base)).added.p50_ns =
		{"value": 50000, "ci_low": 40000, "ci_high": 60000, "n": 6}'
	section Summary | grep -q '^- \*\*socat\*\*: adds 50.0 us (40.0 us to 60.0 us) to the median NATS round trip'
	variant '(.phases[] | select(.way == "socat" and .base)).added.p50_ns =
		{"value": 50000, "ci_low": -1000, "ci_high": 60000, "n": 6}'
	section Summary | grep -q '^- \*\*socat\*\*: adds nothing that this run could show (-1.00 us to 60.0 us)'
	variant '(.phases[] | select(.way == "socat" and .base)).added.p50_ns =
		{"value": -9000, "ci_low": -12000, "ci_high": -5000, "n": 6}'
	section Summary | grep -q '^- \*\*socat\*\*: takes 9.00 us (5.00 us to 12.0 us) less than direct'
	variant '(.phases[] | select(.way == "socat" and .base)).added.p50_ns =
		{"value": 50000, "ci_low": null, "ci_high": null, "n": 2}'
	section Summary | grep -q '^- \*\*socat\*\*: adds 50.0 us (too few rounds for an interval)'
}

@test "the dearest way is named only where its interval lies above all others" {
	variant '(.phases[] | select(.base and .added)).added.p50_ns = {"value": 50000, "ci_low": 40000, "ci_high": 60000, "n": 6} |
		(.phases[] | select(.base and .way == "kubectl")).added.p50_ns = {"value": 90000, "ci_low": 80000, "ci_high": 99000, "n": 6}'
	[ "$(section Summary | grep -c "dearest way is \*\*kubectl\*\*")" = 2 ]
	variant '(.phases[] | select(.base and .added)).added.p50_ns = {"value": 50000, "ci_low": 40000, "ci_high": 60000, "n": 6} |
		(.phases[] | select(.base and .way == "kubectl")).added.p50_ns = {"value": 90000, "ci_low": 59000, "ci_high": 99000, "n": 6}'
	section Summary | lacks -q 'dearest'
}

@test "copying, waiting and head-of-line blocking are told apart, and only where the numbers carry it" {
	variant '(.analysis[] | select(.way == "ssh" and .workload == "nats")) |=
		(.payload.growth_ns = {"value": 640000, "ci_low": 320000, "ci_high": 960000, "n": 6} |
		 .neighbour.growth_ns = {"value": 70000, "ci_low": 10000, "ci_high": 90000, "n": 6} |
		 .neighbour.growth_p99_ns = {"value": 900000, "ci_low": 800000, "ci_high": 990000, "n": 6} |
		 .tunnels.growth_ns = {"value": -8000, "ci_low": -9000, "ci_high": -7000, "n": 6}) |
		(.phases[] | select(.way == "socat" and .base).residence.places[] | select(.relay)) |=
		(.there_ns = 30000 | .back_ns = 20000 | .queue_ns = 40000 | .run_queue_ns = 10000)'
	section 'What the overhead is made of' >"$work/parts"
	grep -q 'NATS, copying: what it adds grows with the payload, by 10.0 us (5.00 us to 15.0 us) for each KiB' "$work/parts"
	grep -q 'head-of-line blocking: a request beside a bulk transfer through the same port waits 70.0 us (10.0 us to 90.0 us) longer at the median than one beside a bulk transfer through another; at p99 it waits 900 us (800 us to 990 us) longer\.$' "$work/parts"
	grep -q 'a pool through one port: none: it is 8.00 us (7.00 us to 9.00 us) faster at the median' "$work/parts"
	grep -q 'NATS, waiting: an exchange is in the relay.s processes for 50.0 us, and waits 40.0 us of that (80 %) in their sockets. queues, 10.0 us with its reader awake' "$work/parts"
	variant '(.analysis[] | .payload.growth_ns, .tunnels.growth_ns, .neighbour.growth_ns | select(.)) |= (.ci_low = -1000 | .ci_high = 1000 | .value = 1)'
	section 'What the overhead is made of' | lacks -q 'grows with the payload, by'
	section 'What the overhead is made of' | lacks -q 'waits .* longer at the median'
	section 'What the overhead is made of' | grep -q 'head-of-line blocking: not shown'
}

# Failures stand beside latency, and where there are too many there is no latency.
@test "a way of which much failed has no latency, nor has what is compared with it" {
	variant '(.phases[] | select(.way == "ssh" and .base and .workload == "nats")) |=
		(.failed = 40 | .succeeded = .attempted - 40 | .attempted = 400 | .errors = {"timeout": 40, "other": 0})'
	section 'What each way adds' | grep -q '^| ssh | \*\*INVALID\*\* | \*\*INVALID\*\* | NO DATA | NO DATA |.*\*\*40 of 400 (10 %)\*\*'
	section Summary | grep -q '^- \*\*ssh\*\*: INVALID for NATS: too many requests failed'
	section Failures | grep -q '^| NATS, 256 B, 1 at a time, pool of 1 | ssh | 40 of 400 (10 %) | timeout (40) |$'
	variant '(.phases[] | select(.way == "direct" and .base and .workload == "nats")) |= (.failed = .attempted)'
	section Summary | lacks -q 'median NATS'
	[ "$(section 'What each way adds' | sed -n '/^### NATS/,/^### HTTP/p' | grep -c '| NO DATA | NO DATA |')" = 4 ]
}

@test "a partial run is marked at the top" {
	variant '.complete = false | .incomplete_reason = "a signal ended it" | .phases |= .[0:3]'
	[[ $(sed -n 3p "$report") == "> **Partial run.** "*"a signal ended it"* ]]
	section 'Against payload' | grep -q 'NO DATA'
}

@test "hostile names stay names, in the report and in the figures" {
	jq '(.. | strings) |= (if test("^(port-forward|cell|nats|http|direct|PASS|FAIL|INCONCLUSIVE|NO DATA|INVALID|<=|>=|network|process|opaque|service|beyond|there|back|in)$")
		then . else "\u001b[2J\u0007\u202e<img src=x>|`**&\"" + . end)' "$session" >"$work/session.json"
	"$HOPSCOPE" report "$work" >"$report"
	assert_printable "$report"
	lacks -q '[^\\]<img' "$report"
	for f in added payload concurrency pool; do
		"$HOPSCOPE" report "$work" --format $f.svg >"$work/$f.svg"
		assert_printable <(tr -d '\t' <"$work/$f.svg")
		lacks -q '<img' "$work/$f.svg"
		python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$work/$f.svg"
	done
}

@test "a session cut short anywhere, a wrong value: exit code 1, nothing on stdout" {
	size=$(stat -c %s "$session")
	for part in 1 25 50 75 99; do
		head -c $((size * part / 100)) "$session" >"$work/session.json"
		run --separate-stderr "$HOPSCOPE" report "$work"
		[ "$status" = 1 ]
		[ -z "$output" ]
	done
	for filter in '.ways = {}' '.ways[0].available = "yes"' '.ways[2].legs[0].front.segments = -1' \
		'.phases[3].added.p50_ns = 5' '.phases[0].residence.places[0].relay = 1' \
		'.sweeps.payload = [[1]]' '.analysis[0].payload.from = "16"' '.tcp[0].retransmits = 0.5'; do
		jq "$filter" "$session" >"$work/session.json"
		run --separate-stderr "$HOPSCOPE" report "$work"
		[ "$status" = 1 ]
		[ -z "$output" ]
		[[ $stderr == *"cannot read session $work: "* ]]
	done
}
