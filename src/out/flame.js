/* Zoom, search and details of a flame graph. Runs from file://, asks nothing of anyone. */
(function () {
	'use strict';
	var CHAR = 7.3, PAD = 10;
	var svg = document.querySelector('svg.hopscope');
	var frames = Array.prototype.map.call(svg.querySelectorAll('g.f'), function (g) {
		var title = g.querySelector('title').textContent;
		return { g: g, x: +g.dataset.x, w: +g.dataset.w, d: +g.dataset.d, title: title,
			name: title.split('\n')[0], rect: g.querySelector('rect'),
			text: g.querySelector('text') };
	});
	var details = svg.querySelector('.details'), matched = svg.querySelector('.matched');
	var reset = svg.querySelector('.reset'), input = svg.querySelector('input');
	var whole = frames[0], zoomed = whole, width = 1200;

	if (!whole)
		return;

	function label(f, room) {
		var n = Math.floor((room - 6) / CHAR);
		if (n >= f.name.length)
			return f.name;
		return n < 3 ? '' : f.name.slice(0, n - 1) + '\u2026';
	}

	function inside(a, b) {
		return a.x >= b.x - 1e-6 && a.x + a.w <= b.x + b.w + 1e-6;
	}

	function layout() {
		var scale = (width - 2 * PAD) / zoomed.w;
		frames.forEach(function (f) {
			var above = f.d < zoomed.d && inside(zoomed, f);
			var shown = above || (f.d >= zoomed.d && inside(f, zoomed));
			var x = above ? PAD : PAD + (f.x - zoomed.x) * scale;
			var w = above ? width - 2 * PAD : f.w * scale;

			shown = shown && (w >= 0.3 || f === zoomed);
			f.g.classList.toggle('off', !shown);
			f.g.classList.toggle('above', above);
			if (!shown)
				return;
			f.rect.setAttribute('x', x.toFixed(2));
			f.rect.setAttribute('width', w.toFixed(2));
			f.text.setAttribute('x', (x + 3).toFixed(2));
			f.text.textContent = label(f, w);
		});
		reset.style.display = zoomed === whole ? 'none' : '';
	}

	function resize() {
		width = Math.max(600, document.documentElement.clientWidth || window.innerWidth || 1200);
		svg.setAttribute('width', width);
		svg.setAttribute('viewBox', '0 0 ' + width + ' ' + svg.getAttribute('height'));
		Array.prototype.forEach.call(svg.querySelectorAll('[data-right]'), function (e) {
			e.setAttribute('x', width - e.getAttribute('data-right'));
		});
		layout();
	}

	function zoom(f) {
		zoomed = f;
		layout();
	}

	function show(f) {
		details.textContent = f ? f.title.split('\n').filter(Boolean).join('  |  ') : '';
	}

	/* What is searched: a regular expression where it is one, else as it stands. */
	function pattern(s) {
		try {
			return new RegExp(s, 'i');
		} catch (e) {
			return new RegExp(s.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'i');
		}
	}

	/* The share counts each byte once, however many frames of its stack match. */
	function search(s) {
		var re = s ? pattern(s) : null, end = -1, sum = 0, n = 0;

		frames.forEach(function (f) {
			var hit = re && f !== whole && re.test(f.name);
			f.g.classList.toggle('hit', !!hit);
			if (!hit)
				return;
			n++;
			if (f.x >= end - 1e-6) {
				sum += f.w;
				end = f.x + f.w;
			} else if (f.x + f.w > end) {
				sum += f.x + f.w - end;
				end = f.x + f.w;
			}
		});
		matched.textContent = re ? 'matched ' + (100 * sum / whole.w).toFixed(1) + ' % in ' + n +
			(n === 1 ? ' frame' : ' frames') : '';
	}

	function clear() {
		input.value = '';
		search('');
	}

	/* The frame beside f: its parent, its first child, its neighbours. */
	function neighbour(f, key) {
		var i = frames.indexOf(f), step = key === 'ArrowLeft' || key === 'ArrowUp' ? -1 : 1;
		var depth = f.d + (key === 'ArrowUp' ? -1 : key === 'ArrowDown' ? 1 : 0);

		for (i += step; i >= 0 && i < frames.length; i += step) {
			var other = frames[i];
			if (other.g.classList.contains('off'))
				continue;
			if (key === 'ArrowDown' && other.d <= f.d)
				return null;
			if (other.d === depth)
				return other;
		}
		return null;
	}

	function focus(f) {
		svg.querySelector('[tabindex="0"].f').setAttribute('tabindex', '-1');
		f.g.setAttribute('tabindex', '0');
		f.g.focus();
	}

	frames.forEach(function (f) {
		f.g.setAttribute('tabindex', f === whole ? '0' : '-1');
		f.g.addEventListener('click', function () { zoom(f); });
		f.g.addEventListener('mouseenter', function () { show(f); });
		f.g.addEventListener('mouseleave', function () { show(null); });
		f.g.addEventListener('focus', function () { show(f); });
		f.g.addEventListener('keydown', function (e) {
			var other;
			if (e.key === 'Enter' || e.key === ' ') {
				zoom(f);
				e.preventDefault();
			} else if (/^Arrow/.test(e.key)) {
				other = neighbour(f, e.key);
				if (other)
					focus(other);
				e.preventDefault();
			}
		});
	});
	reset.addEventListener('click', function () { zoom(whole); });
	reset.addEventListener('keydown', function (e) {
		if (e.key === 'Enter' || e.key === ' ')
			zoom(whole);
	});
	input.addEventListener('input', function () { search(input.value); });
	/* Ctrl-F searches here; a second one is the browser's. Escape: the search, then the zoom. */
	window.addEventListener('keydown', function (e) {
		if ((e.ctrlKey || e.metaKey) && e.key === 'f' && document.activeElement !== input) {
			input.focus();
			input.select();
			e.preventDefault();
		} else if (e.key === 'Escape') {
			if (input.value)
				clear();
			else
				zoom(whole);
		}
	});
	window.addEventListener('resize', resize);
	Array.prototype.forEach.call(svg.querySelectorAll('.tools'), function (e) {
		e.style.display = 'inline';
	});
	resize();
})();
