// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// {"url": "ws://...", "n": 5, "size": 100}: that many messages there and back, one by one.
"use strict";
const WebSocket = require("ws");
const { options, main } = require("./lib");

const o = options({ n: 5, size: 100 });

main(
	() =>
		new Promise((resolve, reject) => {
			const ws = new WebSocket(o.url, { perMessageDeflate: false });
			let n = 0;
			ws.on("open", () => ws.send("m".repeat(o.size)));
			ws.on("message", () => (++n < o.n ? ws.send("m".repeat(o.size)) : ws.close()));
			ws.on("close", () => (n === o.n ? resolve() : reject(new Error(`only ${n}`))));
			ws.on("error", reject);
		}),
);
