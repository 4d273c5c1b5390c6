// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// {"port": N, "resp": 2|3, "n": 4}: subscribes to a channel and a pattern, ends after n messages.
// With RESP3 other commands go over the same connection; with RESP2 only PING may.
"use strict";
const { createClient } = require("@redis/client");
const { options, say, main } = require("./lib");

const o = options({ resp: 3, n: 4 });

main(async () => {
	const client = createClient({ socket: { host: "127.0.0.1", port: o.port }, RESP: o.resp });
	let seen = 0;
	let enough;
	const all = new Promise((resolve) => (enough = resolve));
	const message = () => ++seen === o.n && enough();
	await client.connect();
	await client.set("before", "1");
	await client.subscribe("news", message);
	if (o.resp === 3) await client.get("before");
	await client.pSubscribe("old.*", message);
	say("ready");
	await all;
	await client.unsubscribe("news");
	await client.pUnsubscribe("old.*");
	await client.del("before");
	client.destroy();
});
