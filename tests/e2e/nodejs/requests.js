// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Makes requests and prints what became of them. Options:
//   url; connections
//   subject, or subjects (a file: a JSON list; one request each). A subject's "%c" becomes the
//   connection's letter.
//   n (requests a connection), inflight (at once on a connection), size, text (payload)
//   headers: none, all, mixed; header (a value to send along)
//   timeout (ms), noMux
//   start (a file: waits for it before it connects)
//   warm (requests before it says "warm"), go (a file: waits for it), until (a file: makes
//   requests until it is there, n at least), again (a file: says "idle", waits for it, and makes
//   n more, which alone count), hold (a file: waits for it before it goes), stay (says "sent" and waits to be killed)
//   calls: true: the output lists [t0, t1, connection] in ns of CLOCK_MONOTONIC
"use strict";
const { nats, fs, options, now, say, sleep, file, connect, payload, main } = require("./lib");

const o = options({
	connections: 1,
	n: 1,
	inflight: 1,
	size: 32,
	text: "",
	headers: "none",
	header: "v",
	timeout: 20000,
	noMux: false,
	warm: 0,
});
const list = o.subjects ? JSON.parse(fs.readFileSync(o.subjects)) : null;
const fresh = () => ({ ok: 0, no_responders: 0, timeouts: 0, errors: 0, wrong: 0, bytes: 0, calls: [] });
let out = fresh();

const headers = (i) => {
	if (o.headers === "none" || (o.headers === "mixed" && i % 2)) return undefined;
	const h = nats.headers();
	h.set("X-Token", o.header);
	h.set("X-Number", String(i));
	return h;
};

const one = async (nc, c, i, count) => {
	const subject = (list ? list[i] : o.subject).replace("%c", String.fromCharCode(97 + c));
	const data = payload(o.text, o.size);
	const t0 = now();
	try {
		const m = await nc.request(subject, data, {
			timeout: o.timeout,
			noMux: o.noMux,
			headers: headers(i),
		});
		const t1 = now();
		if (!count) return;
		out.ok++;
		out.bytes += m.data.length;
		if (m.data.length !== data.length) out.wrong++;
		if (o.calls) out.calls.push([t0, t1, c]);
	} catch (e) {
		if (e.code === nats.ErrorCode.NoResponders) out.no_responders++;
		else if (e.code === nats.ErrorCode.Timeout) out.timeouts++;
		else {
			out.errors++;
			console.error(e.message);
		}
	}
};

const lane = async (nc, c, state, total) => {
	while (state.next < total || (o.until && !state.done)) {
		await one(nc, c, state.next++, true);
		if (o.until && state.next % 16 === 0) state.done = fs.existsSync(o.until);
	}
};

const run = async (nc, c) => {
	const state = { next: 0, done: false };
	const total = list ? list.length : o.n;
	const lanes = [];
	for (let k = 0; k < o.inflight; k++) lanes.push(lane(nc, c, state, total));
	await Promise.all(lanes);
};

main(async () => {
	const ncs = [];
	say("here");
	if (o.start) await file(o.start);
	for (let c = 0; c < o.connections; c++) ncs.push(await connect(o));
	for (let i = 0; i < o.warm; i++) await Promise.all(ncs.map((nc, c) => one(nc, c, 0, false)));
	say("warm");
	if (o.go) await file(o.go);
	const work = Promise.all(ncs.map((nc, c) => run(nc, c)));
	if (o.stay) {
		await Promise.all(ncs.map((nc) => nc.flush()));
		say("sent");
		await sleep(600000);
	}
	await work;
	if (o.again) {
		say("idle");
		await file(o.again);
		out = fresh();
		o.until = null;
		await Promise.all(ncs.map((nc, c) => run(nc, c)));
	}
	if (o.hold) await file(o.hold);
	await Promise.all(ncs.map((nc) => nc.close()));
	if (!o.calls) delete out.calls;
	console.log(JSON.stringify(out));
});
