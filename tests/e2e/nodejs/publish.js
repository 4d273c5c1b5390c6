// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Publishes without asking for a reply. Options: url, subject, n, size, batch (messages handed to
// the socket at once); errors: true: counts the errors that the server sends, until `expect` came.
"use strict";
const { options, sleep, connect, payload, main } = require("./lib");

main(async () => {
	const o = options({ n: 1, size: 0, batch: 1000, errors: false, expect: 0 });
	const nc = await connect(o);
	const data = payload("", o.size);
	let errors = 0;
	if (o.errors)
		(async () => {
			for await (const s of nc.status()) if (s.type === "error") errors++;
		})();
	for (let i = 0; i < o.n; i++) {
		nc.publish(o.subject, data);
		if (i % o.batch === o.batch - 1) await nc.flush();
	}
	await nc.flush();
	for (let i = 0; errors < o.expect && i < 1000; i++) await sleep(10);
	await nc.close();
	console.log(JSON.stringify({ published: o.n, errors }));
});
