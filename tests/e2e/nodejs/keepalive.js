// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// {"url": "http://...", "requests": [["GET", "/a"], ["POST", "/b", "body"], ...], "n": 1}: these n
// times, one after the other on one connection. Writes [[method, path, status, bytes], ...].
// "warm": a request first, then it says "warm" and waits for the file "go". "first": one that is
// asked next; it says "asked" when the first byte of the answer is there.
"use strict";
const http = require("http");
const { options, say, file, main } = require("./lib");

const o = options({ requests: [], n: 1 });
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

const ask = ([method, path, body], began) =>
	new Promise((resolve, reject) => {
		const req = http.request(o.url + path, { method, agent }, (res) => {
			let n = 0;
			res.on("data", (d) => {
				if (!n && began) began();
				n += d.length;
			});
			res.on("end", () => resolve([method, path, res.statusCode, n]));
			res.on("error", reject);
		});
		req.on("error", reject);
		req.end(body);
	});

main(async () => {
	const result = [];
	if (o.warm) await ask(o.warm);
	if (o.first) await ask(o.first, () => say("asked"));
	if (o.go) {
		say("warm");
		await file(o.go);
	}
	for (let i = 0; i < o.n; i++) for (const r of o.requests) result.push(await ask(r));
	process.stdout.write(JSON.stringify(result) + "\n");
});
