// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// mask_fuzz.js URL REQUESTS SEED: Messages requests with AWS identifiers in every corner of JSON,
// several at a time. claude-api answers with the masks that it got, in order: the client must find
// its identifiers there, in order. Prints a JSON object; the exit code is 1 when one was wrong.
'use strict';
const http = require('http');

const [url, requests, seed] = [process.argv[2], +process.argv[3], +process.argv[4]];
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });

// xorshift: the same requests for the same seed.
let state = (seed * 2654435761 + 1) >>> 0 || 1;
function random(n) {
	state ^= state << 13;
	state >>>= 0;
	state ^= state >>> 17;
	state ^= state << 5;
	state >>>= 0;
	return state % n;
}
const pick = (list) => list[random(list.length)];
const digits = (n, set) => Array.from({ length: n }, () => pick(set)).join('');
const hex = (n) => digits(n, '0123456789abcdef');
const decimal = (n) => digits(n, '0123456789');
const upper = (n) => digits(n, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567');

const octet = () => random(256);
const publicIp = () => [pick([3, 13, 54, 99, 171, 191, 203]), octet(), octet(), octet()].join('.');
const makers = [
	() => 'i-' + hex(pick([8, 17])),
	() => 'vpc-' + hex(pick([8, 17])),
	() => 'subnet-' + hex(pick([8, 17])),
	() => 'sg-' + hex(pick([8, 17])),
	() => 'arn:aws:iam::' + decimal(12) + ':role/' + upper(1 + random(20)),
	() => `arn:aws:ec2:eu-west-${1 + random(3)}:${decimal(12)}:instance/i-${hex(17)}`,
	() => 'arn:aws:s3:::bucket-' + hex(4) + '/path/x_' + hex(3),
	() => decimal(12),
	() => pick(['AKIA', 'ASIA']) + upper(16),
	publicIp,
];
// What may stand around an identifier: JSON escapes that look like a part of it, letters of
// several bytes, the beginning of a mask, things that are no identifiers.
const between = [' ', ', ', '\n', '\t', '"', '\\', '/', '\u00e9', '\u4e2d', '\u{1f600}', ' AWS_',
	' AWS_EC2_', ' 10.0.0.1 ', ' 192.168.1.77 ', ' i-xyz ', ' sg- ', '\u0000', '\u2028', '(', ')',
	'=', ' 1.2.3 ', '<', '>', '_'];

const pool = Array.from({ length: 40 }, () => pick(makers)());

// A text, and its identifiers in order.
function text(count) {
	let s = pick(between), ids = [];
	for (let i = 0; i < count; i++) {
		const id = random(3) ? pick(makers)() : pick(pool);
		ids.push(id);
		// One blank parts it from what a letter, a digit or a dot would make another word of.
		s += id + ' ' + pick(between) + (random(2) ? ' ' : pick(['\n', '"', '\\', '\u00e9', '_', '(']));
	}
	return { s: random(4) ? s : s.trimEnd(), ids };
}

// Any character of a string may be written as \uXXXX.
function stringify(value) {
	let json = JSON.stringify(value);
	if (random(2))
		json = json.replace(/[\u0080-\uffff]/g,
			(c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));
	if (random(2))
		json = json.replace(/\//g, '\\/');
	if (!random(3))
		json = json.replace(/([isva])(?=[-pugr])/g, (c) => '\\u00' + c.charCodeAt(0).toString(16));
	return json;
}

function makeRequest(n) {
	const count = n % 25 === 0 ? 2000 : random(12);
	const a = text(count), b = text(random(3)), id = 'vpc-' + hex(17), account = '1' + decimal(11);
	const body = {
		model: 'claude-x',
		max_tokens: 100,
		system: b.s,
		messages: [{ role: 'user', content: [{ type: 'text', text: a.s }] }],
		metadata: { [id]: +account, list: [1, -2.5e3, true, null, {}] },
	};
	return { body: stringify(body), ids: [...b.ids, ...a.ids, id, account] };
}

function send(body, chunked) {
	return new Promise((resolve, reject) => {
		const req = http.request(url, { method: 'POST', agent,
			headers: chunked ? {} : { 'Content-Length': Buffer.byteLength(body) } }, (res) => {
			const parts = [];
			res.on('data', (d) => parts.push(d));
			res.on('end', () => resolve({ status: res.statusCode,
				text: Buffer.concat(parts).toString() }));
			res.on('error', reject);
		});
		req.on('error', reject);
		if (chunked) {
			// Cut anywhere, in the middle of a letter too.
			const bytes = Buffer.from(body);
			for (let at = 0; at < bytes.length;) {
				const n = 1 + random(bytes.length > 10000 ? 30000 : 200);
				req.write(bytes.subarray(at, at + n));
				at += n;
			}
		} else {
			req.write(body);
		}
		req.end();
	});
}

const result = { requests: 0, identifiers: 0, wrong: 0, first_wrong: null };

async function one(n) {
	const { body, ids } = makeRequest(n);
	const answer = await send(body, random(2));
	result.requests++;
	result.identifiers += ids.length;
	const want = `I looked at ${ids.join(', ')}.`;
	let got = null;
	try {
		got = JSON.parse(answer.text).content[0].text;
	} catch (e) {
		got = `${answer.status}: ${answer.text.slice(0, 300)}`;
	}
	if (answer.status !== 200 || got !== want) {
		result.wrong++;
		result.first_wrong ??= { n, want: want.slice(0, 600), got: got.slice(0, 600),
			body: body.slice(0, 900) };
	}
}

async function main() {
	let next = 0;
	await Promise.all(Array.from({ length: 8 }, async () => {
		while (next < requests)
			await one(next++);
	}));
	console.log(JSON.stringify(result));
	agent.destroy();
	process.exitCode = result.wrong ? 1 : 0;
}
main();
