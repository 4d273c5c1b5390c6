# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# For trace*.bats, after `load helpers`: a trace in the background, and what it counted.
#
#	trace_start t --port "$NATS_PORT"
#	node_run requests '{"url": "...", "n": 100}' >"$BATS_TEST_TMPDIR/client"
#	trace_stop t
#	check t clean 'view($p + ".echo") == {"client ok": $n, ...}'

nodejs=$BATS_TEST_DIRNAME/nodejs
tools=$BATS_TEST_DIRNAME/tools

# npm's nats, as the lock file has it. Several test files may want it at once.
node_ready() {
	need_command node npm
	(
		flock 9
		[ -e "$nodejs/node_modules/.package-lock.json" ] || npm ci --prefix "$nodejs"
	) 9<"$nodejs/package.json" >&2
}

# node_run SCRIPT OPTIONS: in the foreground.
node_run() {
	timeout 60 node "$nodejs/$1.js" "$2" 3>&-
}

# node_spawn NAME SCRIPT OPTIONS [WORD]: in the background, its output in $(out_of NAME), until it
# says the word (ready).
node_spawn() {
	spawn_out "$1" "$(out_of "$1")" node "$nodejs/$2.js" "$3"
	wait_said "$1" "${4:-ready}"
}

# Tells all that this test started to end, at once: e2e_teardown then need not wait for one after
# the other.
stop_all() {
	[ ${#e2e_pids[@]} = 0 ] || kill "${e2e_pids[@]}" 2>/dev/null || true
}

out_of() {
	echo "$BATS_TEST_TMPDIR/$1.out"
}

# wait_said NAME WORD [SECONDS]: until WORD stands in the log of NAME; at once when NAME ended.
wait_said() {
	local pid
	pid=$(pid_of "$1")
	wait_until "${3:-20}" said_or_ended "$1" "$2" "$pid"
	grep -q "$2" "$(log_of "$1")" || {
		echo "'$1' did not say '$2', but:" >&2
		cat "$(log_of "$1")" >&2
		return 1
	}
}

said_or_ended() {
	grep -q "$2" "$(log_of "$1")" || ! e2e_alive "$3"
}

# trace_start NAME [OPTIONS]: returns when the probes are attached.
trace_start() {
	trace_spawn "$@"
	trace_ready "$1"
}

# The same in two steps, for several at once: loading takes half a second of a core.
trace_spawn() {
	local name=$1
	shift
	spawn_out "$name" "$(out_of "$name")" "$HOPSCOPE" trace --json "$@"
}

trace_ready() {
	local name
	for name in "$@"; do
		wait_said "$name" 'tracing NATS'
	done
}

# trace_stop NAME: Ctrl-C. The total is then in $BATS_TEST_TMPDIR/NAME.final.
trace_stop() {
	local rc=0
	stop "$1" INT || rc=$?
	[ $rc = 0 ] || {
		echo "trace '$1' ended with code $rc" >&2
		return 1
	}
	trace_final "$1"
}

# Exactly one line is final, and it is the last.
trace_final() {
	jq -ces 'if ([.[] | .final] | index(true)) == length - 1 then last else error("no total") end' \
		"$(out_of "$1")" >"$BATS_TEST_TMPDIR/$1.final"
}

# What `check` knows:
#   view(route)   {"ROLE STATUS": count} of a route
#   routes        the names, in order
#   identity      the books are closed: sums and their reasons, and the series against them
#   clean         and everything was answered, framed and known
prelude='
def wholes: .series[] | select(.part == null);
def view(r): reduce (wholes | select(.route == r)) as $s ({};
	.[$s.role + " " + $s.status] += $s.count);
def all: reduce wholes as $s ({}; .[$s.role + " " + $s.status] += $s.count);
def routes: [.series[].route] | unique;
def given_up: [wholes | select(.status == "unanswered").count] | add // 0;
def measured: [wholes | select(.status | IN("unanswered", "proto_err") | not).count] | add // 0;
def sums: .accounting |
	.seen + .in_flight_before ==
		.matched + .one_way + .in_flight + .unanswered + .dropped and
	.bytes_seen == .bytes_framed + .bytes_unparsed and
	(.reasons as $r |
		.one_way == $r.no_reply + $r.pull + $r.internal + $r.ambiguous + $r.listener +
			$r.no_answer + $r.push and
		.unanswered == $r.timeout + $r.closed + $r.superseded + $r.not_answered and
		.dropped == $r.table_full + $r.gap_lost + $r.no_memory + $r.id_long and
		.orphans == $r.orphan and
		.bytes_unparsed == $r.gap + $r.resync + $r.bad + $r.unknown + $r.refused);
def identity: sums and measured == .accounting.matched and given_up == .accounting.unanswered and
	.accounting.settled and .accounting.holds;
def clean: identity and ([.accounting |
	.orphans, .unanswered, .dropped, .in_flight, .bytes_unparsed, .reasons.busy] | all(. == 0));
'

# Every request of a route, in the views of all four sockets that it passes.
four='{"client ok": $n, "broker ok": $n, "broker_out ok": $n, "service ok": $n}'

# check NAME EXPRESSION...: each holds for the total of NAME. $p (string) and $n (number) are the
# variables of the test.
check() {
	local name=$1 expression
	shift
	# All at once; one by one only to find the culprit.
	! holds "$name" "$(printf '(%s) and ' "$@")true" || return 0
	once_more "$name"
	for expression in "$@"; do
		holds "$name" "$expression" || {
			echo "does not hold for '$name': $expression" >&2
			jq "$prelude"' {series: [.series[] | "\(.role) \(.route) \(.container)" +
				" \(.status) \(.count)"][:40], accounting: (.accounting |
				del(.reasons[] | select(. == 0)))}' "$BATS_TEST_TMPDIR/$name.final" >&2
			return 1
		}
	done
	return 1
}

# once_more NAME: a processor was taken away in the middle of a segment, for longer than another one waits for
# it: the probe counts what it passed over, and nothing can be exact then. The test has a second try,
# and tests/run tells of it. Not where a test loses packets itself ($loses_packets).
once_more() {
	local lost
	[ -z "${loses_packets:-}" ] && [ "$BATS_TEST_TRY_NUMBER" = 1 ] || return 0
	lost=$(jq -r '.accounting.reasons | select(.busy > 0 or .gap > 0) |
		"\(.busy) segments and \(.gap) bytes passed over"' "$BATS_TEST_TMPDIR/$1.final")
	[ -n "$lost" ] || return 0
	BATS_TEST_RETRIES=1
	echo "# again: $BATS_TEST_DESCRIPTION: $lost" >&3
}

holds() {
	jq -e --arg p "${p:-}" --argjson n "${n:-0}" "$prelude $2" "$BATS_TEST_TMPDIR/$1.final" >/dev/null
}

# expect FILE EXPRESSION...: the same for any JSON.
expect() {
	local file=$1 expression
	shift
	for expression in "$@"; do
		jq -e --arg p "${p:-}" --argjson n "${n:-0}" "$expression" "$file" >/dev/null || {
			echo "does not hold for $file: $expression" >&2
			head -c 2000 "$file" >&2
			return 1
		}
	done
}

# fails CMD...: `! cmd` does not end a bats test.
fails() {
	! "$@"
}
