# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `hopscope report` of a gateway run: gateway_session.json is a real run of scenarios/gateway.yaml,
# gateway_report.md what that session looked like when it was recorded. To record both anew:
#   build/hopscope bench scenarios/gateway.yaml --out DIR && cp DIR/session.json \
#       tests/golden/gateway_session.json
#   build/hopscope report tests/golden/gateway_session.json -o tests/golden/gateway_report.md

bats_require_minimum_version 1.5.0

: "${HOPSCOPE:=$BATS_TEST_DIRNAME/../../build/hopscope}"

setup() {
	golden=$BATS_TEST_DIRNAME
	session=$golden/gateway_session.json
	work=$BATS_TEST_TMPDIR
	report=$work/report.md
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
	[ "$(LC_ALL=C tr -d '\n -~\200-\377' <"$1" | wc -c)" = 0 ]
	! LC_ALL=C grep -qE $'\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]' "$1" || false
}

@test "the report is the recorded one, byte for byte" {
	"$HOPSCOPE" report "$session" >"$report"
	diff -u "$golden/gateway_report.md" "$report"
	assert_printable "$report"
}

@test "--format json is what bench wrote, byte for byte" {
	"$HOPSCOPE" report --format json "$session" | cmp - "$session"
}

@test "every section is there, in order" {
	"$HOPSCOPE" report "$session" | grep '^## ' >"$work/sections"
	diff "$work/sections" - <<-END
		## Executive summary
		## Container health
		## Response time
		## Resource usage
		## Load
		## Failure recovery
		## Memory growth
		## Critical path
		## Hop by hop
		## Reliability
		## What was found
		## Environment
		## Configuration
		## How it was measured
	END
}

@test "every target is in the table with its verdict" {
	"$HOPSCOPE" report "$session" >"$report"
	section 'Executive summary' | grep -o '| \*\*[A-Z ]*\*\* |' | tr -d '|*' |
		sed 's/^ *//; s/ *$//' >"$work/shown"
	jq -r '.targets[].verdict' "$session" | diff - "$work/shown"
}

@test "what was not measured is NO DATA, and no number" {
	variant '.accounting = null | .overhead = null | .environment = null | .series = [] |
		.configuration = null | .health = null | .masking = null | .availability = null |
		.containers = null | .phases = [] |
		.targets[] |= (.value = null | .ci_low = null | .ci_high = null |
			.verdict = "NO DATA" | .reason = "nothing was measured")'
	for s in 'Container health' 'Response time' 'Resource usage' 'Load' 'Failure recovery' \
		'Memory growth' 'Critical path' Environment Configuration; do
		section "$s" | grep -q 'NO DATA'
	done
	! grep -qiE '\bnan\b|\binf\b|null' "$report" || false
	! grep -qE '[0-9] (ns|us|ms) \(' "$report" || false
	! grep -q '\*\*PASS\*\*' "$report" || false
	! grep -q 'healthy,' "$report" || false
}

# The hand-made report called a load test with 480 of 480 requests failed PASSED.
@test "a load of which everything failed has no latency" {
	variant '(.phases[] | select(.kind == "load")) |= (.failed = .attempted | .succeeded = 0 |
		.status = {"5xx": .attempted} |
		.success_percent = {"value": 0, "ci_low": 0, "ci_high": 0.04, "n": .attempted})'
	section Load | grep -q '^\*\*INVALID\*\*: .* requests failed, and the scenario.s bound is 1 %'
	! section Load | grep -qE '^\| p(50|99)' || false
	section 'Executive summary' | grep -q 'so many failed that latencies mean nothing'
	! section 'What was found' | grep -q 'Under load' || false
	section 'Critical path' | grep -q '^1,020 requests .*\*\*INVALID\*\*: more failed'
	! section 'Critical path' | grep '^1,020 requests' | grep -q 'the largest part' || false
}

# The hand-made report called 97.96 % of a memory limit acceptable.
@test "a container near its limit is a finding" {
	"$HOPSCOPE" report "$session" >"$report"
	! section 'What was found' | grep -q 'Near its limit' || false
	variant '(.containers[] | select(.name == "kong-gateway")).worst_limit_share = 0.9796 |
		(.phases[] | select(.kind == "load").resources[] | select(.name == "kong-gateway")).share_of_limit = 0.9796'
	section 'What was found' | grep -q 'Near its limit.*kong-gateway reached 98.0 % of its limit'
	section 'Resource usage' | grep -q 'kong-gateway .*\*\*at 95 % of its limit or above\*\*'
}

@test "no recovery is said where there was none" {
	variant '(.phases[] | select(.name == "stop redis-cache").fault) |=
		(.recovered = false | .from_fault_s = null | .downtime_s = null |
		 .recovery_s = {"value": 36.2, "ci_low": 36.2, "ci_high": null, "n": 360})'
	section 'Failure recovery' | grep -q '^| stop redis-cache .*to the end.*\*\*not in 36.2 s\*\*'
	section 'Executive summary' | grep -q 'recovered from 3 of 4 faults; the longest of these took 206 ms'
}

@test "lost TLS calls are told, and make the figures of what they carried incomplete" {
	variant '(.tls, .phases[].tls) |= {"connections": 10, "calls": 99000, "sockets_guessed": 0, "sockets_unknown": 0,
		"connections_lost": 0, "ends_lost": 0, "calls_lost": 0, "sockets_lost": 0, "execs_lost": 0}'
	! grep -q 'Incomplete.*TLS\|over TLS\*\*' "$report" || false
	grep -q '^- TLS: 10 connections read, in 99,000 reads and writes\.$' "$report"
	section 'Critical path' | grep -q 'the largest part'
	variant '.phases[].tls = {"connections": 10, "calls": 9980, "calls_lost": 20}'
	section 'Critical path' | grep -q ' Of TLS connections 20 of 10,000 (0.200 %) reads and writes could not be read'
	section 'Critical path' | grep -q 'the largest part'
	variant '(.tls, (.phases[] | select(.critical_paths) | .tls)) |= {"connections": 10, "calls": 9900, "connections_lost": 0,
		"ends_lost": 0, "calls_lost": 110, "sockets_lost": 0}'
	section 'Critical path' | grep -q '\*\*Incomplete\*\*: of TLS connections 110 of 10,010 (1.10 %) reads and writes'
	! section 'Critical path' | grep -q 'the largest part' || false
	section 'What was found' | grep -q 'The probe lost calls over TLS'
	section 'How it was measured' | grep -q '^\*\*Incomplete\*\*: so much of the TLS'
	section 'How it was measured' | grep -q '^- TLS: .*\*\*lost\*\*: 110 of 10,010'
	variant '.tls = {"connections": 10, "calls": 9900, "connections_lost": 1} |
		.opaque = [{"proto": "tls", "role": "client", "container": "/x", "comm": "nginx", "port": 443, "connections": 1, "bytes": 2048}]'
	section 'What was found' | grep -q 'The probe lost calls over TLS'
	section 'How it was measured' | grep -q '\*\*lost\*\*: 1 connection\.'
	section 'How it was measured' | grep -q '^- not readable: tls client `nginx`, port 443, in `/x`: 1 connection, 2.00 KiB'
}

@test "without a baseline nothing is said of what a fault did" {
	variant '(.phases[] | select(.name == "pause nginx-claude-proxy").fault) |=
		del(.affected, .failed, .first_failure_s, .last_failure_s, .downtime_s, .recovered, .recovery_s,
		    .from_fault_s, .baseline, .resolution_s)'
	section 'Failure recovery' | grep -q '^| pause nginx-claude-proxy | NO DATA | NO DATA | NO DATA |'
	! section 'What was found' | grep -q 'No failure' || false
	section 'Executive summary' | grep -q 'recovered from 3 of 4 faults'
}

@test "why a phase is not to be judged stands with its numbers" {
	variant '(.phases[] | select(.kind == "load" or .kind == "response")).invalid = "it is broken"'
	[ "$(section Load | grep -c '^\*\*INVALID\*\*: it is broken')" = 2 ]
	section 'Response time' | grep -q '^\*\*INVALID\*\*: it is broken'
	[ "$(section 'Executive summary' | grep -c 'INVALID: it is broken')" = 3 ]
	! section 'Executive summary' | grep -q '^- .*p99' || false
}

@test "requests that were not alone are not one after the other" {
	variant '(.configuration[] | select(.[0] == "response.concurrency"))[1] = "8"'
	section 'Executive summary' | grep -q '300 requests, 8 at a time'
	section 'Response time' | grep -q '300 requests, 8 at a time'
}

@test "a leak of the masking is told at once" {
	variant '.masking.api_with_identifiers = 3 | .masking.bad_bodies = 2'
	section 'Executive summary' | grep -q '\*\*3 of .* reached the API with an AWS identifier'
	section 'Executive summary' | grep -q "\*\*2 of .* answers came without the client's own\*\*"
}

@test "calls that were not linked make the path incomplete, and nobody the largest part" {
	variant '(.phases[].critical_paths // [] | .[]) |= (.unlinked = .linked)'
	section 'Critical path' | grep -q '\*\*Incomplete\*\*'
	! section 'Critical path' | grep -q 'the largest part' || false
}

@test "what else is in the parts of a path is told" {
	variant '(.phases[].critical_paths // [] | .[]) |= (.shared = true | .failed = 5)'
	section 'Critical path' | grep -q 'are also asked by others'
	section 'Critical path' | grep -q '5 of 1,020 .* of them failed, and what they took'
}

@test "a partial run is marked at the top" {
	variant '.complete = false | .incomplete_reason = "a signal ended it" | .phases |= .[0:1]'
	[[ $(sed -n 3p "$report") == "> **Partial run.** "*"a signal ended it"* ]]
	section 'Failure recovery' | grep -q 'NO DATA'
}

@test "hostile names stay names" {
	jq '(.. | strings) |= (if test("^(gateway|response|load|fault|memory|steady|kill|stop|pause|reset|GROWING|STABLE|INCONCLUSIVE|PASS|FAIL|NO DATA|INVALID|open|closed|<=|>=)$")
		then . else "\u001b[2J\u0007\u202e<img src=x>|`**" + . end)' "$session" >"$work/session.json"
	"$HOPSCOPE" report "$work" >"$report"
	assert_printable "$report"
	! grep -q '[^\\]<img' "$report" || false
}

@test "a session cut short anywhere, a wrong value: exit code 1, nothing on stdout" {
	size=$(stat -c %s "$session")
	for part in 1 25 50 75 99; do
		head -c $((size * part / 100)) "$session" >"$work/session.json"
		run --separate-stderr "$HOPSCOPE" report "$work"
		[ "$status" = 1 ]
		[ -z "$output" ]
	done
	for filter in '.phases[2].timeline.buckets[3] = [1, 2]' '.phases[2].codes = {"200": -1}' \
		'.phases[3].fault.recovery_s = 5' '.health[0].begin.healthy = "yes"' \
		'.masking.masked = 0.5' '.phases[0].critical_paths = {}' \
		'.tls.calls_lost = -1' '.phases[0].tls.calls = "many"' '.opaque = {}'; do
		jq "$filter" "$session" >"$work/session.json"
		run --separate-stderr "$HOPSCOPE" report "$work"
		[ "$status" = 1 ]
		[ -z "$output" ]
		[[ $stderr == *"cannot read session $work: "* ]]
	done
}
