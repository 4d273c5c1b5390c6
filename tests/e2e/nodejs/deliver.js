// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One publisher or one subscriber of messages that want no answer. Options: url, subject, n;
// role "pub": pause (ms between two), alike: true (all have the same bytes); role "sub": until n came.
// Payloads begin with the time of their publishing, so a subscriber knows how long each took.
"use strict";
const { options, now, sleep, say, connect, main } = require("./lib");

const subscribe = async (nc, o) => {
	const took = [];
	const sub = nc.subscribe(o.subject, { max: o.n });
	await nc.flush();
	say("ready");
	for await (const m of sub) {
		took.push(now() - Number(Buffer.from(m.data.buffer, m.data.byteOffset).readBigUInt64LE()));
		await sleep(0);
	}
	console.log(JSON.stringify({ received: took.length, mean_ns: took.reduce((a, b) => a + b, 0) / took.length,
		max_ns: Math.max(...took) }));
};

const publish = async (nc, o) => {
	const first = process.hrtime.bigint();
	say("publishing");
	for (let i = 0; i < o.n; i++) {
		const b = Buffer.alloc(40);
		b.writeBigUInt64LE(o.alike ? first : process.hrtime.bigint());
		nc.publish(o.subject, b);
		await sleep(o.pause);
	}
	await nc.flush();
	console.log(JSON.stringify({ published: o.n }));
};

main(async () => {
	const o = options({ role: "pub", n: 1, pause: 2, alike: false });
	const nc = await connect(o);
	await (o.role === "sub" ? subscribe(nc, o) : publish(nc, o));
	await nc.close();
});
