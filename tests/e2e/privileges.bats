#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Commands with few privileges: as a user who is not root, with exactly the capabilities that
# docs/privileges.md names, and with each of them taken away in turn; what a command still has and
# may do once it runs; what it never writes.

load helpers
load tools/trace
load tools/nats_raw

MARKER=PAYLOADsecret4711

setup() {
	e2e_setup
	need_bpf
	need_command jq setpriv nats-server
	cgroup=''
	# nobody can look into neither bats' directory nor a build below /root.
	open=$(mktemp -d "${TMPDIR:-/tmp}/hopscope-privileges.XXXXXX")
	chmod 755 "$open"
	cp "$HOPSCOPE" "$open/hopscope"
	"$HOPSCOPE" doctor --json >"$BATS_TEST_TMPDIR/doctor" 2>/dev/null || true
}

teardown() {
	local rc=0
	exec 5>&- 6>&- 7>&- 8>&- || true
	stop_all
	e2e_teardown || rc=1
	rm -rf "$open"
	[ -z "$cgroup" ] || rmdir "$cgroup" || rc=1
	return $rc
}

# caps required|useful|kept COMMAND: one a line, as setpriv calls them.
caps() {
	jq -r --arg c "$2" --arg which "$1" '.capabilities[] | select(.command == $c) | .[$which][] |
		sub("CAP_"; "") | ascii_downcase' "$BATS_TEST_TMPDIR/doctor"
}

# as "CAP CAP" CMD...: becomes nobody, with these and no other, ambient. Not to be called but in a
# shell of its own: `spawn`, `run`, ( ).
as() {
	local list=-all cap
	for cap in $1; do
		list+=,+$cap
	done
	shift
	exec setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps "$list" --ambient-caps "$list" \
		--bounding-set "$list" -- "$@"
}

without() {
	local cap
	for cap in $1; do
		[ "$cap" = "$2" ] || echo "$cap"
	done
}

cap_name() {
	echo "CAP_${1^^}"
}

# each_missing COMMAND ARGS...: without any one of what COMMAND needs: code 1, and that one is named,
# and no other.
each_missing() {
	local command=$1 all cap other
	shift
	all=$(caps required "$command")
	[ -n "$all" ]
	for cap in $all; do
		run --separate-stderr as "$(without "$all" "$cap")" timeout 20 "$open/hopscope" "$@"
		[ "$status" = 1 ] || { echo "without $cap: code $status"; false; }
		[[ $stderr == *"cannot measure: $(cap_name "$cap") missing in this process, which $command needs"* ]]
		[ -z "$output" ]
		for other in $(without "$all" "$cap"); do
			[[ $stderr != *"$(cap_name "$other")"* ]]
		done
	done
}

# calls_in_cgroup N: the caller, who is the service, too, in a cgroup of its own.
calls_in_cgroup() {
	cgroup=$(e2e_cgroup2)/privileges-$$
	mkdir -p "$cgroup"
	(echo "$BASHPID" >"$cgroup/cgroup.procs" && nats_calls "$1")
}

# counted NAME N: in the last line of its JSON.
counted() {
	tail -n 1 "$(out_of "$1")" >"$BATS_TEST_TMPDIR/final"
	expect "$BATS_TEST_TMPDIR/final" \
		"[.series[] | select(.role == \"client\" and .status == \"ok\").count] | add == $2" \
		'.accounting | .seen == .matched + .one_way + .in_flight + .unanswered + .dropped'
}

# value PID FIELD: of every thread, once each.
values() {
	sed -n "s/^$2:[[:space:]]*//p" /proc/"$1"/task/*/status | sort -u
}

mask() {
	local mask=0 cap
	local -A number=([dac_override]=1 [dac_read_search]=2 [net_admin]=12 [sys_ptrace]=19 [sys_admin]=21
		[sys_nice]=23 [perfmon]=38 [bpf]=39 [checkpoint_restore]=40)
	for cap in $1; do
		mask=$((mask | 1 << number[$cap]))
	done
	printf '%016x\n' $mask
}

# confined NAME COMMAND HELD: every thread has no more than COMMAND keeps of HELD, in every set, no
# new privileges, a filter.
confined() {
	local pid kept='' cap
	pid=$(pid_of "$1")
	wait_until 10 filtered "$pid"
	for cap in $(caps kept "$2"); do
		[[ " $3 " != *" $cap "* ]] || kept+=" $cap"
	done
	[ "$(values "$pid" CapEff)" = "$(mask "$kept")" ]
	[ "$(values "$pid" CapPrm)" = "$(mask "$kept")" ]
	[ "$(values "$pid" CapInh)" = "$(mask '')" ]
	[ "$(values "$pid" CapAmb)" = "$(mask '')" ]
	[ "$(values "$pid" NoNewPrivs)" = 1 ]
	[ "$(values "$pid" Seccomp)" = 2 ]
}

filtered() {
	[ "$(values "$1" Seccomp)" = 2 ] || ! e2e_alive "$1"
}

flat() {
	tr '\n' ' ' | sed 's/ $//'
}

# ---- what it says of itself

@test "docs/privileges.md has the program's own table" {
	jq -r '.capabilities[] | "| \(.command) | \(.required | join(", ")) | \(.useful | join(", ")) | \(.kept | join(", ")) |"' \
		"$BATS_TEST_TMPDIR/doctor" | sed 's/|  |/| |/' >"$BATS_TEST_TMPDIR/table"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/table")" -ge 6 ]
	while IFS= read -r row; do
		grep -qxF -- "$row" "$E2E_ROOT/docs/privileges.md" || { echo "not there: $row"; false; }
	done <"$BATS_TEST_TMPDIR/table"
	for command in trace mem heap bench; do
		"$HOPSCOPE" "$command" --help | grep -q CAP_
	done
}

@test "doctor: what each command lacks" {
	local cap all='bpf perfmon net_admin sys_ptrace checkpoint_restore dac_read_search dac_override'
	local -A works=([bpf]='trace:no mem:limited heap --pages:no heap --allocs:no bench, gateway:no'
		[net_admin]='trace:no mem:yes heap --pages:yes heap --allocs:yes bench, gateway:no'
		[sys_ptrace]='trace:yes mem:yes heap --pages:limited heap --allocs:no bench, gateway:no'
		[dac_override]='trace:yes mem:yes heap --pages:yes heap --allocs:yes bench, gateway:no')
	for cap in bpf net_admin sys_ptrace dac_override; do
		(as "$(without "$all" $cap)" "$open/hopscope" doctor --json >"$BATS_TEST_TMPDIR/json" \
			2>/dev/null) || [ $? = 1 ]
		[ "$(jq -r '[.commands[] | "\(.name):\(.works)"] | join(" ")' "$BATS_TEST_TMPDIR/json")" = \
			"${works[$cap]}" ]
		expect "$BATS_TEST_TMPDIR/json" "any(.checks[]; .name == \"$(cap_name $cap)\" and
			.state != \"ok\" and (.advice | test(\"docs/privileges.md\")))" \
			"all(.commands[]; .works == \"yes\" or (.why | test(\"$(cap_name $cap)\")))"
	done
	(as "$all" "$open/hopscope" doctor --json >"$BATS_TEST_TMPDIR/json")
	expect "$BATS_TEST_TMPDIR/json" '.usable' 'all(.commands[]; .works == "yes")'
}

# ---- trace

@test "trace: as nobody, with what it needs; every thread confined; then it counts exactly" {
	local held
	held=$(caps required trace | flat)
	nats_start n1
	spawn_out t "$(out_of t)" as "$held" "$open/hopscope" trace --json --port "$NATS_PORT" -i 0.2
	trace_ready t
	confined t trace "$held"
	calls_in_cgroup 40
	stop t INT
	counted t 40
	grep -q 'without CAP_DAC_READ_SEARCH: names of containers' "$(log_of t)"
	expect "$BATS_TEST_TMPDIR/final" '[.series[].container] | any(. == "?")'
}

@test "trace: with CAP_DAC_READ_SEARCH it names the containers, to the end" {
	local held
	held="$(caps required trace | flat) dac_read_search"
	nats_start n1
	spawn_out t "$(out_of t)" as "$held" "$open/hopscope" trace --json --port "$NATS_PORT" -i 0.2
	trace_ready t
	confined t trace "$held"
	calls_in_cgroup 40
	stop t TERM
	counted t 40
	[ ! -s "$(log_of t)" ] || fails grep -q CAP_ "$(log_of t)"
	expect "$BATS_TEST_TMPDIR/final" 'all(.series[]; .container | startswith("/"))' \
		"any(.series[]; .container == \"/privileges-$$\")"
}

@test "trace: each capability that is missing is named" {
	each_missing trace trace -d 0.5
}

@test "trace: with the capabilities of its file" {
	local held
	need_command setcap
	held=$(caps required trace | sed 's/^/cap_/' | paste -sd,)
	setcap "$held+ep" "$open/hopscope" || skip 'this file system keeps no capabilities'
	nats_start n1
	spawn_out t "$(out_of t)" setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps -all -- \
		"$open/hopscope" trace --json --port "$NATS_PORT" -i 0.2
	trace_ready t
	confined t trace "$(caps required trace | flat)"
	nats_calls 40
	stop t INT
	counted t 40
}

@test "trace: as root, it gives up what it does not keep" {
	nats_start n1
	trace_start t --port "$NATS_PORT" -i 0.2
	confined t trace "$(caps kept trace | flat)"
	nats_calls 40
	stop t INT
	counted t 40
}

@test "trace --overhead without CAP_SYS_ADMIN says so" {
	run --separate-stderr as "$(caps required trace | flat)" "$open/hopscope" trace -d 0.5 --overhead
	[ "$status" = 1 ]
	[[ $stderr == *'--overhead'*'CAP_SYS_ADMIN'* ]]
}

# ---- trace --tls

# A TLS server of another user, and $tls_port.
tls_start() {
	need_command openssl curl
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$BATS_TEST_TMPDIR/key" \
		-out "$BATS_TEST_TMPDIR/cert" -days 2 -subj /CN=localhost 2>/dev/null
	tls_port=$(free_port)
	spawn tls openssl s_server -accept "127.0.0.1:$tls_port" -key "$BATS_TEST_TMPDIR/key" \
		-cert "$BATS_TEST_TMPDIR/cert" -quiet -www
	wait_tcp 127.0.0.1 "$tls_port"
}

# How many answers of the TLS server's were seen until now.
served() {
	# Its last line may not be whole yet.
	jq -nR '[inputs | fromjson? | .series[] |
		select(.role == "server" and .route == "GET /" and .part == null).count] | add // 0' "$(out_of t)"
}

served_is() {
	[ "$(served)" = "$1" ]
}

get_by_tls() {
	curl -sk -m 5 -o /dev/null "https://127.0.0.1:$tls_port/"
}

# A library is probed some moments after a process began to use it, also where others did before.
tls_is_read() {
	get_by_tls
	[ "$(served)" -gt 0 ]
}

@test "trace --tls: as nobody, with what it needs, in a process of root that comes later, too" {
	local held seen
	held=$(caps required 'trace --tls' | flat)
	spawn_out t "$(out_of t)" as "$held" "$open/hopscope" trace --json --tls on --comm openssl -i 0.2
	trace_ready t
	confined t 'trace --tls' "$held"
	tls_start
	wait_until 20 tls_is_read
	sleep 1 # of these, all that will be seen
	seen=$(served)
	for _ in 1 2 3 4 5; do get_by_tls; done
	wait_until 10 served_is $((seen + 5))
	stop t INT
	tail -n 1 "$(out_of t)" >"$BATS_TEST_TMPDIR/final"
	expect "$BATS_TEST_TMPDIR/final" \
		"[.series[] | select(.role == \"server\" and .route == \"GET /\" and .part == null).count] | add == $((seen + 5))"
}

@test "trace --tls: each capability that is missing is named; where it was not asked for, it goes on" {
	each_missing 'trace --tls' trace --tls on -d 0.5
	nats_start n1
	spawn_out t "$(out_of t)" as "$(caps required trace | flat)" "$open/hopscope" trace --json \
		--pid "$(pid_of n1)" -i 0.2
	trace_ready t
	nats_calls 10
	stop t INT
	grep -q 'TLS connections are not read: without CAP_SYS_PTRACE, CAP_CHECKPOINT_RESTORE' "$(log_of t)"
	tail -n 1 "$(out_of t)" >"$BATS_TEST_TMPDIR/final"
	expect "$BATS_TEST_TMPDIR/final" '[.series[] | select(.role == "broker").count] | add > 0'
}

# ---- mem

@test "mem: needs none; what is of use is named when it is missing, and followed when it is there" {
	local held cap
	held=$(caps useful mem | flat)
	spawn_out m "$(out_of m)" as "$held" "$open/hopscope" mem --json -i 0.3
	wait_said m 'watching memory'
	confined m mem "$held"
	sleep 1
	stop m INT
	fails grep -q 'CAP_' "$(log_of m)"
	tail -n 1 "$(out_of m)" >"$BATS_TEST_TMPDIR/final"
	expect "$BATS_TEST_TMPDIR/final" '.containers | length > 0'
	for cap in $held; do
		run --separate-stderr as "$(without "$held" "$cap")" "$open/hopscope" mem --json -d 0.5
		[ "$status" = 0 ]
		[[ $stderr == *"without $(cap_name "$cap")"* ]]
	done
	run --separate-stderr as '' "$open/hopscope" mem --json -d 0.5
	[ "$status" = 0 ]
	tail -n 1 <<<"$output" >"$BATS_TEST_TMPDIR/final"
	expect "$BATS_TEST_TMPDIR/final" '.containers | length > 0'
}

@test "mem: as root, it gives up what it does not keep" {
	spawn_out m "$(out_of m)" "$HOPSCOPE" mem --json -i 0.3
	wait_said m 'watching memory'
	confined m mem "$(caps kept mem | flat)"
	stop m INT
}

# ---- heap

# two_sites of the user that "$@" makes of us; `cycle` has it take 4,000,000 and 2,560,000 bytes.
two_start() {
	local target=${BUILD:-build}/tests/targets/two_sites
	[ "${target#/}" != "$target" ] || target=$E2E_ROOT/$target
	make -s -C "$E2E_ROOT" "${target#"$E2E_ROOT"/}" >&2
	cp "$target" "$open/two_sites"
	mkfifo "$BATS_TEST_TMPDIR/in"
	spawn_out two "$(out_of two)" bash -c 'exec "${@:2}" <"$1"' - "$BATS_TEST_TMPDIR/in" "$@" "$open/two_sites"
	exec 7>"$BATS_TEST_TMPDIR/in"
	wait_until 5 grep -q ready "$(out_of two)"
}

cycle() {
	echo >&7
	wait_until 10 grep -q held "$(out_of two)"
}

held_exactly() {
	tail -n 1 "$(out_of h)" >"$BATS_TEST_TMPDIR/final"
	expect "$BATS_TEST_TMPDIR/final" '[.sites[].bytes] | add >= 6560000' \
		'[.sites[].stack[]?] | tostring | test("two_sites|main")'
}

@test "heap --allocs: as nobody, of a process of root; every thread confined" {
	local held
	held=$(caps required 'heap --allocs' | flat)
	two_start env
	spawn_out h "$(out_of h)" as "$held" "$open/hopscope" heap --json --allocs --exact "$(pid_of two)" 7>&-
	wait_said h watching
	confined h 'heap --allocs' "$held"
	[ "$(ls "/proc/$(pid_of h)/task" | wc -l)" -ge 2 ]
	cycle
	stop h INT
	held_exactly
}

@test "heap --allocs: each capability that is missing is named" {
	two_start env
	each_missing 'heap --allocs' heap --allocs -d 0.5 "$(pid_of two)"
}

@test "heap --pages: as nobody, of a process of root; of one's own with less" {
	local held user
	for user in root nobody; do
		held=$(caps required 'heap --pages' | flat)
		[ $user = nobody ] || held+=' sys_ptrace dac_read_search'
		if [ $user = nobody ]; then two_start setpriv --reuid nobody --regid nogroup --clear-groups; else two_start env; fi
		spawn_out h "$(out_of h)" as "$held" "$open/hopscope" heap --json --exact "$(pid_of two)" 7>&-
		wait_said h watching
		confined h 'heap --pages' "$held"
		cycle
		stop h INT
		held_exactly
		exec 7>&-
		stop two || true
		rm "$BATS_TEST_TMPDIR/in"
	done
}

@test "heap --pages: each capability that is missing is named" {
	local cap
	two_start env
	each_missing 'heap --pages' heap -d 0.5 "$(pid_of two)"
	for cap in sys_ptrace dac_read_search; do
		run --separate-stderr as "$(caps required 'heap --pages' | flat) $(without 'sys_ptrace dac_read_search' $cap)" \
			"$open/hopscope" heap -d 0.5 "$(pid_of two)"
		[ "$status" = 1 ]
		[[ $stderr == *"another user's: that needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"* ]]
	done
}

@test "heap: files are written under the filter; libraries opened later have their names" {
	local dir=$BATS_TEST_TMPDIR targets
	targets=${BUILD:-build}/tests/targets
	two_start env
	run --separate-stderr "$HOPSCOPE" heap --allocs --exact -d 1.5 "$(pid_of two)" --flame "$dir/f.svg" \
		--folded "$dir/f.folded" --pprof "$dir/f.pb.gz" --record "$dir/f.json" 7>&-
	[ "$status" = 0 ]
	head -c 300 "$dir/f.svg" | grep -q '<svg'
	gzip -t "$dir/f.pb.gz"
	jq -e .schema "$dir/f.json" >/dev/null
	[ -e "$dir/f.folded" ]
}

# ---- bench

@test "bench: as nobody, with what it needs; what it starts has none of it" {
	local held out=$open/out pid server
	need_command socat
	held=$(caps required bench | flat)
	mkdir "$out"
	chown nobody "$out"
	sed 's/^  calls: 320/  calls: 600/' "$E2E_ROOT/tests/e2e/small.yaml" >"$open/small.yaml"
	spawn b bash -c 'cd "$1" && exec "${@:2}"' - "$open" \
		setpriv --reuid nobody --regid nogroup --clear-groups \
		--inh-caps "-all$(printf ',+%s' $held)" --ambient-caps "-all$(printf ',+%s' $held)" \
		--bounding-set "-all$(printf ',+%s' $held)" \
		"$open/hopscope" bench "$open/small.yaml" --out "$out"
	pid=$SPAWNED
	wait_until 30 grep -q 'starting .* services' "$(log_of b)"
	server=$(pgrep -P "$pid" nats-server | head -n 1)
	[ "$(values "$server" CapEff)" = "$(mask '')" ]
	[ "$(values "$server" CapPrm)" = "$(mask '')" ]
	[ "$(values "$server" NoNewPrivs)" = 1 ]
	wait_exit b 60 || [ $? = 4 ]
	jq -e '.complete' "$out/session.json" >/dev/null
}

@test "bench: each capability that is missing is named" {
	each_missing bench bench "$E2E_ROOT/tests/e2e/small.yaml" --out "$open/none"
}

# ---- payload

@test "payload: in no output, no map, no memory" {
	local redis_port find=${BUILD:-build}/tests/e2e/tools/find_bytes
	need_command redis-server redis-cli curl
	[ "${find#/}" != "$find" ] || find=$E2E_ROOT/$find
	make -s -C "$E2E_ROOT" "${find#"$E2E_ROOT"/}" >&2
	nats_start n1
	redis_port=$(free_port)
	spawn redis redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --dir "$BATS_TEST_TMPDIR"
	wait_tcp 127.0.0.1 "$redis_port"
	tls_start
	spawn_out t "$(out_of t)" "$HOPSCOPE" trace --json --slow 0.001 --tree --tls on -v -i 60
	trace_ready t
	nats_calls 30 "$MARKER"
	for _ in 1 2 3; do
		redis-cli -p "$redis_port" set "key$MARKER" "$MARKER" >/dev/null
		redis-cli -p "$redis_port" get "key$MARKER" | grep -q "$MARKER"
		curl -sk -o /dev/null -m 5 -H "X-Secret: $MARKER" "https://127.0.0.1:$tls_port/?q=$MARKER"
		curl -s -o /dev/null -m 5 -H "X-Secret: $MARKER" -d "body=$MARKER" \
			"http://127.0.0.1:$NATS_HTTP_PORT/varz?q=$MARKER"
	done
	# Cut within a payload, a value and a header: what is kept of a connection until there is more.
	exec 5<>"/dev/tcp/127.0.0.1/$NATS_PORT"
	printf 'CONNECT {"verbose":false}\r\nPUB svc.echo 999\r\n%s' "$MARKER" >&5
	exec 6<>"/dev/tcp/127.0.0.1/$redis_port"
	printf '*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$999\r\n%s' ${#MARKER} "$MARKER" "$MARKER" >&6
	exec 8<>"/dev/tcp/127.0.0.1/$NATS_HTTP_PORT"
	printf 'GET /varz?q=%s HTTP/1.1\r\nHost: x\r\nCookie: %s' "$MARKER" "$MARKER" >&8
	# The look itself finds what is there: the server has it.
	[[ $("$find" "$(pid_of redis)" "$MARKER") == "memory "[1-9]*' maps 0 of 0 sockets 0' ]]
	# What the last segments were read in is wiped every two seconds, however rare the readings.
	sleep 3
	run "$find" "$(pid_of t)" "$MARKER" "$BASHPID" "$(pid_of n1)" "$(pid_of redis)"
	echo "$output"
	[[ $output =~ ^'memory 0 maps 0 of '([0-9]+)' sockets '([0-9]+)$ ]]
	[ "${BASH_REMATCH[1]}" -ge 10 ]
	[ "${BASH_REMATCH[2]}" -ge 6 ] # both ends of each
	# and a subject, which is no secret, in both
	run "$find" "$(pid_of t)" svc.echo
	echo "$output"
	[[ ${lines[-1]} =~ ^'memory '[1-9][0-9]*' maps '[1-9] ]]
	exec 5>&- 6>&- 8>&-
	stop t INT
	[ "$(jq -s 'map(.series[].count) | add' "$(out_of t)")" -gt 30 ]
	fails grep -qF "$MARKER" "$(out_of t)" "$(log_of t)"
}
