// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An HTTP server that asks NATS for every request and answers with what it was told. Options: url,
// subject, port.
"use strict";
const http = require("http");
const { options, say, connect, main } = require("./lib");

main(async () => {
	const o = options({});
	const nc = await connect(o);
	process.on("SIGTERM", () => nc.close());
	const server = http.createServer(async (req, res) => {
		const m = await nc.request(o.subject, undefined, { timeout: 5000 });
		res.end(m.data);
	});
	server.keepAliveTimeout = 60000;
	server.listen(o.port, "127.0.0.1", () => say("ready"));
	await nc.closed();
});
