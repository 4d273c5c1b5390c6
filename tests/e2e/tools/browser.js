// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Chromium without a window, driven by the DevTools protocol over a pipe: no packages, no port.
'use strict';
const { spawn } = require('child_process');

class Browser {
	constructor(dir) {
		// Root may not use the sandbox, and all that is opened is a file of ours.
		this.process = spawn(process.env.CHROMIUM || 'chromium', ['--headless', '--no-sandbox',
			'--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
			'--disable-background-networking', '--hide-scrollbars',
			`--user-data-dir=${dir}`, '--remote-debugging-pipe', 'about:blank'],
		{ stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
		this.id = 0;
		this.waiting = new Map();
		this.errors = []; // what pages said on their console, and requests they made
		this.requests = [];
		let rest = '';
		this.process.stdio[4].on('data', (data) => {
			const parts = (rest + data).split('\0');
			rest = parts.pop();
			parts.forEach((part) => this.message(JSON.parse(part)));
		});
		this.ended = new Promise((resolve) => this.process.on('exit', resolve));
	}

	message(m) {
		if (m.id && this.waiting.has(m.id)) {
			const { resolve, reject } = this.waiting.get(m.id);
			this.waiting.delete(m.id);
			if (m.error)
				reject(new Error(m.error.message));
			else
				resolve(m.result);
		} else if (m.method === 'Runtime.exceptionThrown') {
			this.errors.push(m.params.exceptionDetails.exception?.description ||
				m.params.exceptionDetails.text);
		} else if (m.method === 'Runtime.consoleAPICalled') {
			this.errors.push(`console.${m.params.type}`);
		} else if (m.method === 'Log.entryAdded' && m.params.entry.level === 'error') {
			this.errors.push(m.params.entry.text);
		} else if (m.method === 'Network.requestWillBeSent') {
			this.requests.push(m.params.request.url);
		} else if (m.method === 'Page.loadEventFired') {
			this.loaded();
		}
	}

	send(method, params = {}, session = this.session) {
		const id = ++this.id;
		this.process.stdio[3].write(JSON.stringify({ id, method, params, sessionId: session }) +
			'\0');
		return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
	}

	async open(url, width = 1200, height = 700) {
		const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' }, undefined);
		const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true },
			undefined);
		this.session = sessionId;
		for (const domain of ['Page', 'Runtime', 'Log', 'Network'])
			await this.send(`${domain}.enable`);
		await this.send('Emulation.setDeviceMetricsOverride',
			{ width, height, deviceScaleFactor: 1, mobile: false });
		const load = new Promise((resolve) => { this.loaded = resolve; });
		await this.send('Page.navigate', { url });
		await load;
	}

	async eval(expression) {
		const r = await this.send('Runtime.evaluate', { expression, returnByValue: true });
		if (r.exceptionDetails)
			throw new Error(r.exceptionDetails.exception?.description);
		return r.result.value;
	}

	async mouse(x, y, click) {
		await this.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y });
		if (!click)
			return;
		for (const type of ['mousePressed', 'mouseReleased'])
			await this.send('Input.dispatchMouseEvent',
				{ type, x, y, button: 'left', clickCount: 1 });
	}

	async key(key, modifiers = 0) {
		const code = { Escape: 27, Enter: 13, ArrowDown: 40, ArrowUp: 38, ArrowLeft: 37,
			ArrowRight: 39 }[key] || key.toUpperCase().charCodeAt(0);
		for (const type of ['keyDown', 'keyUp'])
			await this.send('Input.dispatchKeyEvent',
				{ type, key, modifiers, windowsVirtualKeyCode: code,
					...(key === 'Enter' && type === 'keyDown' ? { text: '\r' } : {}) });
	}

	async type(text) {
		await this.send('Input.insertText', { text });
	}

	async dark(on) {
		await this.send('Emulation.setEmulatedMedia', { features:
			[{ name: 'prefers-color-scheme', value: on ? 'dark' : 'light' }] });
	}

	async screenshot(file) {
		const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
		require('fs').writeFileSync(file, Buffer.from(data, 'base64'));
	}

	async close() {
		this.send('Browser.close', {}, undefined).catch(() => {});
		const timer = setTimeout(() => this.process.kill('SIGKILL'), 5000);
		await this.ended;
		clearTimeout(timer);
	}
}

module.exports = { Browser };
