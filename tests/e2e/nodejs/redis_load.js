// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// {"port": N, "library": "ioredis"|"redis", "n": 100, "inflight": 10, "connections": 1}: that many
// SET and as many GET over each connection. Writes {"set": N, "get": N, "wrong": N}.
"use strict";
const { options, say, file, main } = require("./lib");

const o = options({ library: "ioredis", n: 100, inflight: 10, connections: 1 });

const connect = {
	ioredis: async () => {
		const Redis = require("ioredis");
		const client = new (Redis.default || Redis)(o.port, "127.0.0.1");
		await client.ping();
		return client;
	},
	redis: async () => {
		const { createClient } = require("@redis/client");
		const client = createClient({ socket: { host: "127.0.0.1", port: o.port } });
		await client.connect();
		return client;
	},
}[o.library];

const end = (client) => (client.destroy || client.disconnect).call(client);

const load = async (client, id, sum) => {
	let next = 0;
	const one = async () => {
		while (next < o.n) {
			const i = next++;
			await client.set(`key:${id}:${i}`, `value ${i}`);
			sum.set++;
			if ((await client.get(`key:${id}:${i}`)) !== `value ${i}`) sum.wrong++;
			sum.get++;
		}
	};
	await Promise.all(Array.from({ length: o.inflight }, one));
};

main(async () => {
	const sum = { set: 0, get: 0, wrong: 0 };
	const clients = [];
	for (let i = 0; i < o.connections; i++) clients.push(await connect());
	if (o.go) {
		say("warm");
		await file(o.go);
	}
	await Promise.all(clients.map((client, id) => load(client, id, sum)));
	clients.forEach(end);
	process.stdout.write(JSON.stringify(sum) + "\n");
});
