// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"use strict";
const fs = require("fs");
const nats = require("nats");

/* The options: one JSON object on the command line. */
const options = (defaults) => ({ ...defaults, ...JSON.parse(process.argv[2] || "{}") });

/* CLOCK_MONOTONIC in ns, the clock of bpf_ktime_get_ns(); exact in a double for 104 days. */
const now = () => Number(process.hrtime.bigint());

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* Tells the test where we are; it waits for the word in our log. */
const say = (word) => process.stderr.write(word + "\n");

/* Until the test makes the file. */
const file = async (path) => {
	while (!fs.existsSync(path)) await sleep(5);
};

const connect = (o, more) =>
	nats.connect({
		servers: o.url,
		reconnect: false,
		maxPingOut: 10,
		user: o.user,
		pass: o.pass,
		...more,
	});

/* `size` bytes of payload that begin with `text`. */
const payload = (text, size) => {
	const b = Buffer.alloc(Math.max(size, text.length), "x");
	b.write(text);
	return new Uint8Array(b);
};

const main = (fn) =>
	fn().then(
		() => process.exit(0),
		(e) => {
			console.error(e);
			process.exit(1);
		},
	);

module.exports = { nats, fs, options, now, sleep, say, file, connect, payload, main };
