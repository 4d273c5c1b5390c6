#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Request and reply, from a capture: an account of what passed a port that shares no line with
// hopscope. Reads what
//   tshark -r FILE -T fields -e frame.time_epoch -e ip.src -e tcp.srcport -e tcp.dstport \
//          -e tcp.seq_raw -e tcp.payload
// prints and writes {"bytes": payload bytes, "exchanges": [{port, verb, subject, t0, t1, ns}]}
// with times in ns since the epoch, as strings. `port` is the side that is not the broker's;
// PUB: it asked; MSG: it was asked.
// Usage: exchanges.js BROKER_PORT <fields
"use strict";
const broker = Number(process.argv[2]);
const streams = new Map();
const open = new Map();
const result = { bytes: 0, exchanges: [] };

const message = (port, toBroker, words, time) => {
	const verb = words[0].toUpperCase();
	const sizes = verb[0] === "H" ? 2 : 1;
	const args = words.slice(1, words.length - sizes);
	const subject = args[0];
	let reply;
	if (toBroker) reply = args[1];
	else reply = args[2]; // subject sid [reply]
	// The request passed the other way.
	const key = `${port} ${!toBroker} ${subject}`;
	const asked = open.get(key);
	if (asked) {
		open.delete(key);
		result.exchanges.push({
			port,
			verb: asked.verb,
			subject: asked.subject,
			t0: String(asked.time),
			t1: String(time),
			ns: Number(time - asked.time),
		});
	}
	if (reply)
		open.set(`${port} ${toBroker} ${reply}`, {
			verb: toBroker ? "PUB" : "MSG",
			subject,
			time,
		});
};

/* A direction's bytes so far; a message passes when the end of its control line does. */
const consume = (s, port, toBroker, time) => {
	for (;;) {
		if (s.skip) {
			const n = Math.min(s.skip, s.data.length);
			s.data = s.data.subarray(n);
			s.skip -= n;
			if (s.skip) return;
		}
		const end = s.data.indexOf("\r\n");
		if (end < 0) return;
		const words = s.data.toString("latin1", 0, end).split(/[ \t]+/);
		s.data = s.data.subarray(end + 2);
		if (/^H?(PUB|MSG)$/i.test(words[0])) {
			message(port, toBroker, words, time);
			s.skip = Number(words[words.length - 1]) + 2;
		}
	}
};

const segment = (line) => {
	const [epoch, src, sport, dport, seq, hex] = line.split("\t");
	if (!hex) return;
	const toBroker = Number(dport) === broker;
	const port = Number(toBroker ? sport : dport);
	const key = `${src} ${port} ${toBroker}`;
	const [sec, frac] = epoch.split(".");
	const time = BigInt(sec) * 1000000000n + BigInt(frac.padEnd(9, "0").slice(0, 9));
	let bytes = Buffer.from(hex, "hex");
	let s = streams.get(key);
	if (!s) streams.set(key, (s = { data: Buffer.alloc(0), skip: 0, next: Number(seq) }));
	const old = (s.next - Number(seq)) >>> 0;
	if (old >= bytes.length && old < 0x80000000 && old) return; // a retransmission
	if (old) throw new Error(`a hole in the capture: ${old} before ${line.slice(0, 80)}`);
	result.bytes += bytes.length;
	s.next = (Number(seq) + bytes.length) >>> 0;
	s.data = Buffer.concat([s.data, bytes]);
	consume(s, port, toBroker, time);
};

require("fs").readFileSync(0, "latin1").split("\n").forEach(segment);
process.stdout.write(JSON.stringify(result) + "\n");
