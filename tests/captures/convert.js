#!/usr/bin/env node
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * convert.js http|redis PORT PACKETS FILE NAME: the longest connection to the port in the first
 * PACKETS (0: all) packets of a capture file, as NAME.cap and NAME.want.
 *
 * NAME.cap, a line a segment, as they passed:
 *   > text     to the server, < text: from it. \r \n \\ \xHH, and \*N*C: the character C N times.
 * NAME.want, a line a unit, each direction in its order, from a parser that shares nothing with ours:
 *   > GET /users/123 116           method, path without query, bytes on the wire
 *   < 200 147                      status, bytes; "cut": its end did not come
 *   > SET 3 33                     command, elements, bytes
 *   < + 5, < -WRONGTYPE 68         type of the reply, of an error the code; bytes
 *   < push message 44              a push of that kind
 *   > blank 2                      empty lines that are nobody's
 *   opaque websocket               nothing behind is HTTP/1
 */
"use strict";
const fs = require("fs");
const { execFileSync } = require("child_process");
const [kind, port, packets, file, name] = process.argv.slice(2);

const tshark = (...args) =>
	execFileSync(
		"tshark",
		["-r", file, ...(Number(packets) ? ["-c", packets] : []), "-d", `tcp.port==${port},http`, ...args],
		{ maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] },
	).toString("latin1");

const segments = () => {
	const fields = ["tcp.stream", "tcp.dstport", "tcp.seq", "tcp.payload"].flatMap((f) => ["-e", f]);
	const streams = new Map();
	for (const line of tshark("-Y", "tcp.len > 0", "-T", "fields", ...fields).split("\n")) {
		const [stream, to, seq, hex] = line.split("\t");
		if (!hex) continue;
		if (!streams.has(stream)) streams.set(stream, { stream, list: [], next: [1, 1], bytes: 0 });
		const s = streams.get(stream);
		const dir = to === port ? 0 : 1;
		const data = Buffer.from(hex, "hex");
		if (Number(seq) !== s.next[dir]) throw new Error(`stream ${stream}: out of order`);
		s.next[dir] += data.length;
		s.bytes += data.length;
		s.list.push([dir, data]);
	}
	const all = [...streams.values()].sort((a, b) => b.bytes - a.bytes);
	if (!all.length) throw new Error("nothing in it");
	return all[0];
};

const escape = (data) =>
	data
		.toString("latin1")
		.replace(/([\s\S])\1{15,}/g, (run) => `\0${run.length}*${run[0]}`)
		.replace(/[^ -~]|\\/g, (c) =>
			c === "\0" ? "\0" : c === "\r" ? "\\r" : c === "\n" ? "\\n" : c === "\\" ? "\\\\"
				: "\\x" + c.charCodeAt(0).toString(16).padStart(2, "0"),
		)
		.replace(/\0(\d+\*)/g, "\\*$1")
		.replace(/\0/g, "\\x00");

/* ---- HTTP: where messages end says http-parser-js; which they are, tshark's dissector, too */

const attribute = (text, field) => {
	const m = text.match(new RegExp(`<field name="${field}"[^>]* show="([^"]*)"`));
	return m && m[1].replace(/&amp;/g, "&");
};

const path = (uri) => uri.replace(/^http:\/\/[^/]*/, "").split("?")[0];

/* ["> GET /path", "< 200", ...], and what comes behind HTTP/1, if anything. */
const dissected = (stream) => {
	const result = [];
	let asked = [];
	const pdml = tshark("-Y", `tcp.stream == ${stream}`, "-T", "pdml");
	for (const proto of pdml.split(/(?=<proto )/)) {
		const is = proto.match(/<proto name="(\w+)"/);
		if (is && (is[1] === "websocket" || is[1] === "http2")) return [result, is[1]];
		if (!is || is[1] !== "http") continue;
		const method = attribute(proto, "http.request.method");
		const status = attribute(proto, "http.response.code");
		if (method) {
			asked.push(method);
			result.push(`> ${method} ${path(attribute(proto, "http.request.uri"))}`);
		} else if (status) {
			result.push(`< ${status}`);
			if (status[0] === "1" && status !== "101") continue;
			if (asked.shift() === "CONNECT" && status[0] === "2") return [result, "tunnel"];
		}
	}
	return [result, null];
};

/* [text, end] of a direction's messages; end 0: it did not come. */
const parsed = (data, kind, methods) => {
	const { HTTPParser } = require("../e2e/nodejs/node_modules/http-parser-js");
	const parser = new HTTPParser(HTTPParser[kind]);
	const result = [];
	let ended = 0;
	let at = 0;
	parser[HTTPParser.kOnHeadersComplete] = (info) => {
		if (kind === "REQUEST") {
			const method = HTTPParser.methods[info.method];
			methods.push(method);
			result.push([`> ${method} ${path(info.url)}`, 0]);
			return false;
		}
		result.push([`< ${info.statusCode}`, 0]);
		if (info.statusCode < 200 && info.statusCode !== 101) return false;
		return /^(HEAD|CONNECT)$/.test(methods.shift()); // no body
	};
	parser[HTTPParser.kOnMessageComplete] = () => (result[ended++][1] = at + 1);
	for (; at < data.length; at++) {
		const rc = parser.execute(data.subarray(at, at + 1));
		if (rc instanceof Error) throw rc;
	}
	return result;
};

const http = (stream, list) => {
	const whole = (dir) => Buffer.concat(list.filter((s) => s[0] === dir).map((s) => s[1]));
	const [said, behind] = dissected(stream);
	if (behind === "http2") return ["opaque http2"];
	/* Neither parser is to read what is not HTTP/1 any more. */
	const methods = [];
	const want = [];
	for (const dir of [0, 1]) {
		const all = parsed(whole(dir), ["REQUEST", "RESPONSE"][dir], methods);
		const other = said.filter((t) => t[0] === "><"[dir]);
		const units = all.slice(0, behind ? other.length : all.length);
		/* tshark leaves out what is cut. */
		if (units.length > other.length && !units[units.length - 1][1])
			other.push(units[units.length - 1][0]);
		if (JSON.stringify(units.map((u) => u[0])) !== JSON.stringify(other))
			throw new Error(`tshark: ${other}; http-parser-js: ${units.map((u) => u[0])}`);
		units.forEach(([text, end], i) => {
			const begin = i ? units[i - 1][1] : 0;
			want.push(`${text} ${end ? end - begin : "cut"}`);
		});
	}
	return behind ? [...want, `opaque ${behind}`] : want;
};

/* ---- Redis: the decoder of a client library, a byte at a time, so that it tells each unit's end */

const redis = (list) => {
	const { Decoder } = require("../e2e/nodejs/node_modules/@redis/client/dist/lib/RESP/decoder");
	const want = [];
	for (const dir of [0, 1]) {
		const data = Buffer.concat(list.filter((s) => s[0] === dir).map((s) => s[1]));
		let at = 0;
		let begin = 0;
		let top = null;
		let text = null;
		const say = (what) => (text = `${"><"[dir]} ${what}`);
		const pushed = /^(p|s)?(message|(un)?subscribe)$/;
		const decoder = new Decoder({
			onReply: (r) => {
				if (dir === 0) say(`${r[0].toUpperCase()} ${r.length}`);
				else if (Array.isArray(r) && pushed.test(r[0])) say(`push ${r[0]}`);
				else say(top);
			},
			onErrorReply: (e) => say(top + e.message.split(" ")[0]),
			onPush: (r) => say(`push ${r[0]}`),
			getTypeMapping: () => ({}),
		});
		while (at < data.length) {
			if (top === null) {
				const blank = data.subarray(at).toString("latin1").match(/^(\r\n)*/)[0].length;
				if (blank) want.push(`${"><"[dir]} blank ${blank}`);
				for (let i = 0; i < blank; i++) at++;
				begin = at;
				top = String.fromCharCode(data[at]);
			}
			decoder.write(data.subarray(at, at + 1));
			at++;
			/* It tells before the line end that it expects; that belongs to the unit. */
			if (text === null || data[at - 1] !== 10) continue;
			want.push(`${text} ${at - begin}`);
			text = top = null;
		}
	}
	return want;
};

const { stream, list } = segments();
const want = kind === "http" ? http(stream, list) : redis(list);
fs.writeFileSync(`${name}.cap`, list.map(([dir, data]) => `${"><"[dir]} ${escape(data)}\n`).join(""));
fs.writeFileSync(`${name}.want`, want.join("\n") + "\n");

/* A seed for tests/fuzz/fuzz_{http,redis}.c: flags, seed of the segments, length of a direction. */
const [asked, answered] = [0, 1].map((dir) => Buffer.concat(list.filter((s) => s[0] === dir).map((s) => s[1])));
const head = Buffer.from([0, list.length, asked.length & 255, asked.length >> 8]);
if (asked.length + answered.length < 6000)
	fs.writeFileSync(`../fuzz/corpus/${kind}/${name}`, Buffer.concat([head, asked, answered]));
