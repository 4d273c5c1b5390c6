// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The Redis framer on connections of programs that nobody here wrote: see tests/captures/record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <strings.h>

#include "../support/redis_host.h"

static const char *const names[] = {
	"redis_cli",	 "redis_resp3",	   "redis_benchmark", "redis_pubsub2",
	"redis_pubsub3", "redis_blocking", "redis_bulk",
};

#define N_NAMES (sizeof(names) / sizeof(names[0]))

#include "../support/capture_replays.h"

static struct redis_host h;

static void feed(int dir, uint64_t at, uint32_t len)
{
	redis_host__feed(&h, dir, at, len);
}

/* "SET" "3"; "+" ""; "-WRONGTYPE" ""; "push" "message" */
static int same(const struct redis_msg *m, const struct capture_unit *u, int dir)
{
	int push = !strcmp(u->what, "push");

	if (m->pos != u->pos || m->end != u->end || m->push != push)
		return 0;
	if (!dir)
		return !strcmp(m->name, u->what) && m->args == 1 + strtoul(u->more, NULL, 10);
	if (push)
		return !strcasecmp(m->name, u->more);
	return m->top == (uint8_t)u->what[0] && m->error == (m->top == '-') &&
	       (!m->error || !strcmp(m->name, u->what + 1));
}

/* SUBSCRIBE and the like are answered by pushes alone. */
static int is_answered(const struct capture_unit *u)
{
	size_t len = strlen(u->what);

	return len < 9 || strcmp(u->what + len - 9, "SUBSCRIBE") != 0;
}

/* The n-th of a direction among those that answer, or are answered. */
static uint32_t number(int dir, size_t i)
{
	uint32_t n = 0;

	while (i--)
		n += dir ? strcmp(c.unit[1][i].what, "push") != 0 : is_answered(&c.unit[0][i]);
	return n;
}

static void check(const char *how, size_t where)
{
	for (int dir = 0; dir < 2; dir++) {
		for (size_t i = 0; i < c.n[dir] && i < h.n[dir]; i++) {
			const struct redis_msg *m = &h.msg[dir][i];
			const struct capture_unit *u = &c.unit[dir][i];

			if (same(m, u, dir) && (m->push || (m->paired && m->seq == number(dir, i))))
				continue;
			fail_msg("%s, %s %zu: dir %d, %zu: [%llu,%llu) %c %s args %u seq %u paired "
				 "%u push %u, not [%llu,%llu) %s %s",
				 name, how, where, dir, i, (unsigned long long)m->pos,
				 (unsigned long long)m->end, m->top, m->name, m->args, m->seq,
				 m->paired, m->push, (unsigned long long)u->pos,
				 (unsigned long long)u->end, u->what, u->more);
		}
		if (h.n[dir] != c.n[dir])
			fail_msg("%s, %s %zu: dir %d: %zu units, not %zu", name, how, where, dir,
				 h.n[dir], c.n[dir]);
		/* Of a connection never seen, part of the first name proves nothing. */
		assert_int_equal(h.io[dir].framed + h.io[dir].resync, h.io[dir].fed);
		assert_true(h.io[dir].resync <= (int64_t)c.unit[dir][0].end);
		assert_int_equal(h.io[dir].desyncs, 0);
	}
}

static void begin(void)
{
	redis_host__open(&h, c.data[0], c.data[1]);
}

static void end(const char *how, size_t where)
{
	check(how, where);
	redis_host__close(&h);
}

/* The number, in the whole connection, of the command that a reply was given to. */
static uint32_t asked(uint32_t seq)
{
	for (size_t i = 0; i < h.n[0]; i++) {
		size_t unit = unit_at(0, h.msg[0][i].pos);

		if (h.msg[0][i].seq == seq && unit != SIZE_MAX && is_answered(&c.unit[0][unit]))
			return number(0, unit);
	}
	return UINT32_MAX;
}

/* From any segment on: nothing is seen that is not there, no reply goes to a wrong command. */
static void test_attach_anywhere(void **state)
{
	size_t paired = 0;

	(void)state;
	for (size_t i = 0; i < N_NAMES; i++) {
		capture__read(&c, name = names[i]);
		for (size_t first = 1; first < c.n_segs; first++) {
			begin();
			capture__replay(&c, first, SIZE_MAX, feed);
			for (int dir = 0; dir < 2; dir++) {
				for (size_t k = 0; k < h.n[dir]; k++) {
					const struct redis_msg *m = &h.msg[dir][k];
					size_t unit = unit_at(dir, m->pos);

					if (!m->end)
						continue; /* came to nothing */
					if (unit == SIZE_MAX || m->end != c.unit[dir][unit].end)
						fail_msg("%s from %zu: dir %d: [%llu,%llu)", name,
							 first, dir, (unsigned long long)m->pos,
							 (unsigned long long)m->end);
					if (!dir || !m->paired)
						continue;
					if (asked(m->seq) != number(1, unit))
						fail_msg("%s from %zu: reply %zu to a wrong one",
							 name, first, unit);
					paired++;
				}
			}
			redis_host__close(&h);
		}
		capture__free(&c);
	}
	assert_true(paired > 500);
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
