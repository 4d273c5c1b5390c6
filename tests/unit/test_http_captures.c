// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The HTTP/1 framer on connections of programs that nobody here wrote: see tests/captures/record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../support/http_host.h"

static const char *const names[] = {
	"http_curl", "http_curl_post", "http_curl_parts", "http_chunked", "http_old", "http_wrk",
	"http_node", "http_websocket", "http_tunnel",	  "http_http2",	  "http_h2c", "http_abort",
};

#define N_NAMES (sizeof(names) / sizeof(names[0]))

#include "../support/capture_replays.h"

static struct http_host h;

static void feed(int dir, uint64_t at, uint32_t len)
{
	http_host__feed(&h, dir, at, len);
}

static uint8_t method_of(const char *text)
{
	static const char *const all[] = {"",	    "GET",     "HEAD",	"POST",	   "PUT",
					  "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"};

	for (size_t i = 1; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!strcmp(text, all[i]))
			return (uint8_t)i;
	}
	return HTTP_OTHER;
}

static int is_request(const struct http_msg *m, const struct capture_unit *u, const uint8_t *data)
{
	return m->role == HTTP_REQUEST && m->method == method_of(u->what) &&
	       m->path_len == strlen(u->more) && !memcmp(data + m->path, u->more, m->path_len);
}

static int same(const struct http_msg *m, const struct capture_unit *u, int dir)
{
	if (m->pos != u->pos || m->end != u->end)
		return 0;
	if (!dir)
		return is_request(m, u, c.data[0]);
	return m->role == HTTP_RESPONSE && m->status == atoi(u->what);
}

/* Final answers among the first i of what came back. */
static uint32_t answered(size_t i)
{
	uint32_t n = 0;

	while (i--)
		n += atoi(c.unit[1][i].what) >= 200;
	return n;
}

/* A preface is not a message that begins. */
static size_t count(int dir)
{
	size_t n = h.n[dir];

	return n && !h.msg[dir][n - 1].line ? n - 1 : n;
}

static uint8_t opaque_of(const char *text)
{
	if (!*text)
		return HTTP_NOT_OPAQUE;
	if (!strcmp(text, "http2"))
		return HTTP_IS_HTTP2;
	return !strcmp(text, "tunnel") ? HTTP_IS_TUNNEL : HTTP_IS_WEBSOCKET;
}

static void check(const char *how, size_t where)
{
	for (int dir = 0; dir < 2; dir++) {
		const char *line = c.data[dir] ? memchr(c.data[dir], '\n', c.len[dir]) : NULL;

		for (size_t i = 0; i < c.n[dir] && i < count(dir); i++) {
			const struct http_msg *m = &h.msg[dir][i];

			if (same(m, &c.unit[dir][i], dir) && m->paired &&
			    m->seq == (dir ? answered(i) : i))
				continue;
			fail_msg("%s, %s %zu: dir %d, %zu: [%llu,%llu) status %u method %u seq %u "
				 "paired %u, not [%llu,%llu) %s %s",
				 name, how, where, dir, i, (unsigned long long)m->pos,
				 (unsigned long long)m->end, m->status, m->method, m->seq,
				 m->paired, (unsigned long long)c.unit[dir][i].pos,
				 (unsigned long long)c.unit[dir][i].end, c.unit[dir][i].what,
				 c.unit[dir][i].more);
		}
		if (count(dir) != c.n[dir])
			fail_msg("%s, %s %zu: dir %d: %zu messages, not %zu", name, how, where, dir,
				 count(dir), c.n[dir]);
		/* Of a connection never seen, part of the first line proves nothing. */
		assert_int_equal(h.io[dir].framed + h.io[dir].resync, h.io[dir].fed);
		assert_true(!line || h.io[dir].resync <= line - (const char *)c.data[dir]);
		assert_int_equal(h.io[dir].desyncs, 0);
	}
	assert_int_equal(h.pair.opaque, opaque_of(c.opaque));
	assert_int_equal(h.opaque, *c.opaque != 0);
}

static void begin(void)
{
	http_host__open(&h, c.data[0], c.data[1]);
}

static void end(const char *how, size_t where)
{
	check(how, where);
	http_host__close(&h);
}

/* Which request a paired answer was given to: its number in the whole connection. */
static size_t asked(uint32_t seq)
{
	for (size_t i = 0; i < count(0); i++) {
		if (h.msg[0][i].seq == seq)
			return unit_at(0, h.msg[0][i].pos);
	}
	return SIZE_MAX;
}

/* From any segment on: nothing is seen that is not there, and no answer goes to a wrong request. */
static void test_attach_anywhere(void **state)
{
	size_t paired = 0;

	(void)state;
	for (size_t i = 0; i < N_NAMES; i++) {
		capture__read(&c, name = names[i]);
		for (size_t first = 1; first < c.n_segs && !*c.opaque; first++) {
			begin();
			capture__replay(&c, first, SIZE_MAX, feed);
			for (int dir = 0; dir < 2; dir++) {
				for (size_t k = 0; k < count(dir); k++) {
					const struct http_msg *m = &h.msg[dir][k];
					size_t unit = unit_at(dir, m->pos);

					assert_true(unit != SIZE_MAX);
					assert_true(!m->end || same(m, &c.unit[dir][unit], dir));
					if (!dir || !m->paired)
						continue;
					assert_int_equal(asked(m->seq), answered(unit));
					paired++;
				}
			}
			http_host__close(&h);
		}
		capture__free(&c);
	}
	assert_true(paired > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_recorded),
		cmocka_unit_test(test_in_pieces),
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_attach_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
