#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Compares what hopscope measured with what others did. Ends with 1 after saying what differs.
//
//   compare.js histogram FINAL EXEMPLARS          the total's figures against every exchange
//   compare.js client CALLS EXEMPLARS             one connection, one call at a time: exchanges
//                                                 lie within the calls, and in each other
//   compare.js late CALLS EXEMPLARS ATTACHED_NS   the same for a trace that came later: %c routes
//   compare.js capture EXCHANGES EXEMPLARS FINAL  exchanges of a capture
"use strict";
const fs = require("fs");
const read = (path) => JSON.parse(fs.readFileSync(path));
const [mode, ...files] = process.argv.slice(2);

const ROUNDING = 1500; // ns: start and duration were each printed in us
const BUCKET = 1 / 64; // a bucket's middle is off by as much (include/hist.h)
const roles = ["client", "broker", "broker_out", "service"]; // each within the one before

const must = (ok, text) => {
	if (ok) return;
	console.error(`compare ${mode}: ${text}`);
	process.exit(1);
};

/* Nearest rank. */
const quantile = (values, q) => {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.ceil(q * sorted.length) - 1];
};
const sum = (values) => values.reduce((a, b) => a + b, 0);
const within = (inner, t0, t1) => inner.t0 >= t0 - ROUNDING && inner.t1 <= t1 + ROUNDING;
const us = (ns) => (ns / 1000).toFixed(1);

const histogram = () => {
	const [final, exemplars] = files.map(read);
	for (const s of final.series) {
		const ns = exemplars
			.filter((e) => e.role === s.role && e.route === s.route && e.status === s.status)
			.map((e) => e.ns);
		const name = `${s.role} ${s.route} ${s.status}`;
		must(ns.length === s.count, `${name}: ${s.count} counted, ${ns.length} printed`);
		for (const [key, q] of [["p50_ns", 0.5], ["p90_ns", 0.9], ["p99_ns", 0.99], ["p999_ns", 0.999]]) {
			const exact = quantile(ns, q);
			must(
				Math.abs(s[key] - exact) <= exact * BUCKET + ROUNDING,
				`${name}: ${key} ${s[key]}, exactly ${exact}`,
			);
		}
		for (const [key, exact] of [
			["mean_ns", sum(ns) / ns.length],
			["min_ns", Math.min(...ns)],
			["max_ns", Math.max(...ns)],
		])
			must(Math.abs(s[key] - exact) <= ROUNDING, `${name}: ${key} ${s[key]}, exactly ${exact}`);
	}
};

const client = () => {
	const [{ calls }, exemplars] = files.map(read);
	const of = roles.map((role) => exemplars.filter((e) => e.role === role));
	roles.forEach((role, i) =>
		must(of[i].length === calls.length, `${of[i].length} exchanges as ${role}, ${calls.length} calls`),
	);
	calls.forEach(([t0, t1], i) => {
		const inside = of[0].filter((e) => within(e, t0, t1));
		must(inside.length === 1, `call ${i} (${us(t1 - t0)} us) holds ${inside.length} exchanges`);
		must(inside[0] === of[0][i], `call ${i} holds another call's exchange`);
		for (let k = 1; k < roles.length; k++) {
			const outer = of[k - 1][i];
			const inner = of[k][i];
			must(
				inner.t0 >= outer.t0 && inner.t1 <= outer.t1 + ROUNDING && inner.ns < outer.ns,
				`call ${i}: ${roles[k]} ${JSON.stringify(inner)} is not within ` +
					`${roles[k - 1]} ${JSON.stringify(outer)}`,
			);
		}
	});
	const theirs = calls.map(([t0, t1]) => t1 - t0);
	const ours = of[0].map((e) => e.ns);
	must(sum(ours) < sum(theirs), "all exchanges together took longer than all calls");
	for (const q of [0.5, 0.9, 0.99])
		must(quantile(ours, q) < quantile(theirs, q), `quantile ${q} is above the client's`);
	console.log(
		`${calls.length} calls: median ${us(quantile(ours, 0.5))} us in the kernel, ` +
			`${us(quantile(theirs, 0.5))} us for the client`,
	);
};

/* Connection c of the calls is route PREFIX.c. */
const late = () => {
	const [{ calls }, exemplars] = files.slice(0, 2).map(read);
	const attached = Number(files[2]);
	const first = Math.min(...exemplars.map((e) => e.t0));
	const used = new Set();
	let lost = 0;
	for (const c of new Set(calls.map((call) => call[2]))) {
		const letter = String.fromCharCode(97 + c);
		const mine = exemplars.filter((e) => e.role === "client" && e.route.endsWith(`.${letter}`));
		const unseen = calls
			.filter((call) => call[2] === c)
			.filter(([t0, t1]) => {
				const inside = mine.filter((e) => within(e, t0, t1));
				must(inside.length <= 1, `a call holds ${inside.length} exchanges`);
				inside.forEach((e) => used.add(e));
				return !inside.length && t0 > first;
			});
		must(unseen.length <= 1, `connection ${letter}: ${unseen.length} calls since the attach were lost`);
		lost += unseen.length;
		must(
			unseen.every((call) => call[0] < attached),
			`connection ${letter}: a call that began after the attach was not seen`,
		);
		must(mine.length > 20, `connection ${letter}: only ${mine.length} exchanges were seen`);
		must(mine.every((e) => used.has(e)), `connection ${letter}: an exchange lies in no call`);
	}
	console.log(`${used.size} exchanges, ${lost} lost at the attach`);
};

/*
 * On loopback a capture stamps a segment between the sender's probe (egress) and the receiver's
 * (ingress). So of every single exchange the outer view is longer than the capture's, and the inner
 * one shorter: no tolerance but the printed us and the slewing of the capture's clock
 * (CLOCK_REALTIME runs up to 500 ppm off CLOCK_MONOTONIC). The same order holds for quantiles, then
 * with the histogram's error.
 */
const CLOCKS = 0.0005;
const capture = () => {
	const [{ exchanges }, exemplars, final] = files.map(read);
	for (const [verb, outer, inner] of [["PUB", "client", "broker"], ["MSG", "broker_out", "service"]]) {
		const seen = exchanges.filter((e) => e.verb === verb);
		const apart = [];
		must(seen.length > 0, `no ${verb} in the capture`);
		for (const port of new Set(seen.map((e) => e.port))) {
			const by = (role) => exemplars.filter((e) => e.role === role && (e.local === port || e.remote === port));
			const mid = seen.filter((e) => e.port === port).sort((a, b) => (BigInt(a.t0) < BigInt(b.t0) ? -1 : 1));
			const out = by(outer);
			const inn = by(inner);
			must(
				out.length === mid.length && inn.length === mid.length,
				`port ${port}: ${mid.length} in the capture, ${out.length} ${outer}, ${inn.length} ${inner}`,
			);
			mid.forEach((e, i) => {
				const slack = ROUNDING + e.ns * CLOCKS;
				must(
					inn[i].ns <= e.ns + slack && e.ns <= out[i].ns + slack,
					`port ${port}, exchange ${i}: ${inner} ${us(inn[i].ns)} us, capture ` +
						`${us(e.ns)} us, ${outer} ${us(out[i].ns)} us`,
				);
				apart.push(out[i].ns - e.ns);
			});
		}
		const series = (role) => final.series.find((s) => s.role === role);
		must(series(outer).count === seen.length, `${outer}: ${series(outer).count}, capture: ${seen.length}`);
		const ns = seen.map((e) => e.ns);
		for (const [key, q] of [["p50_ns", 0.5], ["p90_ns", 0.9], ["p99_ns", 0.99]]) {
			const exact = quantile(ns, q);
			const slack = ROUNDING + exact * CLOCKS;
			must(
				series(inner)[key] * (1 - BUCKET) <= exact + slack &&
					exact <= series(outer)[key] * (1 + BUCKET) + slack,
				`${key}: ${inner} ${series(inner)[key]}, capture ${exact}, ${outer} ${series(outer)[key]}`,
			);
		}
		const median = quantile(apart, 0.5) / quantile(ns, 0.5);
		must(median < 0.25, `half of the exchanges differ by ${(median * 100).toFixed(1)} % and more`);
		console.log(
			`${verb}: ${seen.length} exchanges, p50 ${us(quantile(ns, 0.5))} us, p99 ${us(quantile(ns, 0.99))} us ` +
				`in the capture; ${outer} p50 ${us(series(outer).p50_ns)}, p99 ${us(series(outer).p99_ns)}; ` +
				`${inner} p50 ${us(series(inner).p50_ns)}, p99 ${us(series(inner).p99_ns)}; ` +
				`${outer} is longer by ${us(quantile(apart, 0.01))} / ${us(quantile(apart, 0.5))} / ` +
				`${us(quantile(apart, 0.99))} us (p1, p50, p99)`,
		);
	}
};

({ histogram, client, late, capture })[mode]();
