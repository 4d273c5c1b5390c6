# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What `hopscope heap` makes of a record: redis-server under redis-benchmark, first LPUSH, then SET
# and DEL (`--record heap.json -d 8 -i 4 --sample 256k`: two lines). No root, no kernel.
# UPDATE=1 bats heap.bats writes heap*.txt anew: read the difference before you commit it.

bats_require_minimum_version 1.5.0

: "${HOPSCOPE:=$BATS_TEST_DIRNAME/../../build/hopscope}"

setup() {
	record=$BATS_TEST_DIRNAME/heap.json
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

@test "a record as table, folded stacks and JSON" {
	"$HOPSCOPE" heap --from "$record" -n 3 | golden heap.txt
	"$HOPSCOPE" heap --from "$record" --folded - >"$tmp/folded"
	golden heap_folded.txt <"$tmp/folded"
	# the folded stacks hold what the record holds, but for rounding
	jq -s '.[1]' "$record" >"$tmp/last"
	jq -e --argjson sum "$(awk '{ n += $NF } END { print n }' "$tmp/folded")" \
		'(.totals.bytes - $sum) | fabs < 50' "$tmp/last"
	# JSON comes out as it went in
	"$HOPSCOPE" heap --from "$record" --json | cmp - <(tail -n 1 "$record")
	"$HOPSCOPE" heap --from "$record@1" --json | jq -c .sites |
		cmp - <(head -n 1 "$record" | jq -c .sites)
}

@test "what grew between two records" {
	"$HOPSCOPE" heap --diff "$record@1" "$record@2" -n 2 --frames 2 | golden heap_diff.txt
	"$HOPSCOPE" heap --diff "$record@1" "$record" --json >"$tmp/diff"
	jq -e --slurpfile r "$record" '(.totals.grown_bytes -
		($r[1].totals.bytes - $r[0].totals.bytes) | fabs < 1) and
		([.sites[].grown_bytes] | . == (sort | reverse)) and (.grown_s - 4 | fabs < 0.2)' \
		"$tmp/diff"
	# nothing grew between a record and itself
	"$HOPSCOPE" heap --diff "$record" "$record" --json |
		jq -e '[.sites[].grown_bytes] | length > 3 and all(. == 0)'
	# before and now, for flamegraph.pl
	"$HOPSCOPE" heap --diff "$record@1" "$record" --folded - | awk '
		$(NF - 1) !~ /^[0-9]+$/ || $NF !~ /^[0-9]+$/ { exit 1 } { n++ } END { exit n < 4 }'
}

@test "several files at once, the same every time" {
	for run in 1 2; do
		mkdir "$tmp/$run"
		"$HOPSCOPE" heap --from "$record" --flame "$tmp/$run/f.svg" --folded "$tmp/$run/f.txt" \
			--pprof "$tmp/$run/f.pb.gz" --record "$tmp/$run/f.json" >"$tmp/$run/table"
	done
	diff -r "$tmp/1" "$tmp/2"
	[ "$(find "$tmp/1" -type f -size +100c | wc -l)" = 5 ]
	tail -n 1 "$record" | cmp - "$tmp/1/f.json"
	"$HOPSCOPE" heap --from "$record" --flame "$tmp/f.html" >/dev/null
	head -n 1 "$tmp/f.html" | grep -qx '<!DOCTYPE html>'
	if command -v xmllint >/dev/null; then
		xmllint --noout "$tmp/1/f.svg"
	fi
}

@test "pprof's format, as protoc sees it" {
	command -v protoc >/dev/null || skip 'protoc is not installed'
	"$HOPSCOPE" heap --from "$record" --pprof "$tmp/p.pb.gz" >/dev/null
	gunzip -c "$tmp/p.pb.gz" | protoc --decode=pprof.Profile \
		-I "$BATS_TEST_DIRNAME/../../src/out" profile.proto >"$tmp/p.txt"
	# every field is known, each sample has a value a type
	run grep -E '^ *[0-9]+:' "$tmp/p.txt"
	[ "$status" = 1 ]
	[ "$(grep -c '^sample_type {' "$tmp/p.txt")" = 6 ]
	[ "$(grep -c '^sample {' "$tmp/p.txt")" = "$(tail -n 1 "$record" | jq '.sites | length')" ]
	grep -qx 'string_table: "inuse_space"' "$tmp/p.txt"
	grep -qx 'string_table: "processCommand"' "$tmp/p.txt"
}

@test "pprof's format, as go tool pprof sees it" {
	command -v go >/dev/null || skip 'go is not installed'
	"$HOPSCOPE" heap --from "$record" --pprof "$tmp/p.pb.gz" >/dev/null
	PPROF_TMPDIR=$tmp go tool pprof -top -sample_index=inuse_space -unit=B "$tmp/p.pb.gz" \
		>"$tmp/top" 2>&1
	grep -q 'File: redis-check-rdb' "$tmp/top"
	grep -q 'lpInsert' "$tmp/top"
	total=$(sed -n 's/.*Total samples = \([0-9]*\)B.*/\1/p' "$tmp/top")
	tail -n 1 "$record" | jq -e --argjson t "$total" '(.totals.bytes - $t) | fabs < 50'
}

@test "what is no record is refused, with the reason" {
	refused() {
		run --separate-stderr "$HOPSCOPE" heap --diff "$1" "$record"
		[ "$status" = 1 ]
		[ -z "$output" ]
		[[ $stderr == *"$2"* ]]
	}
	refused "$tmp/none.json" 'No such file'
	refused "$record@3" 'there are 2 profiles in it, not 3'
	: >"$tmp/empty"
	refused "$tmp/empty" 'it is empty'
	head -c 5000 "$record" >"$tmp/cut"
	refused "$tmp/cut" 'object 1: '
	refused "$BATS_TEST_DIRNAME/session.json" 'this is no heap profile'
	sed 's/"schema":1/"schema":7/' "$record" >"$tmp/new"
	refused "$tmp/new" 'schema 7 is not known here'
	sed 's/"blocks":[0-9.]*,"label"/"blocks":-1,"label"/' "$record" >"$tmp/bad"
	refused "$tmp/bad" "sites[0]: 'blocks'"
	sed 's/"source":"pages"/"source":"allocs"/' "$record" >"$tmp/allocs"
	refused "$tmp/allocs" 'cannot be compared'
}

@test "usage: exit code 2 and what is wrong" {
	wrong() {
		local want=$1
		shift
		run --separate-stderr "$HOPSCOPE" heap "$@"
		[ "$status" = 2 ]
		[ -z "$output" ]
		[[ $stderr == *"$want"* ]]
	}
	wrong 'which process?'
	wrong "'web' is no PID; containers are given by --container" web
	wrong 'one PID at a time' 1 2
	wrong 'a PID or a --container, not both' --container web 1
	wrong '--diff takes two records' --diff a
	wrong '--from takes one' --from a b
	wrong '--exact or --sample' --exact --sample 4k 1
	wrong '--budget is for --allocs' --budget 1 1
	wrong "--sample: 'lots'" --sample lots 1
	wrong "--duration: '0'" -d 0 1
	wrong "--sort size: bytes, grown" --sort size 1
	wrong 'only one of the outputs' --folded - --json 1
	wrong 'unrecognized option' --nonsense 1
}

@test "a file that cannot be written is a run-time error" {
	run --separate-stderr "$HOPSCOPE" heap --from "$record" --flame /nonexistent/f.svg
	[ "$status" = 1 ]
	[[ $stderr == *'cannot write /nonexistent/f.svg: No such file'* ]]
	run --separate-stderr "$HOPSCOPE" heap --from "$record" --pprof /dev/full
	[ "$status" = 1 ]
	[[ $stderr == *'cannot write /dev/full: No space left on device'* ]]
	run --separate-stderr bash -c '"$0" heap --from "$1" >/dev/full' "$HOPSCOPE" "$record"
	[ "$status" = 1 ]
	[[ $stderr == *'cannot write'* ]]
}

@test "a link is not followed, and an old file stays until there is something to write" {
	echo precious >"$tmp/file"
	ln -s file "$tmp/link"
	run --separate-stderr "$HOPSCOPE" heap --from "$record" --flame "$tmp/link"
	[ "$status" = 1 ]
	[[ $stderr == *"cannot write $tmp/link: it is a symbolic link to a file"* ]]
	# the second output cannot be opened: nothing was written to the first
	run --separate-stderr "$HOPSCOPE" heap --from "$record" --folded "$tmp/file" --pprof /nonexistent/p
	[ "$status" = 1 ]
	[ "$(cat "$tmp/file")" = precious ]
	"$HOPSCOPE" heap --from "$record" --folded "$tmp/file" >/dev/null
	golden heap_folded.txt <"$tmp/file"
	# what is no file may be reached by a link
	"$HOPSCOPE" heap --from "$record" --folded /dev/stdout | golden heap_folded.txt
	"$HOPSCOPE" heap --from "$record" --folded >(cat >"$tmp/piped") >/dev/null
	for ((i = 0; i < 100; i++)); do
		cmp -s "$tmp/file" "$tmp/piped" && break
		sleep 0.05
	done
	cmp "$tmp/file" "$tmp/piped"
}

@test "two outputs are not one file" {
	touch "$tmp/a"
	ln "$tmp/a" "$tmp/b"
	run --separate-stderr "$HOPSCOPE" heap --from "$record" --folded "$tmp/a" --record "$tmp/b"
	[ "$status" = 1 ]
	[[ $stderr == *"$tmp/a and $tmp/b are the same file"* ]]
	run --separate-stderr bash -c '"$0" heap --from "$1" --folded "$2" >"$2"' "$HOPSCOPE" "$record" \
		"$tmp/a"
	[ "$status" = 1 ]
	[[ $stderr == *"$tmp/a is what standard output goes to"* ]]
	"$HOPSCOPE" heap --from "$record" --folded /dev/null --pprof /dev/null >/dev/null
	run --separate-stderr "$HOPSCOPE" heap --from "$record" --folded - --pprof /dev/stdout
	[ "$status" = 2 ]
	[[ $stderr == *'only one of the outputs'* ]]
}

@test "what was lost is said where no table is printed" {
	tail -n 1 "$record" | jq -c '.counters.blocks_lost = 12 | .counters.allocs = 99 |
		.overhead.stopped = "stopped after 3 s" | .notes = ["a note"]' >"$tmp/lossy"
	for output in folded flame pprof; do
		run --separate-stderr "$HOPSCOPE" heap --from "$tmp/lossy" --$output -
		[ "$status" = 0 ]
		grep -qx 'hopscope: warning: 12 blocks not followed: the table was full' <<<"$stderr"
		grep -qx 'hopscope: warning: stopped after 3 s' <<<"$stderr"
		grep -qx 'hopscope: warning: a note' <<<"$stderr"
		[[ $stderr != *99* ]]
	done
	run --separate-stderr "$HOPSCOPE" heap --from "$tmp/lossy" --json
	[ -z "$stderr" ]
}

@test "an output that fails stops no other" {
	run --separate-stderr "$HOPSCOPE" heap --from "$record" --folded /dev/full --record "$tmp/r"
	[ "$status" = 1 ]
	[[ $stderr == *'cannot write /dev/full'* ]]
	[ -n "$output" ]
	tail -n 1 "$record" | cmp - "$tmp/r"
}
