#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Flame graphs in a browser: zoomed, searched, read in light and dark (tools/flame.js). What is drawn
# is the record of tests/golden.

load helpers

setup() {
	need_command node "${CHROMIUM:=chromium}"
	export CHROMIUM
	record=$BATS_TEST_DIRNAME/../golden/heap.json
	tmp=$BATS_TEST_TMPDIR
}

# browse FILE FRAME: what a screenshot shows can be looked at afterwards: SCREENSHOTS=DIR bats ...
browse() {
	timeout -k 5 60 node "$BATS_TEST_DIRNAME/tools/flame.js" "$1" "$tmp" "$2" 3>&- || return
	[ -z "${SCREENSHOTS:-}" ] || cp "$tmp"/*.png "$SCREENSHOTS/"
}

@test "an SVG: zoom, reset, search, details, keyboard; light and dark; no errors" {
	"$HOPSCOPE" heap --from "$record" --flame "$tmp/f.svg" >/dev/null
	browse "$tmp/f.svg" setCommand
}

@test "a page of HTML does the same" {
	"$HOPSCOPE" heap --from "$record" --flame "$tmp/f.html" >/dev/null
	browse "$tmp/f.html" setCommand
}

@test "what grew, in red and blue" {
	"$HOPSCOPE" heap --diff "$record@2" "$record@1" --flame "$tmp/f.svg" >/dev/null
	browse "$tmp/f.svg" setCommand
}

@test "names that look like markup are text" {
	sed 's/"setCommand"/"<\/title><script>throw 1<\/script>\&lt;]]>"/g' "$record" >"$tmp/evil"
	"$HOPSCOPE" heap --from "$tmp/evil" --flame "$tmp/f.svg" >/dev/null
	browse "$tmp/f.svg" '</title><script>throw 1</script>&lt;]]>'
	"$HOPSCOPE" heap --from "$tmp/evil" --flame "$tmp/f.html" >/dev/null
	browse "$tmp/f.html" '</title><script>throw 1</script>&lt;]]>'
}

@test "a graph whose script is broken is found out" {
	"$HOPSCOPE" heap --from "$record" --flame "$tmp/f.svg" >/dev/null
	for edit in 's/zoomed = f;/zoomed = whole;/' 's/sum += f.w;/sum += 2 * f.w;/' \
		's/zoom(whole);/return;/' 's/f.text.textContent = label(f, w);//' \
		's/--l: 32%/--l: 70%/' "s/'use strict';/&console.error(1);/" \
		"s/'use strict';/&fetch('http:\/\/127.0.0.1:1\/x').catch(() => 1);/"; do
		sed "$edit" "$tmp/f.svg" >"$tmp/broken.svg"
		run cmp -s "$tmp/f.svg" "$tmp/broken.svg"
		[ "$status" = 1 ]
		run browse "$tmp/broken.svg" setCommand
		echo "$edit: $output"
		[ "$status" = 1 ]
	done
}
