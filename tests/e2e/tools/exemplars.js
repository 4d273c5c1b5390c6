#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The lines that `trace --sample` and `--slow` print for single exchanges, as JSON, oldest first.
// Times in ns; they were printed in us. Usage: exemplars.js <log
"use strict";
const line =
	/^ +([\d.]+) s +([\d.]+) ms +(\S+) +(\S+) +(\S.*?)  (.+)\[(\d+)\] :(\d+) -> :(\d+)  (\d+) bytes$/;
const list = [];
for (const text of require("fs").readFileSync(0, "utf8").split("\n")) {
	const m = line.exec(text);
	if (!m) continue;
	const t0 = Math.round(Number(m[1]) * 1e6) * 1000;
	const ns = Math.round(Number(m[2]) * 1e3) * 1000;
	list.push({
		t0,
		t1: t0 + ns,
		ns,
		role: m[3],
		status: m[4],
		route: m[5],
		comm: m[6],
		pid: Number(m[7]),
		local: Number(m[8]),
		remote: Number(m[9]),
		bytes: Number(m[10]),
	});
}
list.sort((a, b) => a.t0 - b.t0);
process.stdout.write(JSON.stringify(list) + "\n");
