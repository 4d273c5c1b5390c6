// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Answers with what it was sent, until SIGTERM. Options: url, subject, queue, silent (never
// answers), delay (ms), reply (answers with this text), count (says "all" after so many messages).
"use strict";
const { options, say, sleep, connect, main, payload } = require("./lib");

main(async () => {
	const o = options({ queue: undefined, silent: false, delay: 0, count: 0 });
	const nc = await connect(o);
	let seen = 0;
	process.on("SIGTERM", () => nc.close());
	nc.subscribe(o.subject, {
		queue: o.queue,
		callback: async (err, m) => {
			if (++seen === o.count) say("all");
			if (o.silent || !m.reply) return;
			if (o.delay) await sleep(o.delay);
			m.respond(o.reply ? payload(o.reply, 0) : m.data, { headers: m.headers });
		},
	});
	await nc.flush();
	say("ready");
	await nc.closed();
	console.log(JSON.stringify({ seen }));
});
