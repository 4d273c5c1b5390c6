// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// JetStream: publishes n messages to EVENTS.orders.<id>, then fetches and acknowledges them, in
// `fetches` pulls. Options: url, n, inflight, fetches.
"use strict";
const { randomUUID } = require("crypto");
const { nats, options, connect, payload, main } = require("./lib");

const id = (i) => [String(1000 + i), randomUUID(), nats.nuid.next()][i % 3];

main(async () => {
	const o = options({ n: 90, inflight: 10, fetches: 3 });
	const nc = await connect(o);
	const jsm = await nc.jetstreamManager();
	await jsm.streams.add({ name: "EVENTS", subjects: ["EVENTS.>"], storage: "memory" });
	const js = nc.jetstream();
	let acked = 0;
	let fetched = 0;
	for (let i = 0; i < o.n; i += o.inflight) {
		const acks = [];
		for (let k = i; k < Math.min(o.n, i + o.inflight); k++)
			acks.push(js.publish(`EVENTS.orders.${id(k)}`, payload("order", 100)));
		for (const ack of await Promise.all(acks)) if (!ack.duplicate) acked++;
	}
	await jsm.consumers.add("EVENTS", { durable_name: "worker", ack_policy: "explicit" });
	const consumer = await js.consumers.get("EVENTS", "worker");
	for (let i = 0; i < o.fetches; i++) {
		const max = o.n / o.fetches;
		for await (const m of await consumer.fetch({ max_messages: max, expires: 10000 })) {
			m.ack();
			fetched++;
		}
	}
	await nc.flush();
	const info = await jsm.consumers.info("EVENTS", "worker");
	await nc.close();
	console.log(JSON.stringify({ acked, fetched, unacknowledged: info.num_ack_pending }));
});
