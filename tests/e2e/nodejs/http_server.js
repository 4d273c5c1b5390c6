// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An HTTP server for what nginx does not do: trailers, early hints, early answers, WebSocket,
// CONNECT. {"host": "127.0.0.1"}; says "ready PORT".
"use strict";
const http = require("http");
const net = require("net");
const { WebSocketServer } = require("ws");
const { options, say } = require("./lib");

const o = options({ host: "127.0.0.1" });

const answers = {
	"/trailers": (req, res) => {
		res.writeHead(200, { Trailer: "X-Sum, X-Count" });
		res.write("one ");
		res.write("two");
		res.addTrailers({ "X-Sum": "0123456789abcdef", "X-Count": "2" });
		res.end();
	},
	"/hints": (req, res) => {
		res.writeEarlyHints({ link: "</a.css>; rel=preload; as=style" });
		res.end("hinted\n");
	},
	/* Answers before the body has come, and reads it all the same. */
	"/early": (req, res) => {
		res.writeHead(413);
		res.end("too much\n");
		req.resume();
	},
	"/echo": (req, res) => {
		res.writeHead(200, { "Content-Type": "application/octet-stream" });
		req.pipe(res);
	},
};

const server = http.createServer((req, res) => {
	const answer = answers[req.url.split("?")[0]];
	if (answer) return answer(req, res);
	res.end(`${req.method}\n`);
});
const sockets = new WebSocketServer({ noServer: true });
server.on("upgrade", (req, socket, head) =>
	sockets.handleUpgrade(req, socket, head, (ws) => ws.on("message", (data) => ws.send(data))),
);
server.on("connect", (req, socket, head) => {
	const [host, port] = req.url.split(":");
	const to = net.connect(Number(port), host, () => {
		socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
		to.write(head);
		to.pipe(socket).pipe(to);
	});
	to.on("error", () => socket.destroy());
	socket.on("error", () => to.destroy());
});
server.listen(0, o.host, () => say(`ready ${server.address().port}`));
