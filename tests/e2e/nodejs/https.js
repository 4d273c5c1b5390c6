// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// {"port", "paths", "n"}: waits for a line, then asks n times on one connection, path by path.
const https = require("https");

const o = JSON.parse(process.argv[2]);
const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
const codes = {};
let done = 0;

function ask() {
	if (done === o.n) {
		console.log(JSON.stringify({ done, codes }));
		process.exit(0);
	}
	const path = o.paths[done % o.paths.length];
	https.get({ host: "127.0.0.1", port: o.port, path, agent }, (res) => {
		res.resume();
		res.on("end", () => {
			done++;
			codes[res.statusCode] = (codes[res.statusCode] || 0) + 1;
			ask();
		});
	});
}

console.error("waiting");
process.stdin.once("data", ask);
