// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// flame.js FILE DIR FRAME: opens a flame graph and uses it as a person would: zooms into the frame
// of that name, searches, goes back. Screenshots go to DIR. Ends with 1 and a sentence when
// something is not as it should be.
'use strict';
const assert = require('assert');
const path = require('path');
const { Browser } = require('./browser.js');

const [file, dir, name] = process.argv.slice(2);

// What is seen: every frame with its place, as the page has it.
const FRAMES = `Array.from(document.querySelectorAll('g.f')).map((g) => {
	const box = g.querySelector('rect').getBoundingClientRect();
	return { name: g.querySelector('title').textContent.split('\\n')[0],
		title: g.querySelector('title').textContent,
		label: g.querySelector('text').textContent, off: g.classList.contains('off'),
		hit: g.classList.contains('hit'), depth: +g.dataset.d, value: +g.dataset.w,
		fill: getComputedStyle(g.querySelector('rect')).fill,
		x: box.x, y: box.y, width: box.width, height: box.height };
})`;

const text = (b, selector) => b.eval(`document.querySelector('${selector}').textContent`);
const center = (f) => [f.x + f.width / 2, f.y + f.height / 2];
const layout = (frames) => frames.map((f) => [f.off, f.label, f.x.toFixed(1), f.width.toFixed(1)]);

// Widths are shares of the whole, children lie within their parents, labels within their frames.
function checkLayout(frames, whole) {
	const shown = frames.filter((f) => !f.off);
	for (const f of shown) {
		assert(Math.abs(f.width - whole.width * f.value / whole.value) < 1.5 ||
			f.depth < whole.depth, `width of ${f.name}`);
		assert(f.x >= whole.x - 1 && f.x + f.width <= whole.x + whole.width + 1,
			`${f.name} sticks out`);
		assert(f.label.length * 7 <= f.width + 1, `label of ${f.name}`);
		assert(f.label === f.name || f.width < f.name.length * 7.3 + 7,
			`${f.name} has room for its label, but has '${f.label}'`);
		assert(f.label === '' || f.label === f.name ||
			(f.label.endsWith('\u2026') && f.name.startsWith(f.label.slice(0, -1))),
		`label '${f.label}' of ${f.name}`);
	}
}

async function zoom(b) {
	const before = await b.eval(FRAMES), whole = before[0];
	checkLayout(before, whole);
	assert(before.every((f) => !f.off || f.width < 1), 'nothing is hidden at first');
	const target = before.filter((f) => f.name === name).sort((a, c) => c.width - a.width)[0];
	assert(target, `there is no frame ${name}`);
	assert(target.width > 5 && target.width < 0.9 * whole.width, `${name} is ${target.width} wide`);
	await b.mouse(...center(target), true);
	const zoomed = await b.eval(FRAMES);
	const now = zoomed[before.indexOf(target)];
	assert(Math.abs(now.width - whole.width) < 1, 'the frame fills the width');
	assert(now.label === name || now.label.endsWith('\u2026'), 'and has its label');
	checkLayout(zoomed.filter((f) => f.depth >= target.depth), now);
	assert(zoomed.some((f) => f.off), 'the others are hidden');
	assert(zoomed.filter((f) => !f.off && f.depth < target.depth).length === target.depth,
		'the callers stay');
	assert.notDeepStrictEqual(layout(zoomed), layout(before));
	await b.screenshot(path.join(dir, 'zoomed.png'));
	return { before, target };
}

async function back(b, before) {
	const button = await b.eval(`(() => { const r = document.querySelector('.reset')
		.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`);
	await b.mouse(...button, true);
	assert.deepStrictEqual(layout(await b.eval(FRAMES)), layout(before), 'reset restores');
	assert.strictEqual(await b.eval(`getComputedStyle(document.querySelector('.reset')).display`),
		'none');
}

async function hover(b, target) {
	await b.mouse(...center(target), false);
	const details = await text(b, '.details');
	assert(details.startsWith(target.name) && /B/.test(details), `details '${details}'`);
	if (!/grew|shrank/.test(target.title.split('\n')[2]))
		assert(/\d %\), [\d,]+ (blocks|pages)/.test(details), `details '${details}'`);
	await b.mouse(5, 5, false);
	assert.strictEqual(await text(b, '.details'), '');
}

async function search(b, target) {
	await b.key('f', 2); // Ctrl
	assert.strictEqual(await b.eval('document.activeElement.tagName.toLowerCase()'), 'input');
	await b.type(target.name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
	const frames = await b.eval(FRAMES);
	const hits = frames.filter((f) => f.hit);
	assert(hits.length > 0 && hits.every((f) => f.name.toLowerCase()
		.includes(target.name.toLowerCase())), 'what matches is highlighted');
	assert(frames.filter((f) => !f.hit && f.depth).every((f) => !f.name.includes(target.name)));
	assert(hits[0].fill !== target.fill, 'in a colour of its own');
	const outer = hits.filter((h) => !hits.some((o) => o.depth < h.depth && h.x >= o.x - 0.1 &&
		h.x + h.width <= o.x + o.width + 0.1));
	const share = 100 * outer.reduce((sum, f) => sum + f.value, 0) / frames[0].value;
	const said = await text(b, '.matched');
	assert(said.startsWith(`matched ${share.toFixed(1)} %`), `'${said}', not ${share}`);
	await b.screenshot(path.join(dir, 'searched.png'));
	await b.key('Escape');
	assert.strictEqual(await text(b, '.matched'), '');
	assert((await b.eval(FRAMES)).every((f) => !f.hit));
	// What is no regular expression is looked for as it stands.
	await b.type('((');
	assert(/^matched 0\.0 % in 0 frames/.test(await text(b, '.matched')));
	await b.key('Escape');
}

async function keyboard(b, before) {
	await b.eval(`document.querySelector('g.f').focus()`);
	for (let i = 0; i < 2; i++)
		await b.key('ArrowDown');
	const depth = await b.eval('+document.activeElement.dataset.d');
	assert.strictEqual(depth, 2);
	await b.key('ArrowDown');
	await b.key('ArrowUp');
	assert.strictEqual(await b.eval('+document.activeElement.dataset.d'), 2);
	await b.key('Enter');
	const now = await b.eval(`(() => { const f = document.activeElement;
		return +f.querySelector('rect').getAttribute('width') }) ()`);
	assert(Math.abs(now - before[0].width) < 1, 'Enter zooms');
	await b.key('Escape');
	assert.deepStrictEqual(layout(await b.eval(FRAMES)), layout(before), 'Escape restores');
}

// Luminance by WCAG, of "rgb(r, g, b)".
function luminance(color) {
	const [r, g, b] = color.match(/[\d.]+/g).map((v) => v / 255)
		.map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

async function readable(b) {
	for (const dark of [false, true]) {
		await b.dark(dark);
		const page = await b.eval(`getComputedStyle(document.querySelector('.page')).fill`);
		assert(dark ? luminance(page) < 0.05 : luminance(page) > 0.9, `page is ${page}`);
		const pairs = await b.eval(`Array.from(document.querySelectorAll('g.f')).map((g) =>
			['text', 'rect'].map((e) => getComputedStyle(g.querySelector(e)).fill))`);
		for (const pair of pairs) {
			const [l, d] = pair.map(luminance).sort((x, y) => y - x);
			assert((l + 0.05) / (d + 0.05) >= 4.5, `${pair.join(' on ')}, dark: ${dark}`);
		}
		await b.screenshot(path.join(dir, dark ? 'dark.png' : 'light.png'));
	}
	await b.dark(false);
}

async function main() {
	const b = new Browser(path.join(dir, 'profile'));
	try {
		await b.open(`file://${path.resolve(file)}`);
		const { before, target } = await zoom(b);
		await back(b, before);
		await hover(b, target);
		await search(b, target);
		await keyboard(b, before);
		await readable(b);
		assert(await b.eval(`document.querySelector('svg > title').textContent.length > 10 &&
			document.querySelector('svg > desc').textContent.length > 10`));
		assert.deepStrictEqual(b.errors, [], 'no errors on the console');
		assert.deepStrictEqual(b.requests.filter((u) => u !== `file://${path.resolve(file)}`), [],
			'nothing is loaded from elsewhere');
	} finally {
		await b.close();
	}
}

main().catch((e) => {
	console.error(e.stack);
	process.exitCode = 1;
});
