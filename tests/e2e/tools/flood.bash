# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# For hostile.bats, heavy.bats and lossy.bats, after `load helpers` and `load tools/trace`: floods of
# requests that keep an account of themselves, and what hopscope uses meanwhile.

flood_targets() {
	programs=${HOPSCOPE%/*}/tests/e2e/tools
	[ -x "$programs/flood" ] && [ -x "$programs/hostile" ] && [ -x "$programs/lossy_link" ] &&
		[ -x "$programs/with_pid" ] ||
		make -C "$E2E_ROOT" BUILD="${HOPSCOPE%/*}" test-binaries >&2
}

# flood_setup [COMMAND]...: and what else the tests need.
flood_setup() {
	e2e_setup
	need_bpf
	need_command nats-server jq "$@"
	flood_targets
}

# flood NAME nats|http PORT WHAT [OPTION=VALUE]...: its account is then in $(out_of NAME).
flood() {
	local name=$1 kind=$2 port=$3
	shift 3
	timeout 120 "$programs/flood" "$kind" 127.0.0.1 "$port" "$@" >"$(out_of "$name")" 3>&-
}

# flood_spawn NAME nats|http PORT WHAT [OPTION=VALUE]...: the same in the background.
flood_spawn() {
	local name=$1 kind=$2 port=$3
	shift 3
	spawn_out "$name" "$(out_of "$name")" "$programs/flood" "$kind" 127.0.0.1 "$port" "$@"
}

# within NAME FLOOD [http]: what passed the kernel at the clients' sockets lies within what the flood saw
# itself: the longest, and all of them together.
within() {
	jq -es --arg proto "${3:-nats}" '.[1] as $f | [.[0].series[] | select(.role == "client" and
			.proto == $proto and .part == null and .mean_ns != null)] |
		length > 0 and all(.max_ns <= $f.max_ns) and
		(map(.mean_ns * .count) | add) <= $f.sum_ns' \
		"$BATS_TEST_TMPDIR/$1.final" "$(out_of "$2")" >/dev/null || {
		echo "'$1' is not within '$2':" >&2
		jq -c '.series[:20][] | [.role, .route, .status, .count, .min_ns, .mean_ns, .max_ns]' \
			"$BATS_TEST_TMPDIR/$1.final" >&2
		cat "$(out_of "$2")" >&2
		return 1
	}
}

# settled NAME: the last interval that it printed has nothing in flight.
settled() {
	[ "$(tail -n 1 "$(out_of "$1")" | jq .accounting.in_flight)" = 0 ]
}

# use_watch NAME: from now on, how many KiB that process has in memory and how many files are open,
# ten times a second, in $BATS_TEST_TMPDIR/NAME.use.
use_watch() {
	spawn_out "use-$1" "$BATS_TEST_TMPDIR/$1.use" bash -c '
		while rss=$(awk "/^VmRSS/ { print \$2 }" "/proc/$0/status") && [ -n "$rss" ]; do
			files=(/proc/$0/fd/*)
			echo "$rss ${#files[@]}"
			sleep 0.1
		done' "$(pid_of "$1")"
}

# use_flat NAME KIB: the most memory in the last quarter of the time is no more than so much above the most
# in the second one (what it needs is there after the first one), and no more files stay open: the fewest
# count, as one that is read and closed again (of /proc) can be there in any reading.
use_flat() {
	awk -v most="$2" '
		{ rss[NR] = $1; files[NR] = $2 }
		END {
			for (i = 1; i <= NR; i++) {
				q = i <= NR / 4 ? 1 : i <= NR / 2 ? 2 : i > NR * 3 / 4 ? 4 : 3
				if (rss[i] > r[q]) r[q] = rss[i]
				if (!f[q] || files[i] < f[q]) f[q] = files[i]
			}
			printf "%d readings, by quarters: %d %d %d %d KiB; %d %d %d %d files\n", NR,
				r[1], r[2], r[3], r[4], f[1], f[2], f[3], f[4]
			exit !(NR >= 16 && r[4] <= r[2] + most && f[4] <= f[2])
		}' "$BATS_TEST_TMPDIR/$1.use" >"$BATS_TEST_TMPDIR/$1.flat" || {
		uniq -c "$BATS_TEST_TMPDIR/$1.use" >&2
		cat "$BATS_TEST_TMPDIR/$1.flat" >&2
		return 1
	}
	[ -z "${FLOOD_VERBOSE:-}" ] || sed 's/^/# /' "$BATS_TEST_TMPDIR/$1.flat" >&3
}
