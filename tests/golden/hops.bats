# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What `hopscope hops` makes of a record: the last line of `hops -d 12 -i 12 --slowest 2 --sched
# --json` beside RPC through a cluster of three, some of it through socat and ssh (four of the 41
# ways, and without `series` and the like). No root, no kernel.
# hops_deliveries.json is the same of `hops --deliveries --sched --slowest 1` beside two nats-servers in
# a cluster: 2,000 messages to a subscriber at each, and 500 requests.
# UPDATE=1 bats hops.bats writes the .txt, .md and .svg files anew: read the difference, and look at the
# picture, before you commit it.

bats_require_minimum_version 1.5.0

: "${HOPSCOPE:=$BATS_TEST_DIRNAME/../../build/hopscope}"

setup() {
	record=$BATS_TEST_DIRNAME/hops.json
	tmp=$BATS_TEST_TMPDIR
}

# golden NAME: what is on stdin is what tests/golden/NAME holds.
golden() {
	if [ -n "${UPDATE:-}" ]; then
		cat >"$BATS_TEST_DIRNAME/$1"
	else
		diff -u "$BATS_TEST_DIRNAME/$1" -
	fi
}

# variant FILTER: the record, changed by jq, in $tmp/record.
variant() {
	jq -c "$1" "$record" >"$tmp/record"
}

# Nothing that a terminal could obey: no control bytes but newlines, no overrides.
assert_printable() {
	[ "$(LC_ALL=C tr -d '\n -~\200-\377' <"$1" | wc -c)" = 0 ]
	! LC_ALL=C grep -qE $'\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]' "$1" || false
}

@test "a record as waterfalls, Markdown, a picture and JSON" {
	"$HOPSCOPE" hops --from "$record" --md "$tmp/md" --svg "$tmp/svg" >"$tmp/txt"
	golden hops.txt <"$tmp/txt"
	golden hops.md <"$tmp/md"
	golden hops.svg <"$tmp/svg"
	"$HOPSCOPE" hops --from - --json <"$record" | jq -cS . | cmp - <(jq -cS . "$record")
	"$HOPSCOPE" hops --from "$record" --svg - | cmp - "$tmp/svg"
	"$HOPSCOPE" hops --from "$record" --md - | cmp - "$tmp/md"
	if command -v xmllint >/dev/null; then
		xmllint --noout "$tmp/svg"
	fi
}

@test "a record of deliveries, beside exchanges" {
	record=$BATS_TEST_DIRNAME/hops_deliveries.json
	"$HOPSCOPE" hops --from "$record" --md "$tmp/md" --svg "$tmp/svg" >"$tmp/txt"
	golden hops_deliveries.txt <"$tmp/txt"
	golden hops_deliveries.md <"$tmp/md"
	golden hops_deliveries.svg <"$tmp/svg"
	"$HOPSCOPE" hops --from "$record" --json | jq -cS . | cmp - <(jq -cS . "$record")
	# Each message reached both subscribers, by one way each; there is only the way there.
	jq -e '[.hops[] | select(.one_way) | .count] == [2000, 2000] and .hop_accounting.delivered == 4000 and
		.hop_accounting.complete == 500 and ([.hops[] | select(.one_way) | .edges[].direction] | unique) == ["there"] and
		all(.hops[]; (([.edges[].mean_ns] | add) - .rtt_mean_ns | fabs) < 1 and .residual_p50_ns == 0)' "$record"
	[ "$(grep -c 'orders\.created.*: 2,000 deliveries, way [12] of 2 (50\.0 %)' "$tmp/txt")" = 2 ]
	grep -q '^followed hop by hop: 500 exchanges, 4,000 deliveries' "$tmp/txt"
	# Without the field they are taken for exchanges, of which there is no way back: not a record.
	variant 'del(.hops[].one_way)'
	run --separate-stderr "$HOPSCOPE" hops --from "$tmp/record"
	[ "$status" = 1 ]
	[[ $stderr == *"hops[0]: 'edges' are not those of 'spans'"* ]]
}

@test "the picture of the README is what two of the ways look like now" {
	variant '.hops |= [.[1], .[3]] | .timelines = []'
	"$HOPSCOPE" hops --from "$tmp/record" --svg - | diff -u "$BATS_TEST_DIRNAME/../../docs/hops.svg" -
}

@test "in the record the means of the edges are the round trip's" {
	jq -e '.hops | length == 4 and all(
		(([.edges[].mean_ns] | add) - .rtt_mean_ns | fabs) < 1e-6 * .rtt_mean_ns and
		(([.edges[] | select(.kind | IN("opaque", "beyond")) | .mean_ns] | add // 0) - .residual_mean_ns | fabs)
			< 1e-6 * .rtt_mean_ns and
		([.edges[] | select(.kind | IN("opaque", "beyond")) | .p50_ns] |
			if length > 1 then null else .[0] // 0 end) == .residual_p50_ns and
		(.edges | length) == 2 * (.spans | length) - 1)' "$record"
	# and what is queued is part of its edge
	jq -e '[.hops[].edges[] | select(.queue_mean_ns)] | length > 20 and
		all(.queue_mean_ns <= .mean_ns and .run_queue_mean_ns <= .queue_mean_ns)' "$record"
}

@test "--rows and --route choose ways; the accounting stays" {
	"$HOPSCOPE" hops --from "$record" -n 1 >"$tmp/one"
	grep -qx '... and 3 more ways (--rows 0 prints all)' "$tmp/one"
	"$HOPSCOPE" hops --from "$record" --route 'none.*' >"$tmp/none"
	grep -qx 'NO DATA: no exchange was seen of such a route' "$tmp/none"
	grep -q '^followed hop by hop: [1-9]' "$tmp/none"
	[ "$(grep -c 'one by one\|slow$' "$tmp/none")" = 0 ]
	"$HOPSCOPE" hops --from "$record" --route 'none.*' --json |
		jq -e '.hops == [] and .timelines == [] and .hop_accounting.complete > 0'
	variant '.hops = [] | .timelines = [] | .hop_accounting = {}'
	"$HOPSCOPE" hops --from "$tmp/record" --md "$tmp/md" --svg "$tmp/svg" >"$tmp/txt"
	grep -qx 'NO DATA: no exchange was seen' "$tmp/txt"
	grep -q 'NO DATA' "$tmp/md"
	grep -q 'NO DATA' "$tmp/svg"
}

@test "what was lost is said" {
	variant '.hop_accounting |= (.table_full = 2 | .abandoned = 1 | .unanswered = 40 |
		.sampled_out = 3000)'
	"$HOPSCOPE" hops --from "$tmp/record" --md "$tmp/md" >"$tmp/txt"
	grep -q 'exchanges not followed: table_full 2, abandoned 1; spans left out '`
		`'(their time is in the hop around them): unanswered 40; not looked at, as asked: sampled_out 3,000' "$tmp/txt"
	grep -q 'table_full 2' "$tmp/md"
	variant '.hops[0].edges[2].mean_ns += 1000'
	"$HOPSCOPE" hops --from "$tmp/record" >"$tmp/txt"
	grep -q 'read in motion: does not add up .*-1.00us' "$tmp/txt"
}

@test "names of others steer neither a terminal nor a browser" {
	variant '(.hops[0], .timelines[0]) |= (.route = "a\u001b[2J<script>|`*_\u202e" |
		.spans[1].comm = "x\u0007</title>&" | .spans[2].container = "/]]><b>\u009b")'
	"$HOPSCOPE" hops --from "$tmp/record" --md "$tmp/md" --svg "$tmp/svg" >"$tmp/txt"
	assert_printable "$tmp/txt"
	assert_printable "$tmp/md"
	assert_printable "$tmp/svg"
	[ "$(grep -c '<script>\|<b>' "$tmp/svg")" = 0 ]
	[ "$(grep -c '[^\\]<script>' "$tmp/md")" = 0 ]
	grep -q '&lt;script&gt;' "$tmp/svg"
	if command -v xmllint >/dev/null; then
		xmllint --noout "$tmp/svg"
	fi
}

@test "what is no record is refused, with the reason" {
	refused() {
		run --separate-stderr "$HOPSCOPE" hops --from "$1"
		[ "$status" = 1 ]
		[ -z "$output" ]
		[[ $stderr == *"$2"* ]]
	}
	refused "$tmp/none" 'No such file'
	: >"$tmp/empty"
	refused "$tmp/empty" 'it is empty'
	head -c 5000 "$record" >"$tmp/cut"
	refused "$tmp/cut" 'not JSON'
	refused "$BATS_TEST_DIRNAME/session.json" 'it has no "hops"'
	variant '.schema = 2'
	refused "$tmp/record" 'its schema is 2 and this hopscope knows 1'
	variant '.hops[0] |= (.rtt = {mean_ns: .rtt_mean_ns} | del(.rtt_mean_ns))'
	refused "$tmp/record" "hops[0]: it has no 'rtt_mean_ns'"
	variant '.hops[1].spans[2].parent = 5'
	refused "$tmp/record" "hops[1]: 'parent' is no whole number from 0 to 1"
	variant '.hops[0].edges |= .[1:]'
	refused "$tmp/record" "hops[0]: 'edges' are not those of 'spans'"
	variant '.hops[0].count = -1'
	refused "$tmp/record" "hops[0]: 'count'"
	variant '.hops[0].edges[0].mean_ns = null'
	refused "$tmp/record" "hops[0]: an edge has no 'mean_ns'"
	variant '.timelines[0].spans[0].reply_ns = null'
	refused "$tmp/record" 'timelines[0]: its spans are not nested'
}

@test "usage: exit code 2 and what is wrong" {
	wrong() {
		local want=$1
		shift
		run --separate-stderr "$HOPSCOPE" hops "$@"
		[ "$status" = 2 ]
		[ -z "$output" ]
		[[ $stderr == *"$want"* ]]
	}
	wrong "hops takes no argument: 'x'" x
	wrong "--slowest: '0'" --slowest 0
	wrong "--sample: 'some'" --sample some
	wrong "--sample-hops: '-1'" --sample-hops -1
	wrong "--duration: '0'" -d 0
	wrong '--tls maybe: on, off or auto' --tls maybe
	wrong 'unknown protocol' --proto smtp
	wrong '--from prints what was recorded' --from "$record" --deliveries
	wrong '--from prints what was recorded' --from "$record" --pid 1
	wrong 'only one of the outputs' --json --svg -
	wrong 'only one of the outputs' --md - --svg -
	wrong 'unrecognized option' --nonsense
}

@test "files are written with care" {
	run --separate-stderr "$HOPSCOPE" hops --from "$record" --svg /nonexistent/f.svg
	[ "$status" = 1 ]
	[[ $stderr == *'cannot write /nonexistent/f.svg: No such file'* ]]
	run --separate-stderr "$HOPSCOPE" hops --from "$record" --svg /dev/full
	[ "$status" = 1 ]
	[[ $stderr == *'cannot write /dev/full'* ]]
	echo precious >"$tmp/file"
	ln -s file "$tmp/link"
	run --separate-stderr "$HOPSCOPE" hops --from "$record" --svg "$tmp/link"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write $tmp/link: it is a symbolic link to a file"* ]]
	run --separate-stderr "$HOPSCOPE" hops --from "$tmp/none" --svg "$tmp/file"
	[ "$status" = 1 ]
	[ "$(cat "$tmp/file")" = precious ]
	run --separate-stderr "$HOPSCOPE" hops --from "$record" --svg "$tmp/file" --md "$tmp/file"
	[ "$status" = 1 ]
	[[ $stderr == *'are the same file'* ]]
	# What does not fit is taken back, not left as a half.
	run --separate-stderr bash -c 'trap "" XFSZ; ulimit -f 4; exec "$@"' - \
		"$HOPSCOPE" hops --from "$record" --svg "$tmp/file" --md "$tmp/md"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write $tmp/file: File too large"* ]]
	[[ $stderr == *"cannot write $tmp/md: File too large"* ]]
	[ ! -s "$tmp/file" ]
	[ ! -s "$tmp/md" ]
	"$HOPSCOPE" hops --from "$record" --svg "$tmp/file" >/dev/null
	golden hops.svg <"$tmp/file"
}
