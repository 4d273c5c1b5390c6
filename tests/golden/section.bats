# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# "Hop by hop" in the reports of runs whose load was followed: section_nats.json and section_gateway.json are
# real runs of the scenarios beside them, without what no test here reads. To record them anew, with the
# folder scenarios/gateway beside the second one:
#   build/hopscope bench section_nats.yaml --out DIR
#   jq 'del(.series, .containers) | .phases |= map(select(.kind == "hops" or .mode == "closed"))' DIR/session.json |
#       build/hopscope report -f json - >tests/golden/section_nats.json
# UPDATE=1 bats section.bats writes the .md and .svg files anew: read the difference, and look at the
# pictures, before you commit it.

bats_require_minimum_version 1.5.0

: "${HOPSCOPE:=$BATS_TEST_DIRNAME/../../build/hopscope}"

setup() {
	golden=$BATS_TEST_DIRNAME
	work=$BATS_TEST_TMPDIR
}

# golden NAME: what is on stdin is what tests/golden/NAME holds.
golden() {
	if [ -n "${UPDATE:-}" ]; then
		cat >"$golden/$1"
	else
		diff -u "$golden/$1" -
	fi
}

# section SESSION: that of its report, and the sentences of the summary.
section() {
	"$HOPSCOPE" report "$1" >"$work/report.md"
	grep -E '^- \*\*(hops |Hop by hop)' "$work/report.md" || echo '(no sentence)'
	echo
	sed -n '/^## Hop by hop$/,/^## /p' "$work/report.md" | sed '$d'
}

# variant NAME FILTER: a session, changed by jq: its section in $work/section.
variant() {
	jq "$2" "$golden/section_$1.json" >"$work/session.json"
	section "$work/session.json" >"$work/section"
}

# lacks GREP-OPTIONS: it is not there. (The status of `! grep` would be nobody's.)
lacks() {
	if grep "$@"; then
		echo "found: $*" >&2
		return 1
	fi
}

@test "sentences, waterfalls and pictures are the recorded ones" {
	section "$golden/section_nats.json" | golden section_nats.md
	section "$golden/section_gateway.json" | golden section_gateway.md
	"$HOPSCOPE" report "$golden/section_nats.json" -f hops_direct.svg | golden section_direct.svg
	"$HOPSCOPE" report "$golden/section_nats.json" -f hops_forwarded.svg | golden section_forwarded.svg
	"$HOPSCOPE" report "$golden/section_gateway.json" -f hops.svg | golden section_gateway.svg
	run ! "$HOPSCOPE" report "$golden/section_nats.json" -f hops.svg
	for f in nats gateway; do
		"$HOPSCOPE" report "$golden/section_$f.json" -f json | cmp - "$golden/section_$f.json"
	done
}

@test "in the sessions parts are the whole, and none of the calls is missing" {
	for f in nats gateway; do
		jq -e '[.phases[] | select(.kind == "hops")] | length >= 1 and all(
			([.hops[].count] | add) == .succeeded and .hop_accounting.complete == .succeeded and
			all(.hops[]; (([.edges[].mean_ns] | add) - .rtt_mean_ns | fabs) < 1))' \
			"$golden/section_$f.json"
	done
}

# What the report says is most is most: by a sum of its own over processes, of the same session.
@test "the hop that is named holds the most" {
	for path in direct forwarded; do
		best=$(jq -r '[.phases[] | select(.name == "hops '$path'").hops[] | . as $w | .edges[] |
			{place: (if .kind == "network" then "network" else .from + " " + .to end |
				if . == "network" then . else (capture("@(?<n>[a-z0-9-]+)").n) end),
			 ns: ($w.count * .mean_ns)}] | group_by(.place) | map({place: .[0].place, ns: ([.[].ns] | add)}) |
			max_by(.ns).place' "$golden/section_nats.json")
		section "$golden/section_nats.json" >"$work/section"
		grep -qE "^- \*\*hops $path\*\*: the largest part of a round trip, of [0-9.]+ [a-z]+ on average, is [^;]*$best with [0-9.]+ %; " "$work/section"
	done
}

@test "what was not followed is NO DATA, and no number; what is missing is said" {
	variant nats 'del(.phases[] | select(.kind == "hops"))'
	grep -qx '(no sentence)' "$work/section"
	grep -qx 'NO DATA: the calls were not followed hop by hop\.' "$work/section"
	variant nats '(.phases[] | select(.kind == "hops").hops) = []'
	[ "$(grep -c '^- \*\*hops .*NO DATA: no exchange that succeeded was followed' "$work/section")" = 2 ]
	lacks -q '\.svg' "$work/section"
	variant nats '(.phases[] | select(.kind == "hops")) |= (.succeeded += 3 | .failed = 2 |
		.hop_accounting.table_full = 3)'
	[ "$(grep -c ', \*\*2 failed\*\*; .* followed, \*\*3 fewer\*\*\.' "$work/section")" = 2 ]
	[ "$(grep -c 'exchanges not followed: table_full 3' "$work/section")" = 2 ]
	variant nats '(.phases[] | select(.kind == "hops")).invalid = "the kernel saw 3 answers"'
	[ "$(grep -c '^- \*\*hops .*INVALID: the kernel saw 3 answers\.$' "$work/section")" = 2 ]
	[ "$(grep -c '^\*\*INVALID\*\*: the kernel saw 3 answers\.$' "$work/section")" = 2 ]
}

# It was measured: NO DATA would not be true.
@test "hops that cannot be read are refused, with the reason" {
	refused() { # SESSION FILTER REASON
		jq "$2" "$golden/$1.json" >"$work/session.json"
		run --separate-stderr "$HOPSCOPE" report "$work/session.json"
		[ "$status" = 1 ]
		[ -z "$output" ]
		[[ $stderr == *"$3"* ]]
	}
	refused section_nats '(.phases[] | select(.kind == "hops").hops[0].edges) |= .[1:]' \
		"phases[2]: hops[0]: 'edges' are not those of 'spans'"
	refused section_nats '(.phases[] | select(.kind == "hops").hop_accounting.table_full) = "2"' \
		'phases[2].hop_accounting: has a member of the wrong type'
	# The names that they had once.
	for f in section_nats section_gateway portforward_session; do
		refused $f '(.phases[].hops? // [] | .[]) |= (.rtt = {mean_ns: .rtt_mean_ns} | del(.rtt_mean_ns))' \
			"]: hops[0]: it has no 'rtt_mean_ns'"
	done
}

@test "names of others steer neither a terminal nor a browser" {
	variant nats '(.phases[] | select(.kind == "hops").hops[]) |= (.route = "a\u001b[2J<script>|`*" |
		.spans[1].comm = "x\u0007</title>&" | .spans[-1].container = "/]]><b>\u009b")'
	"$HOPSCOPE" report "$work/session.json" -f hops_direct.svg >"$work/svg"
	for f in section svg; do
		[ "$(LC_ALL=C tr -d '\n -~\200-\377' <"$work/$f" | wc -c)" = 0 ]
		LC_ALL=C lacks -qE $'\xc2[\x80-\x9f]' "$work/$f"
	done
	lacks -q '[^\\]<script>' "$work/section"
	lacks -q '<script>\|<b>' "$work/svg"
}
