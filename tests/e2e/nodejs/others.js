// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Traffic that is not NATS: an HTTP server and a server that talks like Redis, with their clients,
// on loopback. Says "ready PORT PORT"; goes on for `n` requests each once `go` is there. Prints
// the bytes that passed each of the two, counted by the sockets at both ends.
"use strict";
const http = require("http");
const net = require("net");
const { options, say, file, main } = require("./lib");

const sockets = { http: [], redis: [] };
const moved = (list) => list.reduce((sum, s) => sum + s.bytesRead + s.bytesWritten, 0);
const listen = (server) =>
	new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));

const web = http.createServer((q, r) => {
	q.resume();
	q.on("end", () => r.end(`MSG ${q.url} 1 5\r\nhello\r\nPING\r\n`));
});
web.on("connection", (s) => sockets.http.push(s));

/* Redis says PING, +PONG, +OK, -ERR and INFO too. */
const redis = net.createServer((s) => {
	sockets.redis.push(s);
	s.on("data", (d) => {
		const t = d.toString();
		if (t.startsWith("PING")) s.write("+PONG\r\n");
		else if (t.startsWith("INFO")) s.write("$12\r\nredis:7.0.15\r\n");
		else if (t.includes("GET")) s.write("$5\r\nvalue\r\n");
		else if (t.includes("SET")) s.write("+OK\r\n");
		else s.write("-ERR unknown command\r\n");
	});
});

const get = (agent, port, i) =>
	new Promise((resolve, reject) => {
		const q = http.request(
			{ agent, port, host: "127.0.0.1", method: "POST", path: `/users/${i}` },
			(r) => r.on("data", () => {}).on("end", resolve),
		);
		q.on("error", reject);
		q.end(`PUB a.${i} _INBOX.${i} 2\r\nhi\r\n`);
	});

const ask = (s, text) =>
	new Promise((resolve) => {
		s.once("data", resolve);
		s.write(text);
	});

main(async () => {
	const o = options({ n: 100 });
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	const ports = [await listen(web), await listen(redis)];
	agent.on("free", () => {});
	say(`ready ${ports.join(" ")}`);
	await file(o.go);
	const client = net.connect(ports[1], "127.0.0.1");
	await new Promise((resolve) => client.once("connect", resolve));
	sockets.redis.push(client);
	for (let i = 0; i < o.n; i++) {
		await get(agent, ports[0], i);
		for (const t of ["PING\r\n", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "INFO\r\n", "SUB a 1\r\n"])
			await ask(client, t);
	}
	for (const s of Object.values(agent.freeSockets).flat()) sockets.http.push(s);
	console.log(JSON.stringify({ http: moved(sockets.http), redis: moved(sockets.redis) }));
});
