#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Containers by name: real containers of runc and, where it is installed, containerd, with memory
# limits and cgroups whose paths say nothing; and what the kubelet makes, as directories. They talk
# to a nats-server, and `trace` says who did.

load helpers
load tools/trace

setup_file() {
	node_ready
}

setup() {
	e2e_setup
	need_bpf
	need_command nats-server jq node runc
	host=$BATS_TEST_TMPDIR/host
	state=$host/run/runc
	top=hopscope-$$
	containers=()
	mkdir -p "$state"
	nats_start n1
	node_spawn svc service "{\"url\": \"$NATS_URL\", \"subject\": \"names.*\"}"
}

teardown() {
	local name
	for name in ${containers[@]+"${containers[@]}"}; do
		runc --root "$state" delete --force "$name" 2>/dev/null || true
	done
	stop_all
	containerd_clean
	# A task's cgroup is busy for a moment after its end.
	wait_until 5 cgroups_clean
	e2e_teardown
}

# runc removes a container's own cgroup, not those above it.
cgroups_clean() {
	local mount left=0
	for mount in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts); do
		[ ! -d "$mount/$top" ] ||
			find "$mount/$top" -depth -type d -exec rmdir {} + 2>/dev/null || left=1
	done
	return $left
}

# The host's programs in a root of its own, and its network: $1 is made for it.
rootfs() {
	mkdir -p "$1/usr" "$1/proc" "$1/dev" "$1/sys" "$1/tmp" "$1$E2E_ROOT"
	ln -s usr/bin usr/lib usr/lib64 "$1"
}

# bundle NAME CGROUP ANNOTATIONS CMD...: 256 MB of memory, and not a byte more.
bundle() {
	local dir=$BATS_TEST_TMPDIR/bundle-$1 name=$1 cgroup=$2 annotations=$3
	shift 3
	mkdir -p "$dir"
	rootfs "$dir/rootfs"
	[ -e "$dir/config.json" ] || (cd "$dir" && runc spec)
	jq --arg root "$E2E_ROOT" --arg cgroup "$cgroup" --argjson annotations "$annotations" \
		--arg path "$PATH" --arg test "$HOPSCOPE_TEST" \
		--argjson args "$(printf '%s\n' "$@" | jq -Rn '[inputs]')" '
		def bind(dir): {destination: dir, source: dir, type: "bind",
			options: ["rbind", "ro"]};
		.process.args = $args | .process.terminal = false |
		.process.env = ["PATH=" + $path, "HOPSCOPE_TEST=" + $test] |
		.mounts += [bind("/usr"), bind($root)] | .annotations = $annotations |
		.linux.namespaces |= map(select(.type != "network")) |
		.linux.cgroupsPath = $cgroup | .linux.resources.memory = {limit: 268435456}
		' "$dir/config.json" >"$dir/new"
	mv "$dir/new" "$dir/config.json"
}

# contain NAME CGROUP ANNOTATIONS CMD...: in the foreground.
contain() {
	bundle "$@"
	containers+=("$1")
	runc --root "$state" run --bundle "$BATS_TEST_TMPDIR/bundle-$1" "$1" </dev/null 3>&-
}

# Where the memory controller is, v1 or v2, and what it says the limit is.
limit_of() {
	local v1 v2
	v1=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
	v2=$(e2e_cgroup2)
	cat "${v1:-$v2}/$1/memory.${v1:+limit_in_bytes}${v1:-max}" 2>/dev/null ||
		cat "$v1/$1/memory.limit_in_bytes"
}

# asks SUBJECT: the command of a client that asks $n times. It stays for a moment: the name of a
# container is looked up within 100 ms of its first message, and must be there then. And it takes
# its time before, as a filter by name decides on a new container within some 20 ms.
asks() {
	client=(sh -c 'sleep 0.3 && node "$0" "$1" && sleep 0.5' "$nodejs/requests.js"
		"{\"url\": \"$NATS_URL\", \"subject\": \"$1\", \"n\": $n}")
}

# clients NAME...: the containers of the client series are these, with $n exchanges each.
clients() {
	local want
	want=$(printf '%s\n' "$@" | jq -Rn --argjson n "$n" '[inputs | {(.): $n}] | add')
	echo "[.series[] | select(.role == \"client\") | {(.container): .count}] | add == $want"
}

pod='"io.kubernetes.cri.sandbox-name": "shop-7d9f", "io.kubernetes.cri.sandbox-namespace": "prod"'

@test "runc: names instead of paths, filters by name, id and pod, of containers that start later" {
	local n=100 t
	trace_spawn all --port "$NATS_PORT" --host-root "$host"
	trace_spawn paths --port "$NATS_PORT" --host-root "$BATS_TEST_TMPDIR"
	trace_spawn web --container web --host-root "$host" --port "$NATS_PORT"
	trace_spawn app --container prod/shop-7d9f/app --host-root "$host"
	trace_spawn pod --pod shop --host-root "$host"
	trace_spawn both --pod shop --container web --host-root "$host"
	trace_ready all paths web app pod both
	grep -q 'container web: no cgroup .* waiting for one' "$(log_of web)"
	asks names.web
	contain web-1 "/$top/one" '{}' "${client[@]}" >"$(out_of client)"
	expect "$(out_of client)" '.ok == $n'
	asks names.app
	contain a1 "/$top/two" "{\"io.kubernetes.cri.container-name\": \"app\", $pod}" "${client[@]}" \
		>"$(out_of client)"
	expect "$(out_of client)" '.ok == $n'
	for t in all paths web app pod both; do trace_stop "$t"; done
	check all identity "$(clients web-1 prod/shop-7d9f/app)"
	check paths identity "$(clients "/$top/one" "/$top/two")"
	# Decided on before it sent: no segment of it was passed over.
	check web identity "$(clients web-1)" 'all == {"client ok": $n}' '.accounting.reasons.owner == 0'
	check app identity "$(clients prod/shop-7d9f/app)" 'all == {"client ok": $n}'
	check pod identity "$(clients prod/shop-7d9f/app)"
	check both identity '.series == []'
}

@test "runc: a container that was there before, its memory limit, its name when it is gone" {
	local n=150
	state=/run/runc
	asks names.before
	bundle "$top-b" "/$top/b" '{}' sh -c 'while [ ! -e "$0" ]; do sleep 0.05; done; exec "$@"' \
		"$BATS_TEST_TMPDIR/go" "${client[@]}"
	# The file that it waits for comes up outside.
	jq --arg dir "$BATS_TEST_TMPDIR" '.mounts += [{destination: $dir, source: $dir, type: "bind",
		options: ["rbind", "ro"]}]' "$BATS_TEST_TMPDIR/bundle-$top-b/config.json" \
		>"$BATS_TEST_TMPDIR/new"
	mv "$BATS_TEST_TMPDIR/new" "$BATS_TEST_TMPDIR/bundle-$top-b/config.json"
	containers+=("$top-b")
	spawn_out b "$(out_of client)" runc run --bundle "$BATS_TEST_TMPDIR/bundle-$top-b" "$top-b"
	wait_until 10 [ -s "/run/runc/$top-b/state.json" ]
	[ "$(limit_of "$top/b")" = 268435456 ]
	trace_spawn name --container "$top-b"
	trace_spawn all --port "$NATS_PORT" -i 5
	trace_ready name all
	fails grep -q waiting "$(log_of name)"
	touch "$BATS_TEST_TMPDIR/go"
	wait_exit b 30
	expect "$(out_of client)" '.ok == $n'
	[ ! -e "/run/runc/$top-b" ]
	trace_stop name
	trace_stop all
	check name identity "$(clients "$top-b")" 'all == {"client ok": $n}'
	check all identity "$(clients "$top-b")"
}

@test "the kubelet's paths, named by containerd's and CRI-O's files, below a --host-root" {
	local n=50 uid=12345678_9abc_def0_1234_56789abcdef0 a b dir text=$BATS_TEST_TMPDIR/text
	a=$(printf 'a%.0s' {1..64})
	b=$(printf 'b%.0s' {1..64})
	dir=$top/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod$uid.slice
	files "run/containerd/io.containerd.runtime.v2.task/k8s.io/$a/config.json" \
		"{\"annotations\": {\"io.kubernetes.cri.container-name\": \"app\", $pod}}"
	files "run/containers/storage/overlay-containers/$b/userdata/config.json" '{"annotations": {
		"io.kubernetes.container.name": "car\u001b[2J", "io.kubernetes.pod.name": "side",
		"io.kubernetes.pod.namespace": "prod"}}'
	trace_spawn all --port "$NATS_PORT" --host-root "$host"
	trace_spawn pod --pod prod/side --host-root "$host"
	trace_spawn id --container "${a:0:12}"
	spawn_out table "$text" "$HOPSCOPE" trace --port "$NATS_PORT" --host-root "$host" -i 5
	trace_ready all pod id table
	asks names.kube
	in_cgroup "$dir/cri-containerd-$a.scope" "${client[@]}"
	in_cgroup "$dir/crio-$b.scope/container" "${client[@]}"
	trace_stop all
	trace_stop pod
	trace_stop id
	stop table INT
	check all identity "$(clients prod/shop-7d9f/app 'prod/side/car\x1b[2J')"
	check pod identity "$(clients 'prod/side/car\x1b[2J')"
	# Without the files there is the path, whole.
	check id identity "$(clients "/$dir/cri-containerd-$a.scope")"
	grep -Eq 'client +names.kube +prod/shop-7d9f/app +ok +50 ' "$text"
	grep -Eq 'client +names.kube +prod/side/car\\x1b\[2J +ok +50 ' "$text"
	fails grep -q $'\x1b' "$text"
}

files() {
	mkdir -p "$(dirname "$host/$1")"
	printf '%s' "$2" >"$host/$1"
}

in_cgroup() {
	local dir
	dir=$(e2e_cgroup2)/$1
	shift
	mkdir -p "$dir"
	bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$dir" "$@" 3>&- >"$(out_of client)"
	expect "$(out_of client)" '.ok == $n'
}

# Its state in our directory; but runc's below it is always /run/containerd/runc, unless told.
containerd_start() {
	local dir=$BATS_TEST_TMPDIR/containerd
	mkdir -p "$dir"
	cat >"$dir/config.toml" <<-E
		version = 2
		root = "$dir/root"
		state = "$host/run/containerd"
		disabled_plugins = ["io.containerd.grpc.v1.cri"]
		[grpc]
		address = "$dir/sock"
	E
	export CONTAINERD_ADDRESS=$dir/sock
	spawn containerd containerd --config "$dir/config.toml"
	wait_until 10 ctr version >/dev/null 2>&1 || {
		cat "$(log_of containerd)" >&2
		return 1
	}
}

# What its shims put where we did not tell them to, when nobody else did.
containerd_clean() {
	[ -z "${CONTAINERD_ADDRESS:-}" ] || rmdir /run/containerd/s /run/containerd/fifo \
		/run/containerd 2>/dev/null || true
}

# ctr_run NAME CGROUP CMD...: its output in $(out_of client).
ctr_run() {
	local name=$1 cgroup=$2 root=$BATS_TEST_TMPDIR/root-$1
	shift 2
	rootfs "$root"
	timeout 60 ctr run --rm --rootfs --net-host --memory-limit 268435456 --cgroup "$cgroup" \
		--runc-root "$host/run/containerd/runc" "${annotations[@]}" \
		--mount "type=bind,src=/usr,dst=/usr,options=rbind:ro" \
		--mount "type=bind,src=$E2E_ROOT,dst=$E2E_ROOT,options=rbind:ro" \
		--env "PATH=$PATH" --env "HOPSCOPE_TEST=$HOPSCOPE_TEST" "$root" "$name" "$@" \
		</dev/null 3>&- >"$(out_of client)"
	expect "$(out_of client)" '.ok == $n'
}

@test "containerd: its containers by id, and by the names of their pods" {
	local n=100 id annotations=()
	need_command containerd ctr
	id=$(printf 'c%.0s' {1..64})
	containerd_start
	trace_spawn all --port "$NATS_PORT" --host-root "$host"
	trace_spawn job --container job-7 --host-root "$host"
	trace_spawn pod --pod shop-7d9f --host-root "$host"
	trace_ready all job pod
	asks names.ctr
	ctr_run job-7 "/$top/x" "${client[@]}"
	annotations=(--annotation io.kubernetes.cri.container-name=app
		--annotation io.kubernetes.cri.sandbox-name=shop-7d9f
		--annotation io.kubernetes.cri.sandbox-namespace=prod)
	ctr_run "$id" "/$top/kubepods/pod12345678-9abc-def0-1234-56789abcdef0/$id" "${client[@]}"
	for t in all job pod; do trace_stop "$t"; done
	check all identity "$(clients job-7 prod/shop-7d9f/app)"
	check job identity "$(clients job-7)"
	check pod identity "$(clients prod/shop-7d9f/app)"
}
