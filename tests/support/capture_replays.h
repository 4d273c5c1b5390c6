/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the tests of recorded connections have in common: each of `names` replayed as it was
 * recorded, in pieces, and cut everywhere. The includer gives, before or after:
 *
 *   names[], N_NAMES
 *   void feed(int dir, uint64_t at, uint32_t len)
 *   void begin(void)                           a framer that has seen nothing of `c`
 *   void end(const char *how, size_t where)    checks what it found in `c`, and closes it
 */
#ifndef TESTS_CAPTURE_REPLAYS_H
#define TESTS_CAPTURE_REPLAYS_H

#include "capture.h"

static struct capture c;
static const char *name; /* of c */

static capture_feed feed;
static void begin(void);
static void end(const char *how, size_t where);

/* The unit that begins there; SIZE_MAX: none does. */
static size_t unit_at(int dir, uint64_t pos)
{
	for (size_t i = 0; i < c.n[dir]; i++) {
		if (c.unit[dir][i].pos == pos)
			return i;
	}
	return SIZE_MAX;
}

static void test_as_recorded(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_NAMES; i++) {
		capture__read(&c, name = names[i]);
		begin();
		capture__replay(&c, 0, SIZE_MAX, feed);
		end("as recorded", 0);
		begin();
		capture__replay_coalesced(&c, feed);
		end("coalesced", 0);
		capture__free(&c);
	}
}

static void test_in_pieces(void **state)
{
	static const size_t pieces[] = {1, 2, 3, 7, 64, 512, 1448};

	(void)state;
	for (size_t i = 0; i < N_NAMES; i++) {
		capture__read(&c, name = names[i]);
		for (size_t k = 0; k < sizeof(pieces) / sizeof(pieces[0]); k++) {
			begin();
			capture__replay(&c, 0, pieces[k], feed);
			end("pieces of", pieces[k]);
		}
		capture__free(&c);
	}
}

static void test_cut_everywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_NAMES; i++) {
		capture__read(&c, name = names[i]);
		for (int dir = 0; dir < 2; dir++) {
			for (size_t cut = 1; cut < c.len[dir]; cut++) {
				/* One byte of a large value is like the next. */
				if (c.len[dir] > 60000 && cut > 200 && cut + 200 < c.len[dir])
					cut += 997;
				begin();
				capture__replay_cut(&c, dir, cut, feed);
				end(dir ? "answers cut at" : "requests cut at", cut);
			}
		}
		capture__free(&c);
	}
}

#endif
