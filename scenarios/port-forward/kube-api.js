// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// A server for the part of the Kubernetes API that `kubectl port-forward` uses, for measurements of
// kubectl without a cluster: plain HTTP, no authorisation, and every pod is the host that we run on.
//
//	node kube-api.js '{"host": "198.51.100.2", "port": 8001, "pods": {"n1": 4222}}'
//
// GET .../pods/NAME answers with a running pod. Its subresource `portforward` upgrades the
// connection, as API server and kubelet do together:
//
//	POST, Upgrade: SPDY/3.1    SPDY on the connection itself
//	GET, Upgrade: websocket    the same bytes in binary messages (SPDY/3.1+portforward.k8s.io)
//
// Each connection to the forwarded port is then two SPDY streams with the same `requestid`: `error`,
// on which we report why there is no connection, and `data`, which is that connection.
'use strict';

const http = require('http');
const net = require('net');
const transport = require('spdy-transport');
const { WebSocketServer, createWebSocketStream } = require('ws');

const PROTOCOL = 'portforward.k8s.io';
const TUNNEL = 'SPDY/3.1+portforward.k8s.io';
const CHUNK = 32 * 1024; // as io.Copy of the servers written in Go
const options = JSON.parse(process.argv[2]);

function pod(name) {
	return {
		kind: 'Pod', apiVersion: 'v1',
		metadata: { name, namespace: 'default', uid: `pod-${name}` },
		spec: {
			containers: [{
				name, image: name,
				ports: [{ containerPort: options.pods[name], protocol: 'TCP' }],
			}],
		},
		status: { phase: 'Running', podIP: '127.0.0.1' },
	};
}

const documents = {
	'/version': { major: '1', minor: '32', gitVersion: 'v1.32.0+hopscope-test-server' },
	'/api': { kind: 'APIVersions', versions: ['v1'] },
	'/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [] },
	'/api/v1': {
		kind: 'APIResourceList', groupVersion: 'v1',
		resources: [
			{ name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get'] },
			{ name: 'pods/portforward', singularName: '', namespaced: true,
				kind: 'PodPortForwardOptions', verbs: ['create', 'get'] },
		],
	},
};

// [, name, subresource], or null.
function pod_of(url) {
	const path = url.split('?')[0];
	const found = /^\/api\/v1\/namespaces\/default\/pods\/([^/]+)(?:\/([^/]+))?$/.exec(path);

	return found && Object.hasOwn(options.pods, found[1]) ? found : null;
}

function answer(response, code, object) {
	const body = JSON.stringify(object);

	response.writeHead(code, {
		'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body),
	});
	response.end(body);
}

function refuse(response, code, message) {
	answer(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code });
}

function on_request(request, response) {
	const path = request.url.split('?')[0];
	const found = pod_of(request.url);

	if (request.method !== 'GET')
		refuse(response, 405, 'only GET, and the upgrade to a port-forward');
	else if (documents[path])
		answer(response, 200, documents[path]);
	else if (found && !found[2])
		answer(response, 200, pod(found[1]));
	else if (found && found[2] === 'portforward')
		refuse(response, 400, 'Upgrade request required');
	else
		refuse(response, 404, `there is no ${path}`);
}

// A window that never closes.
function open_window(window) {
	window.send.update = window.recv.update = (size, callback) => {
		if (callback)
			process.nextTick(callback);
	};
}

// Kubernetes' SPDY (https://github.com/moby/spdystream) is not quite the one of browsers.
function as_kubernetes(connection) {
	const state = connection._spdyState;
	const parse = state.parser.parseKVs;

	// There is no flow control: it sends no window updates and heeds none. Without this the first
	// 64 KiB would be the last.
	open_window(state.window);
	state.framer.settingsFrame = state.framer.windowUpdateFrame = () => {};
	// A stream has no request line, which the parser insists on.
	state.parser.parseKVs = function (body, callback) {
		parse.call(this, body, (error, headers) => callback(error,
			headers && { ':method': 'POST', ':path': '/', ...headers }));
	};
}

// The streams of one connection to the forwarded port.
function join(data, error) {
	const target = net.connect({
		host: '127.0.0.1', port: Number(data.headers.port), noDelay: true, allowHalfOpen: true,
	});
	let connected = false;

	target.on('connect', () => {
		connected = true;
	});
	target.on('error', (e) => {
		if (!connected)
			error.write(`an error occurred forwarding: ${e.message}`);
		data.abort();
	});
	target.on('close', () => {
		error.end();
		error.resume();
		data.end();
	});
	// The client has gone without a word.
	data.on('close', () => target.destroySoon());
	data.on('error', () => target.destroy());
	data.pipe(target);
	target.pipe(data);
}

function forward(socket) {
	// kubectl drops what it reads together with the answer to its upgrade, so the client speaks first.
	socket.once('readable', () => serve(socket));
}

function serve(socket) {
	const connection = transport.connection.create(socket, {
		protocol: 'spdy', isServer: true, maxChunk: CHUNK, maxStreams: 1 << 20,
	});
	const errors = new Map(); // of request ids

	connection.on('error', () => socket.destroy());
	connection.on('stream', (stream) => {
		const id = stream.headers.requestid;

		open_window(stream._spdyState.window);
		stream.on('error', () => {});
		stream.respond(200, {});
		if (stream.headers.streamtype === 'error') {
			errors.set(id, stream);
			return;
		}
		const error = errors.get(id);
		if (stream.headers.streamtype !== 'data' || !error) {
			stream.abort('PROTOCOL_ERROR');
			return;
		}
		errors.delete(id);
		join(stream, error);
	});
	as_kubernetes(connection);
	connection.start(3.1);
}

const server = http.createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, on_request);
const sockets = new WebSocketServer({
	noServer: true, perMessageDeflate: false, maxPayload: 1 << 26,
});

// The name of the protocol holds a '/', which `ws` takes for an error: it does not see it.
sockets.on('headers', (headers) => headers.push(`Sec-WebSocket-Protocol: ${TUNNEL}`));

server.on('upgrade', (request, socket, head) => {
	const found = pod_of(request.url);
	const kind = (request.headers.upgrade || '').toLowerCase();

	socket.setNoDelay(true);
	socket.on('error', () => socket.destroy());
	if (!found || found[2] !== 'portforward') {
		socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n');
	} else if (kind === 'websocket' && request.headers['sec-websocket-protocol'] === TUNNEL) {
		delete request.headers['sec-websocket-protocol'];
		sockets.handleUpgrade(request, socket, head, (ws) => forward(createWebSocketStream(ws)));
	} else if (kind === 'spdy/3.1' && request.method === 'POST') {
		socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n' +
			`Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${PROTOCOL}\r\n\r\n`);
		if (head.length)
			socket.unshift(head);
		forward(socket);
	} else {
		socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
	}
});
server.listen(options.port, options.host, 1024);
