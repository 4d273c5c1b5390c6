#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Holds what `hopscope hops --json` says against what others say: the programs whose exchanges they
// were, by the same clock, and captures. Prints what it compared; ends with 1 after saying what
// differs.
//
//	hops.js CHECK FINAL OPTIONS	(a JSON object; see the checks below)
//
// A program sees a message before the kernel sends it and after the kernel got it. So of a span that
// lies around a program's own time it is certain that it is not shorter, however busy the machine
// is; of one that lies within, that it is not longer. Where times are to be alike, the tolerance is
// the spread of an asker's own times without a delay, measured in the same test.
"use strict";
const fs = require("fs");
const read = (path) => JSON.parse(fs.readFileSync(path));
const [check, file, text] = process.argv.slice(2);
const final = read(file);
const o = JSON.parse(text || "{}");

const BUCKET = 1 / 64; // a bucket's middle is off by as much (include/hist.h)
const ROUNDING = 1; // ns
const CLOCKS = 0.0005; // CLOCK_REALTIME, a capture's, runs up to 500 ppm off CLOCK_MONOTONIC

const ms = (ns) => (ns === null || ns === undefined ? "-" : (ns / 1e6).toFixed(3));
const must = (ok, message) => {
	if (ok) return;
	console.error(`hops ${check}: ${message}`);
	process.exit(1);
};
const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => sum(values) / values.length;
const quantile = (values, q) => {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)];
};
const median = (values) => quantile(values, 0.5);

// ---- what hopscope says

const roles = (path) => path.spans.map((s) => s.role).join(" ");
const names = (path) => path.spans.map((s) => s.comm).join(" ");
const edge = (path, span, direction) => {
	const found = path.edges.filter((e) => e.span === span && e.direction === direction);
	must(found.length === 1, `${path.route}: ${found.length} edges "${direction}" of span ${span}`);
	return found[0];
};
const kinds = (path) =>
	path.spans
		.filter((s) => s.index > 0)
		.map((s) => edge(path, s.index, "there").kind)
		.join(" ");
const describe = (path) =>
	[`${path.route} ${path.status} ${path.count}: ${roles(path)}; rtt ${ms(path.rtt_mean_ns)} p50 ${ms(path.rtt_p50_ns)}`]
		.concat(
			path.edges.map(
				(e) =>
					`    ${e.span} ${e.direction} ${e.kind} ${e.from} -> ${e.to}: mean ${ms(e.mean_ns)} ` +
					`p50 ${ms(e.p50_ns)} p99 ${ms(e.p99_ns)} queue ${ms(e.queue_mean_ns)} p50 ` +
					`${ms(e.queue_p50_ns)} run queue ${ms(e.run_queue_mean_ns)}`,
			),
		)
		.join("\n");
/* The one path of a route's answered exchanges. */
const pathOf = (route) => {
	const found = final.hops.filter((p) => p.route === route && (p.status === "ok" || p.status === "2xx"));
	must(
		found.length === 1,
		`${found.length} paths of ${route}:\n${(found.length ? found : final.hops.slice(0, 8)).map(describe).join("\n")}\n` +
			JSON.stringify(final.hop_accounting),
	);
	return found[0];
};
/* Those that --sample took, in the order in which they ended. */
const sampledOf = (route) => final.sampled.filter((t) => t.route === route);
/* Every exchange's wait was seen. */
const waited = (path, e) =>
	must(e.queue_count === path.count, `${e.queue_count} waits are known of ${path.count}:\n${describe(path)}`);

/* The parts of a timeline as include/hop.h defines them: [{span, before, after}]. */
const parts = (t) => {
	const spans = t.spans.map((s) => ({ ...s, cursor: s.request_ns, after: null, before: null }));
	spans.forEach((s, i) => {
		if (!i) return;
		const parent = spans[s.parent];
		must(s.parent < i, `a parent that comes later: ${JSON.stringify(t)}`);
		s.before = s.request_ns - parent.cursor;
		parent.cursor = s.reply_ns;
	});
	spans.forEach((s) => {
		s.after = s.reply_ns - s.cursor;
	});
	return spans;
};

// ---- what the programs say: [connection, hold_us, t0, poll, recv, came, goes, t1]

const callsOf = (path, connection) =>
	read(path)
		.calls.filter((c) => connection === undefined || c[0] === connection)
		.map(([con, hold, t0, poll, recv, came, goes, t1]) => ({ con, hold: hold * 1000, t0, poll, recv, came, goes, t1 }));
/* How far apart things alike are here: of an asker without a delay, between the middle half. */
const spreadOf = (calls) => {
	const own = calls.map((c) => c.t1 - c.t0);
	return quantile(own, 0.75) - quantile(own, 0.25);
};

/* a <= b, for means (exact) and for medians (a bucket's width) */
const below = (what, a, b) => must(a <= b + ROUNDING, `${what}: ${ms(a)} ms is more than ${ms(b)} ms`);
const near = (what, a, b, tolerance) => {
	console.log(`${what}: ${ms(a)} ms, expected ${ms(b)} +- ${ms(tolerance)}`);
	must(a !== null && Math.abs(a - b) <= tolerance, `${what}: ${ms(a)} ms, not ${ms(b)} +- ${ms(tolerance)}`);
};

// ---- checks

const checks = {
	/* Whatever was measured: parts are parts, sums are sums. */
	sound() {
		const counts = final.hop_accounting;
		must(counts && typeof counts.complete === "number", "no hop_accounting");
		const inPaths = sum(final.hops.map((p) => p.count));
		const ended = counts.complete + counts.delivered;
		must(
			inPaths + (counts.paths_full || 0) === ended || inPaths === ended,
			`${ended} ended, ${inPaths} in paths`,
		);
		for (const p of final.hops) {
			const total = sum(p.edges.map((e) => e.mean_ns));
			must(
				Math.abs(total - p.rtt_mean_ns) <= p.edges.length * ROUNDING,
				`the parts are ${total}, the round trip ${p.rtt_mean_ns}:\n${describe(p)}`,
			);
			for (const e of p.edges) {
				const name = `${p.route} span ${e.span} ${e.direction}`;
				must(e.mean_ns >= 0 && e.p50_ns >= 0 && e.p99_ns >= e.p50_ns, `${name}: negative\n${describe(p)}`);
				below(`${name}, longest`, e.p99_ns * (1 - BUCKET), p.rtt_max_ns);
				below(`${name}, mean`, e.mean_ns, p.rtt_mean_ns);
				if (e.queue_mean_ns !== null && e.queue_mean_ns !== undefined)
					below(`${name}, queue`, e.queue_p50_ns * (1 - BUCKET), p.rtt_max_ns);
			}
			const shares = sum(p.edges.map((e) => e.share));
			must(p.rtt_mean_ns === 0 || Math.abs(shares - 1) < 1e-3, `${p.route}: shares are ${shares}`);
			const residual = sum(p.edges.filter((e) => e.kind === "opaque" || e.kind === "beyond").map((e) => e.mean_ns));
			must(
				p.residual_mean_ns === null || Math.abs(residual - p.residual_mean_ns) <= p.edges.length * ROUNDING,
				`${p.route}: the residual is ${p.residual_mean_ns}, what cannot be seen ${residual}`,
			);
		}
		for (const t of final.timelines.concat(final.sampled)) {
			const spans = parts(t);
			let total = 0;
			for (const s of spans) {
				must(
					(s.before === null || s.before >= 0) && s.after >= 0,
					`a negative part: ${JSON.stringify(t)}`,
				);
				total += s.after + (s.before || 0);
				for (const queue of [s.queue_request_ns, s.queue_reply_ns, s.run_queue_ns])
					must(queue === null || queue === undefined || (queue >= 0 && queue < 1e12), `a wait of ${queue} ns`);
			}
			must(total === t.duration_ns, `parts are ${total}, the whole ${t.duration_ns}: ${JSON.stringify(t)}`);
		}
	},

	/* {route, roles, kinds, count, [comms]}: the way that all of them took. */
	shape() {
		const p = pathOf(o.route);
		must(roles(p) === o.roles, `${o.route} passed ${roles(p)}, not ${o.roles}\n${describe(p)}`);
		must(kinds(p) === o.kinds, `${o.route}: links are ${kinds(p)}, not ${o.kinds}\n${describe(p)}`);
		must(!o.comms || names(p) === o.comms, `${o.route}: programs are ${names(p)}, not ${o.comms}`);
		must(o.count === undefined || p.count === o.count, `${o.route}: ${p.count} exchanges, not ${o.count}`);
	},

	/*
	 * {exchanges, [lost], [sockets]}: every one is in a path, or counted as a loss, or (that is
	 * counted on each socket that it passes) was not to be looked at.
	 */
	accounted() {
		const c = final.hop_accounting;
		const lost = ["table_full", "paths_full", "abandoned", "negative"].map((k) => c[k] || 0);
		if (o.sockets) lost.push(c.sampled_out / o.sockets);
		console.log(`${c.complete} complete + ${sum(lost)} lost = ${o.exchanges}: ${JSON.stringify(c)}`);
		must(c.complete + sum(lost) === o.exchanges, `${c.complete} + ${sum(lost)} are not ${o.exchanges}`);
		must(o.lost === undefined || sum(lost) <= o.lost, `${sum(lost)} lost, at most ${o.lost} were to be`);
	},

	/*
	 * {base, calls, others: [[route, span, direction], ...], delay}: `others` of these edges, and of
	 * no other, have so much more than in the route `base`.
	 */
	moved() {
		const base = pathOf(o.base);
		const tolerance = o.delay / 20 + 2 * o.delay * BUCKET + spreadOf(callsOf(o.calls));
		for (const [route, span, direction] of o.moved) {
			const p = pathOf(route);
			const from = [...base.edges];
			must(p.edges.length === from.length, `${route} has ${p.edges.length} edges, ${o.base} ${from.length}`);
			for (const was of from) {
				const is = edge(p, was.span, was.direction);
				const here = was.span === span && was.direction === direction;
				near(
					`${route}: span ${was.span} ${was.direction} (${is.kind})`,
					is.p50_ns,
					was.p50_ns + (here ? o.delay : 0),
					tolerance,
				);
			}
			near(`${route}: the whole`, p.rtt_p50_ns, base.rtt_p50_ns + o.delay, tolerance);
		}
	},

	/* {route, span, direction, held: ns by the relay's own clock, [lag], base, calls, delay} */
	held() {
		const e = edge(pathOf(o.route), o.span, o.direction);
		const [relay, port] = [read(o.relay), String(o.port)];
		const held = relay[port][o.direction];
		const lag = relay[port].lag;
		const tolerance = o.delay / 20 + spreadOf(callsOf(o.calls));
		const own = held.map((ns, i) => ns + (lag.length ? lag[i] : 0));
		console.log(
			`${o.route}: ${held.length} pieces, held for ${ms(mean(own))} ms by the relay's own clock, ` +
				`${ms(e.mean_ns)} ms measured, ${ms(e.queue_mean_ns)} ms of them in its socket's queue`,
		);
		waited(pathOf(o.route), e);
		must(pathOf(o.route).count === held.length, `${held.length} pieces held, ${pathOf(o.route).count} measured`);
		below(`${o.route}: own time within the relay's residence`, mean(own), e.mean_ns);
		near(`${o.route}: residence`, e.p50_ns, median(own), tolerance + median(own) * BUCKET);
		if (lag.length) {
			below(`${o.route}: own lag within the queue's`, mean(lag), e.queue_mean_ns);
			below(`${o.route}: queue and own time within residence`, e.queue_mean_ns, e.mean_ns - mean(held));
		}
		near(`${o.route}: queue`, e.queue_p50_ns, lag.length ? median(lag) : 0, tolerance + median(own) * BUCKET);
	},

	/* {route, calls, [connection], base, base_calls}: the responder's own account; one at a time. */
	service() {
		const p = pathOf(o.route);
		const calls = callsOf(o.calls, o.connection);
		const leaf = p.spans[p.spans.length - 1].index;
		const e = edge(p, leaf, "in");
		const tolerance = 5e5 + spreadOf(callsOf(o.base_calls || o.calls));
		const own = (f) => calls.map(f);
		must(e.kind === "service", `the innermost edge is ${e.kind}`);
		must(calls.length === p.count, `${calls.length} calls, ${p.count} exchanges`);
		waited(p, e);
		console.log(
			`${o.route}: service ${ms(e.mean_ns)} ms, of them ${ms(e.queue_mean_ns)} ms in the socket's queue; ` +
				`by the responder's own clock ${ms(mean(own((c) => c.goes - c.came)))} ms and ` +
				`${ms(mean(own((c) => c.recv - c.poll)))} ms not reading`,
		);
		below("round trip within the calls", p.rtt_mean_ns, mean(own((c) => c.t1 - c.t0)));
		below("calls' inner time within the service's", mean(own((c) => c.goes - c.poll)), e.mean_ns);
		below("time not reading within the queue's", mean(own((c) => c.recv - c.poll)), e.queue_mean_ns);
		below("queue and own time within the service's", e.queue_mean_ns, e.mean_ns - mean(own((c) => c.goes - c.came)));
		near("queue", e.queue_p50_ns, median(own((c) => c.recv - c.poll)), tolerance + e.queue_p50_ns * BUCKET);
		near("service", e.p50_ns, median(own((c) => c.goes - c.poll)), tolerance + e.p50_ns * BUCKET);
	},

	/*
	 * {route, account (the responder's), busy}: what the scheduler itself counted for the responder.
	 * It also counts when the responder was interrupted, not only its wake-ups.
	 */
	run_queue() {
		const p = pathOf(o.route);
		const leaf = p.spans[p.spans.length - 1].index;
		const e = edge(p, leaf, "in");
		const account = read(o.account);
		const theirs = account.run_queue_ns / account.answered;
		console.log(
			`${o.route}: ${ms(e.run_queue_mean_ns)} ms in the run queue, ${ms(theirs)} by the scheduler's own ` +
				`account; in the socket's queue ${ms(e.queue_mean_ns)}, service ${ms(e.mean_ns)}`,
		);
		must(e.run_queue_mean_ns !== null, "no run-queue delay was measured");
		waited(p, e);
		below("run queue within the scheduler's account", e.run_queue_mean_ns, theirs * 1.05 + 5e4);
		below("the scheduler's account in it", theirs * 0.8 - 5e4, e.run_queue_mean_ns);
		below("run queue within the socket's queue", e.run_queue_mean_ns, e.queue_mean_ns * 1.02 + 2e4);
		below("the core was kept busy for so long", o.busy, e.run_queue_mean_ns);
	},

	/*
	 * {route ("%c" is the connection), calls, connections, singles}: many at once, each connection
	 * with a delay of its own.
	 */
	apart() {
		const all = callsOf(o.calls);
		let checked = 0;
		for (let c = 0; c < o.connections; c++) {
			const route = o.route.replace("%c", c);
			const p = pathOf(route);
			const calls = all.filter((call) => call.con === c);
			const leaf = p.spans.length - 1;
			const e = edge(p, leaf, "in");
			const hold = calls[0].hold;
			must(p.count <= calls.length, `${route}: ${p.count} exchanges of ${calls.length} calls`);
			console.log(
				`${route}: held for ${ms(hold)} ms; service ${ms(e.mean_ns)} p50 ${ms(e.p50_ns)}, by its own ` +
					`clock ${ms(mean(calls.map((x) => x.goes - x.came)))}; rtt ${ms(p.rtt_mean_ns)}, ` +
					`${ms(mean(calls.map((x) => x.t1 - x.t0)))}`,
			);
			if (p.count === calls.length) {
				below(`${route}: round trip within the calls`, p.rtt_mean_ns, mean(calls.map((x) => x.t1 - x.t0)));
				below(`${route}: own time`, mean(calls.map((x) => x.goes - x.came)), e.mean_ns);
				below(`${route}: rest`, e.mean_ns, mean(calls.map((x) => x.t1 - x.t0)));
			}
			below(`${route}: held within the service's`, hold, e.p50_ns * (1 + BUCKET));
			/* Every single one: a part of another's would be shorter here or there. */
			const of = sampledOf(route).map(parts);
			for (const spans of of) {
				must(spans.length === p.spans.length, `${route}: a timeline of ${spans.length} spans`);
				below(`${route}: held, each`, hold, spans[leaf].after);
			}
			if (of.length === calls.length) {
				const theirs = of.map((s) => s[leaf].after).sort((a, b) => a - b);
				const own = calls.map((x) => x.goes - x.came).sort((a, b) => a - b);
				const whole = of.map((s) => s[0].reply_ns).sort((a, b) => a - b);
				const call = calls.map((x) => x.t1 - x.t0).sort((a, b) => a - b);
				/* If each is not below its own, so are the ranks. */
				theirs.forEach((ns, i) => {
					below(`${route}: service of rank ${i}`, own[i], ns);
					below(`${route}: round trip of rank ${i}`, whole[i], call[i]);
				});
			}
			checked += of.length;
		}
		const missing = final.hop_accounting.timelines_lost;
		console.log(`${checked} single exchanges looked at, ${missing} lost`);
		must(!o.singles || final.sampled.length + missing === final.hop_accounting.complete, "some are missing");
		must(checked >= o.singles, `${checked} of them, ${o.singles} were to be there`);
	},

	/*
	 * {route, calls, k}: the slowest K. Each exchange is within its call, and around the responder's
	 * part of it; so are the ranks, whoever has them. Had one been missed, the next would be too short.
	 */
	slowest() {
		const lines = final.timelines.filter((t) => t.route === o.route && !t.sampled);
		const calls = callsOf(o.calls);
		const descending = (f) => calls.map(f).sort((a, b) => b - a);
		const [whole, inner] = [descending((c) => c.t1 - c.t0), descending((c) => c.goes - c.came)];
		must(lines.length === o.k, `${lines.length} timelines, not ${o.k}`);
		must(lines[0].duration_ns === pathOf(o.route).rtt_max_ns, "the slowest is not the histogram's");
		lines.forEach((t, i) => {
			console.log(`rank ${i}: ${ms(inner[i])} <= ${ms(t.duration_ns)} <= ${ms(whole[i])}`);
			below(`rank ${i}: the responder's part`, inner[i], t.duration_ns);
			below(`rank ${i}: within the call`, t.duration_ns, whole[i]);
		});
	},

	/*
	 * {route, exchanges (tools/exchanges.js)}: of a capture between client and broker, one at a time: the broker's span is
	 * not longer than the captured one, which is not longer than the client's.
	 */
	wire() {
		const p = pathOf(o.route);
		const captured = read(o.exchanges).exchanges.filter((e) => e.verb === "PUB" && e.subject === o.route);
		const theirs = captured.sort((a, b) => (BigInt(a.t0) < BigInt(b.t0) ? -1 : 1)).map((e) => e.ns);
		const network = edge(p, 1, "there").mean_ns + edge(p, 0, "back").mean_ns;
		const slack = (ns) => 1000 + ns * CLOCKS;
		must(theirs.length === p.count, `${theirs.length} captured, ${p.count} exchanges`);
		console.log(
			`${o.route}: ${ms(mean(theirs))} ms in the capture, the client's span ${ms(p.rtt_mean_ns)}, the ` +
				`broker's ${ms(p.rtt_mean_ns - network)}`,
		);
		const lines = sampledOf(o.route).map(parts);
		must(lines.length === p.count, `${lines.length} single ones, ${p.count} captured`);
		lines.forEach((spans, i) => {
			const span = (s) => s.reply_ns - s.request_ns;
			below(`exchange ${i}: broker`, span(spans[1]), theirs[i] + slack(theirs[i]));
			below(`exchange ${i}: client`, theirs[i], span(spans[0]) + slack(theirs[i]));
		});
		/* So is the network hop itself, as the capture splits it. */
		below("broker", p.rtt_mean_ns - network, mean(theirs) + slack(mean(theirs)));
		below("client", mean(theirs), p.rtt_mean_ns + slack(mean(theirs)));
	},

	/* {route, exchanges (a capture's, tools/exchanges.js)}: all connections on one host, one exchange at a time */
	capture() {
		const p = pathOf(o.route);
		const captured = read(o.exchanges).exchanges;
		const lines = sampledOf(o.route).map(parts);
		const by = (verb) =>
			captured
				.filter((e) => e.verb === verb && e.subject === o.route)
				.map((e) => ({ t0: BigInt(e.t0), t1: BigInt(e.t1) }))
				.sort((a, b) => (a.t0 < b.t0 ? -1 : 1));
		const [outer, inner] = [by("PUB"), by("MSG")];
		must(outer.length === p.count && inner.length === p.count, `${outer.length}, ${inner.length} captured; ${p.count}`);
		must(roles({ spans: p.spans }) === "client broker broker_out service", describe(p));
		/* [what, from the capture, edges that lie within it, edges that it may lie within, too] */
		const rows = [
			["broker, there", (a, b) => Number(b.t0 - a.t0), [[2, "there"]], [[1, "there"], [3, "there"]]],
			["service", (a, b) => Number(b.t1 - b.t0), [[3, "in"]], [[3, "there"], [2, "back"]]],
			["broker, back", (a, b) => Number(a.t1 - b.t1), [[1, "back"]], [[2, "back"], [0, "back"]]],
		];
		const part = (spans, [i, direction]) => (direction === "there" ? spans[i].before : spans[i].after);
		for (const [what, of, within, around] of rows) {
			const theirs = outer.map((a, i) => of(a, inner[i]));
			const low = sum(within.map(([i, d]) => edge(p, i, d).mean_ns));
			const high = low + sum(around.map(([i, d]) => edge(p, i, d).mean_ns));
			const slack = 1000 + mean(theirs) * CLOCKS;
			console.log(
				`${what}: ${ms(mean(theirs))} ms in the capture, measured between ${ms(low)} and ${ms(high)}; ` +
					`p50 ${ms(median(theirs))}, ${within.map(([i, d]) => ms(edge(p, i, d).p50_ns)).join(" ")}`,
			);
			below(`${what}: within the capture's`, low, mean(theirs) + slack);
			below(`${what}: around the capture's`, mean(theirs), high + slack);
			must(lines.length === outer.length, `${lines.length} single ones, ${outer.length} captured`);
			lines.forEach((spans, i) => {
				const l = sum(within.map((x) => part(spans, x)));
				const h = l + sum(around.map((x) => part(spans, x)));
				const s = 1000 + theirs[i] * CLOCKS;
				below(`${what}, exchange ${i}: within`, l, theirs[i] + s);
				below(`${what}, exchange ${i}: around`, theirs[i], h + s);
			});
		}
		console.log(`${lines.length} single exchanges looked at`);
	},
};

must(checks[check], "no such check");
checks[check]();
