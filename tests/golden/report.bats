# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# `hopscope report` from a recorded session: session.json is a real run of scenarios/aegis.yaml,
# report.md what that session looked like when it was recorded. To record both anew:
#   build/hopscope bench scenarios/aegis.yaml -o DIR && cp DIR/session.json tests/golden/
#   build/hopscope report tests/golden/session.json -o tests/golden/report.md

bats_require_minimum_version 1.5.0

: "${HOPSCOPE:=$BATS_TEST_DIRNAME/../../build/hopscope}"

setup() {
	golden=$BATS_TEST_DIRNAME
	session=$golden/session.json
	[ -e "$session" ] || skip "tests/golden/session.json is not recorded yet"
	work=$BATS_TEST_TMPDIR
}

# variant FILTER: the recorded session, changed by jq, in $work/session.json.
variant() {
	jq "$1" "$session" >"$work/session.json"
}

# Nothing that a terminal could obey: no control bytes but newlines, no overrides.
assert_printable() {
	[ "$(LC_ALL=C tr -d '\n -~\200-\377' <"$1" | wc -c)" = 0 ]
	! LC_ALL=C grep -qE $'\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]' "$1" || false
}

@test "the report is the recorded one, byte for byte" {
	[ -e "$golden/report.md" ] || skip "tests/golden/report.md is not recorded yet"
	"$HOPSCOPE" report "$session" >"$work/report.md"
	diff -u "$golden/report.md" "$work/report.md"
}

@test "a file, its directory, stdin, -o FILE: the same report" {
	"$HOPSCOPE" report "$session" >"$work/a"
	"$HOPSCOPE" report "$golden" --format md >"$work/b"
	"$HOPSCOPE" report - <"$session" >"$work/c"
	"$HOPSCOPE" report -o "$work/d" "$session" >"$work/e"
	cmp "$work/a" "$work/b"
	cmp "$work/a" "$work/c"
	cmp "$work/a" "$work/d"
	[ ! -s "$work/e" ]
	assert_printable "$work/a"
}

@test "--format json is what bench wrote, byte for byte" {
	"$HOPSCOPE" report --format json "$session" | cmp - "$session"
	"$HOPSCOPE" report -f json "$session" | "$HOPSCOPE" report -f json - | cmp - "$session"
}

@test "every target is in the verdict table with its verdict and reason" {
	"$HOPSCOPE" report "$session" >"$work/report.md"
	[ "$(jq '.targets | length' "$session")" -gt 0 ]
	sed -n '/^## Verdict/,/^PASS:/p' "$work/report.md" | grep -o '| \*\*[A-Z ]*\*\* |' |
		tr -d '|*' | sed 's/^ *//; s/ *$//' >"$work/shown"
	jq -r '.targets[].verdict' "$session" | diff - "$work/shown"
}

@test "a partial run is marked at the top" {
	variant '.complete = false | .incomplete_reason = "a signal ended it"'
	"$HOPSCOPE" report "$work" >"$work/partial.md"
	[[ $(sed -n 3p "$work/partial.md") == "> **Partial run.** "*"a signal ended it"* ]]
	grep -q '^- Anything about what was to come' "$work/partial.md"
	"$HOPSCOPE" report "$session" >"$work/whole.md"
	! grep -q 'Partial run' "$work/whole.md" || false
	# nothing else changes: two lines (and a blank one) more, none less
	run diff "$work/whole.md" "$work/partial.md"
	[[ $output != *$'\n<'* ]]
	[ "$(grep -c '^>' <<<"$output")" = 3 ]
}

@test "what was not measured is NO DATA, and no number" {
	variant '.accounting = null | .overhead = null | .environment = null | .series = [] |
		.differences = [] | .configuration = null |
		(.phases[] | .latency, .rate_per_s, .events, .memory) = null |
		.targets[] |= (.value = null | .ci_low = null | .ci_high = null |
			.verdict = "NO DATA" | .reason = "nothing was measured")'
	"$HOPSCOPE" report "$work" >"$work/report.md"
	for section in Environment Configuration "What the kernel saw" Accounting \
		"The profiler's own cost"; do
		grep -A2 "^## $section\$" "$work/report.md" | grep -q 'NO DATA'
	done
	! grep -qiE '\bnan\b|\binf\b|null' "$work/report.md" || false
	! grep -qE '[0-9] (ns|us|ms) \(' "$work/report.md" || false
	! grep -qi 'sub-millisecond' "$work/report.md" || false
	! grep -q '\*\*PASS\*\*' "$work/report.md" || false
}

@test "a session without phases, targets or anything" {
	echo '{"schema": 1, "phases": []}' >"$work/session.json"
	"$HOPSCOPE" report "$work" >"$work/report.md"
	grep -q 'nothing was judged' "$work/report.md"
	grep -q '^> \*\*Partial run' "$work/report.md"
}

@test "an accounting that does not close is shown as such, whatever it says of itself" {
	variant '.accounting.matched += 1 | .accounting.holds = true'
	"$HOPSCOPE" report "$work" | grep -q '\*\*It does not close\*\*: off by 1\.'
}

@test "hostile names stay names" {
	variant '(.. | strings) |= (if test("^(rpc|events|services|memory|GROWING|STABLE|direct|forwarded|open|closed|PASS|FAIL|INCONCLUSIVE|NO DATA|INVALID|<=|>=)$")
		then . else "\u001b[2J\u0007\u202e<img src=x>|`**" + . end)'
	"$HOPSCOPE" report "$work" >"$work/report.md"
	assert_printable "$work/report.md"
	! grep -q '[^\\]<img' "$work/report.md" || false
	"$HOPSCOPE" report -f json "$work" >"$work/again.json"
	assert_printable "$work/again.json"
	jq -e --slurpfile a "$work/again.json" '. == $a[0]' "$work/session.json"
	# rows and columns are still those of the tables
	"$HOPSCOPE" report "$session" | grep -c '^|' >"$work/rows"
	[ "$(grep -c '^|' "$work/report.md")" = "$(cat "$work/rows")" ]
}

@test "a session cut short anywhere: exit code 1, nothing on stdout" {
	size=$(stat -c %s "$session")
	for part in 0 1 10 25 50 75 90 99; do
		head -c $((size * part / 100)) "$session" >"$work/session.json"
		run --separate-stderr "$HOPSCOPE" report "$work"
		[ "$status" = 1 ]
		[ -z "$output" ]
		[[ $stderr == *"cannot read session"*"cut short"* ]]
	done
}

@test "a schema of another version: exit code 1 and what to do" {
	variant '.schema = 2'
	run --separate-stderr "$HOPSCOPE" report "$work"
	[ "$status" = 1 ]
	[ -z "$output" ]
	[[ $stderr == *"schema is 2 and this hopscope knows 1"* ]]
}

@test "not a session: exit code 1" {
	for text in '' 'x' '[]' '{}' '{"schema": 1}' '{"schema": 1, "series": [], "final": true}' \
		'{"schema": 1, "phases": [{"latency": {"client": {"buckets": [[1e9, 1]]}}}]}'; do
		run --separate-stderr "$HOPSCOPE" report - <<<"$text"
		[ "$status" = 1 ]
		[ -z "$output" ]
		[[ $stderr == *"cannot read session from standard input: "* ]]
	done
	run --separate-stderr "$HOPSCOPE" report "$work/absent"
	[ "$status" = 1 ]
	[[ $stderr == *"$work/absent"*"No such file or directory"* ]]
}

@test "a wrong value is named by its place" {
	variant '.phases[0].latency.client.buckets[0][0] = 5000'
	run --separate-stderr "$HOPSCOPE" report "$work"
	[ "$status" = 1 ]
	[[ $stderr == *"phases[0].latency.client.buckets: "* ]]
}

@test "verdicts of the session are not report's: exit code 0 on a FAIL" {
	variant '.targets[0].verdict = "FAIL"'
	run --separate-stderr "$HOPSCOPE" report "$work"
	[ "$status" = 0 ]
	[ -z "$stderr" ]
}

@test "usage: exit code 2" {
	for args in "" "a b" "--nonsense x" "--format html $session" "-o" "$session --format"; do
		run --separate-stderr "$HOPSCOPE" report $args
		[ "$status" = 2 ]
		[ -z "$output" ]
		[ -n "$stderr" ]
	done
	run --separate-stderr "$HOPSCOPE" report --help
	[ "$status" = 0 ]
	[[ $output == *"usage: hopscope report SESSION"* ]]
}

@test "output that cannot be written: exit code 1" {
	run --separate-stderr "$HOPSCOPE" report -o /dev/full "$session"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write /dev/full: No space left on device"* ]]
	run --separate-stderr "$HOPSCOPE" report -o "$work/absent/x" "$session"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write $work/absent/x: "* ]]
	run --separate-stderr bash -c "'$HOPSCOPE' report '$session' >/dev/full"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write to standard output"* ]]
}
