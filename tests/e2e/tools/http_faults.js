// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// A HTTP server that goes wrong on demand: `node http_faults.js`. The first line of its output is its
// port, the last (at SIGTERM) the number of requests it got by path, as JSON. By path:
//	/echo		the request's body
//	/slash		the same with every "/" as "\/", as some JSON encoders write it
//	/mask		the same with the first access key replaced by AWS_ACCESS_KEY_001
//	/lose		the same without one of its identifiers
//	/hang		no answer
//	/reset /close	a reset, the end of the connection instead of an answer
//	/reset2 /close2	the same, with the second request of each connection
//	/cut		the head, a part of the body, the end
'use strict';
const http = require('http');

const counts = {};
const seen = new WeakMap(); // socket -> its requests

function body(req, path, text) {
	if (path === '/slash')
		return text.replaceAll('/', '\\/');
	if (path === '/mask')
		return text + text.match(/A[KS]IA[A-Z0-9]{16}/)[0].replace(/.*/, ' AWS_ACCESS_KEY_001');
	if (path === '/lose')
		return text.replaceAll(text.match(/subnet-[0-9a-f]{8,}/)[0], 'subnet-');
	return text;
}

const server = http.createServer((req, res) => {
	const path = req.url;
	const nth = (seen.get(req.socket) || 0) + 1;
	const chunks = [];

	seen.set(req.socket, nth);
	counts[path] = (counts[path] || 0) + 1;
	req.on('data', (chunk) => chunks.push(chunk));
	req.on('end', () => {
		const now = !path.endsWith('2') || nth === 2;

		if (path.startsWith('/reset') && now)
			return req.socket.resetAndDestroy();
		if (path.startsWith('/close') && now)
			return req.socket.end();
		if (path === '/hang')
			return;
		if (path === '/cut') {
			res.writeHead(200, {'Content-Length': 100});
			return res.write('half', () => req.socket.end());
		}
		res.end(body(req, path, Buffer.concat(chunks).toString()) || 'ok');
	});
});

server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.on('SIGTERM', () => {
	console.log(JSON.stringify(counts));
	process.exit(0);
});
