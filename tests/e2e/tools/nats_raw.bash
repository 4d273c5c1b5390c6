# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# NATS by hand, without a client library: for tests that need traffic of a known number and content
# anywhere, at no cost.

# nats_calls N [PAYLOAD]: N calls and their answers on one connection to $NATS_PORT: caller and
# service are the same. Fails when one is not answered in 5 s.
nats_calls() {
	local i payload=${2:-hello} n
	n=${#payload}
	exec 5<>"/dev/tcp/127.0.0.1/$NATS_PORT"
	printf 'CONNECT {"verbose":false}\r\nSUB svc.echo 1\r\nSUB _INBOX.abc.* 2\r\nPING\r\n' >&5
	nats_await PONG || return 1
	for ((i = 0; i < $1; i++)); do
		nats_send "PUB svc.echo _INBOX.abc.$i $n" "$payload"
		nats_await "$payload" || return 1
		nats_send "PUB _INBOX.abc.$i $n" "$payload"
		nats_await "$payload" || return 1
	done
	exec 5>&-
}

# One write: two would wait for each other's acknowledgement. (printf writes line by line.)
nats_send() {
	cat >&5 <<<"$1"$'\r\n'"$2"$'\r'
}

nats_await() {
	local line
	while read -r -t 5 line <&5; do
		[[ $line != "$1"* ]] || return 0
	done
	echo "no '$1' from the broker" >&2
	return 1
}
